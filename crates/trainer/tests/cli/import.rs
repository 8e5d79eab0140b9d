//! `tandem import`.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use tandem_dataset::Dataset;

use crate::{Bench, names, text};

#[test]
fn every_format_becomes_a_dataset() {
    let bench = Bench::new();
    bench.write("a.inter", "user_id:token\titem_id:token\ttimestamp:float\n1\t5\t2\n1\t6\t1\n");
    bench.write("a.item", "item_id:token\tmovie_title:token_seq\n5\tHeat (1995)\n7\tSeven\n");
    bench.write("log.csv", "user,item\n1,6\n1,5\n");
    bench.write("log.jsonl", "{\"user\":1,\"item\":6}\n{\"user\":1,\"item\":5}\n");
    bench.write("sequences.txt", "1 6 5\n");
    for (set, files, items) in [
        ("recbole", "--events a.inter --catalogue a.item --notice cite", 3),
        ("csv", "--events log.csv", 2),
        ("jsonl", "--events log.jsonl", 2),
        ("sequences", "--events . --name sequences", 2),
    ] {
        let said = bench.done(&format!("import {files} --out sets/{set}"));
        let last = said.lines().last().unwrap();
        assert_eq!(last, format!("{set}: 1 user, {items} items, 2 interactions in sets/{set}"));
        let dataset = Dataset::load(&bench.path("sets").join(set)).unwrap();
        assert_eq!(dataset.name, set);
        let ids: Vec<_> = dataset.sequences[0]
            .items
            .iter()
            .map(|&item| dataset.catalogue.get(item).id.as_str())
            .collect();
        assert_eq!(ids, ["6", "5"], "{set}");
        assert_eq!(dataset.notice.is_some(), set == "recbole");
    }
}

#[test]
fn standard_input_and_patterns_are_read() {
    let bench = Bench::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["import", "--events", "-", "--out", "piped"])
        .current_dir(bench.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"user;item\n1;6\n1;5\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(Dataset::load(&bench.path("piped")).unwrap().interactions(), 2);

    bench.write("1.csv", "user,item,time\n1,6,1\n");
    bench.write("2.jsonl", "{\"user\":1,\"item\":5,\"time\":2}\n");
    bench.done("import --events ?.* --out both");
    bench.done("import --events 1.csv 2.jsonl --out listed");
    for set in ["both", "listed"] {
        assert_eq!(Dataset::load(&bench.path(set)).unwrap().interactions(), 2, "{set}");
    }
}

#[test]
fn options_decide_what_counts() {
    let bench = Bench::new();
    bench.write(
        "log.csv",
        "buyer,customer,sku,when,verb,mark\n\
         1,a,x,2.5.2024,like,5\n1,a,y,1.5.2024,nod,4\n1,a,x,3.5.2024,nod,4\n1,b,z,1.5.2024,nod,-1\n",
    );
    let said = bench.failed(2, "import --events log.csv --out set");
    assert_eq!(
        said,
        "log.csv has two columns that can be the user, buyer and customer; choose one with \
         --user-column"
    );
    let said = bench.done(
        "import --events log.csv --out set --user-column customer --time-column when \
         --time-format %d.%m.%Y --event nod=2 --rating-column mark --min-rating -1 --repeats keep",
    );
    assert!(said.contains("  user: customer\n") && said.contains("  rating: mark\n"), "{said}");
    let dataset = Dataset::load(&bench.path("set")).unwrap();
    assert_eq!((dataset.repeats, dataset.interactions()), (true, 4));
    let said = bench.done(
        "import --events log.csv --out set --user-column buyer --time-column when \
         --time-format %d.%m.%Y --event nod=2 --min-event-weight 3",
    );
    assert!(said.contains("3 events \"nod\", whose weight is below"), "{said}");
    for (option, value) in [("--event", "nod"), ("--event", "nod=x"), ("--min-rating", "nan")] {
        let output = bench.run(&format!("import --events log.csv --out set {option} {value}"));
        assert_eq!(output.status.code(), Some(2));
        let message = text(&output.stderr);
        assert!(message.contains(&format!("for '{option} <")), "{message}");
    }
}

#[test]
fn too_many_bad_rows_are_status_2_and_fewer_are_listed() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item,timestamp\n1,2,3\n1,2,soon\n");
    let output = bench.run("import --events log.csv --out set");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("log.csv, line 3: field timestamp: expected a time"), "{said}");
    let said = bench.failed(2, "import --events none.csv --out set");
    assert!(said.starts_with("cannot open none.csv: "), "{said}");
    assert_eq!(names(&bench.path("")), ["log.csv"], "nothing was written");

    let said = bench.done("import --events log.csv --out set --max-bad-rows 0.5");
    assert!(said.contains("1 bad row, listed in bad-rows.txt; first: log.csv, line 3"), "{said}");
    let files = ["bad-rows.txt", "catalogue.jsonl", "dataset.json", "sequences.jsonl"];
    assert_eq!(names(&bench.path("set")), files);
    // The list belongs to the import.
    bench.write("log.csv", "user,item,timestamp\n1,2,3\n");
    bench.done("import --events log.csv --out set");
    assert_eq!(names(&bench.path("set")), files[1..]);
}

#[test]
fn a_folder_that_is_no_dataset_is_not_replaced() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item\n1,2\n");
    let said = bench.failed(2, "import --events log.csv --out .");
    assert!(said.contains("choose a new or empty folder"), "{said}");
    // Where nothing can be made the fault is not the input's.
    let said = bench.failed(1, "import --events log.csv --out log.csv/set");
    assert!(said.contains("log.csv"), "{said}");
}

#[test]
fn arguments_that_make_no_sense_are_status_2() {
    let bench = Bench::new();
    for line in ["", "import", "import --events x", "evaluate --protocol other --data x"] {
        assert_eq!(bench.run(line).status.code(), Some(2), "{line}");
    }
    assert_eq!(bench.run("--version").status.code(), Some(0));
}

#[test]
fn objects_of_a_store_need_memory_or_cluster() {
    let said = Bench::new().failed(2, "import --events s3://logs/a.parquet --out set");
    assert!(said.contains("s3://logs/a.parquet") && said.contains("give --memory"), "{said}");
}

#[cfg(not(feature = "datafusion"))]
#[test]
fn a_build_without_datafusion_says_how_to_get_it() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item\n1,6\n1,5\n");
    for options in [
        "import --events log.csv --out set --memory 1GB",
        "import --events log.csv --out set --cluster df://127.0.0.1:5",
        "cluster scheduler",
        "cluster executor --scheduler df://127.0.0.1:5",
    ] {
        let said = bench.failed(2, options);
        assert!(said.contains("--features llama,datafusion"), "{options}: {said}");
    }
}
