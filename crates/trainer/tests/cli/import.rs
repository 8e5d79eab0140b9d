//! `tandem import`.

use tandem_dataset::Dataset;

use crate::{Bench, names};

#[test]
fn every_format_becomes_a_dataset() {
    let bench = Bench::new();
    bench.write("a.inter", "user_id:token\titem_id:token\ttimestamp:float\n1\t5\t2\n1\t6\t1\n");
    bench.write("a.item", "item_id:token\tmovie_title:token_seq\n5\tHeat (1995)\n7\tSeven\n");
    bench.write("log.csv", "user,item\n1,6\n1,5\n");
    bench.write("log.jsonl", "{\"user\":1,\"item\":6}\n{\"user\":1,\"item\":5}\n");
    bench.write("sequences.txt", "1 6 5\n");
    for (format, files, items) in [
        ("recbole", "--inter a.inter --item a.item --notice cite", 3),
        ("csv", "--log log.csv", 2),
        ("jsonl", "--log log.jsonl", 2),
        ("sequences", "--dir .", 2),
    ] {
        let said = bench.done(&format!("import {format} {files} --name n --out sets/{format}"));
        assert_eq!(said, format!("n: 1 users, {items} items, 2 interactions in sets/{format}\n"));
        let dataset = Dataset::load(&bench.path("sets").join(format)).unwrap();
        assert_eq!(dataset.name, "n");
        let ids: Vec<_> = dataset.sequences[0]
            .items
            .iter()
            .map(|&item| dataset.catalogue.get(item).id.as_str())
            .collect();
        assert_eq!(ids, ["6", "5"], "{format}");
        assert_eq!(dataset.notice.is_some(), format == "recbole");
    }
}

#[test]
fn malformed_input_is_one_sentence_and_status_2() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item,timestamp\n1,2,3\n1,2,soon\n");
    let said = bench.failed(2, "import csv --log log.csv --name n --out set");
    assert_eq!(said, "log.csv, line 3: expected a time as a number, found \"soon\"");
    let said = bench.failed(2, "import csv --log none.csv --name n --out set");
    assert!(said.starts_with("cannot open none.csv: "), "{said}");
    assert_eq!(names(&bench.path("")), ["log.csv"], "nothing was written");
}

#[test]
fn a_folder_that_is_no_dataset_is_not_replaced() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item\n1,2\n");
    let said = bench.failed(2, "import csv --log log.csv --name n --out .");
    assert!(said.contains("choose a new or empty folder"), "{said}");
    // Where nothing can be made the fault is not the input's.
    let said = bench.failed(1, "import csv --log log.csv --name n --out log.csv/set");
    assert!(said.contains("log.csv"), "{said}");
}

#[test]
fn arguments_that_make_no_sense_are_status_2() {
    let bench = Bench::new();
    for line in ["", "import", "import csv --log x", "evaluate --protocol other --data x"] {
        assert_eq!(bench.run(line).status.code(), Some(2), "{line}");
    }
    assert_eq!(bench.run("--version").status.code(), Some(0));
}
