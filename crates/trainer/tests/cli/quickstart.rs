//! `tandem quickstart` and `tandem retrain`.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tandem_dataset::Dataset;
use tandem_generator::testing::write_tiny_gguf;

use crate::{Bench, forget::events, names, text};

const QUICKSTART: &str =
    "quickstart --events clicks.csv --catalogue items.csv --out shop --minutes 0";

/// Steps that print a line.
const STEPS: usize = 11;

/// A shop with titles, in which users walk through the items.
fn bench(users: usize, items: usize) -> Bench {
    let bench = Bench::new();
    let mut titles = "item,title\n".to_owned();
    for item in 0..items {
        writeln!(titles, "{item},Item {item}").unwrap();
    }
    bench.write("items.csv", titles);
    write_log(&bench, users, items);
    bench
}

fn write_log(bench: &Bench, users: usize, items: usize) {
    let mut log = "user,item,timestamp\n".to_owned();
    for user in 0..users {
        for step in 0..8 {
            let item = (user * 7 + step * (1 + user % 3)) % items;
            writeln!(log, "{user},{item},{}", 1_700_000_000 + step).unwrap();
        }
    }
    bench.write("clicks.csv", log);
}

/// Standard output and error of a run that must succeed.
fn run(bench: &Bench, line: &str) -> (String, String) {
    let output = bench.run(line);
    let progress = text(&output.stderr);
    assert!(output.status.success(), "{line}: {progress}");
    (text(&output.stdout), progress)
}

fn current(bench: &Bench) -> String {
    fs::read_to_string(bench.path("shop/current")).unwrap()
}

#[test]
fn one_command_makes_a_recommender_and_only_what_changed_is_done_again() {
    let bench = bench(60, 90);
    let (page, progress) = run(&bench, QUICKSTART);
    assert_eq!(progress.matches(" …\n").count(), STEPS, "{progress}");
    assert!(page.contains("60 users, 90 items, 480 interactions"), "{page}");
    assert!(page.contains("items.csv: comma-separated, 90 rows"), "{page}");
    assert!(page.contains("Quality on 60 held-out interactions"), "{page}");
    for row in [
        "popularity",
        "co-occurrence",
        "Markov chain",
        "small model",
        "language model",
        "both together",
    ] {
        let line = page.lines().find(|line| line.trim_start().starts_with(row)).unwrap();
        let figures: Vec<f64> =
            line.split_whitespace().rev().take(2).map(|it| it.parse().unwrap()).collect();
        // HR@10 is not below NDCG@10.
        assert!(figures[0] >= figures[1] && (0.0..=1.0).contains(&figures[0]), "{line}");
    }
    assert!(page.contains("createRecommender({ server: 'http://127.0.0.1:8080' })"), "{page}");

    // What a server needs.
    let name = current(&bench);
    let release = bench.path("shop/releases").join(&name);
    let expected = [
        "artifacts",
        "calibration.json",
        "data",
        "language-model.gguf",
        "measured",
        "signals",
        "small-model.safetensors",
    ];
    assert_eq!(names(&release), expected);
    // What visitors get has been trained on, after what is in the table.
    for model in ["language-model.gguf", "small-model.safetensors"] {
        let bytes = |path: &str| fs::read(release.join(path)).unwrap();
        assert_ne!(bytes(model), bytes(&format!("measured/{model}")), "{model}");
    }
    assert_eq!(names(&release.join("signals")), ["counts.safetensors", "signals.json"]);
    assert_eq!(names(&release.join("measured/signals")), ["counts.safetensors", "signals.json"]);
    let artifacts = fs::read_to_string(release.join("artifacts")).unwrap();
    let manifest = bench.path("shop/artifacts").join(artifacts).join("manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let dataset = Dataset::load(&release.join("data")).unwrap();
    assert_eq!(manifest["catalogue"]["hash"], dataset.catalogue.hash());
    // Fitted on sessions of several clicks.
    assert_eq!(manifest["policy"]["trigger"]["when"], "uplift");
    assert_eq!(dataset.catalogue.items()[3].title, "Item 3");

    let (again, progress) = run(&bench, QUICKSTART);
    assert_eq!(progress.matches(": nothing has changed\n").count(), STEPS, "{progress}");
    let without_time =
        |page: &str| page.lines().rev().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_time(&again), without_time(&page));

    // Other minutes repeat every step but the import.
    let (_, progress) = run(&bench, &QUICKSTART.replace("--minutes 0", "--minutes 0.001"));
    assert_eq!(progress.matches(": nothing has changed\n").count(), 1, "{progress}");
    write_log(&bench, 70, 90);
    let (page, progress) = run(&bench, QUICKSTART);
    assert_eq!(progress.matches(" …\n").count(), STEPS, "{progress}");
    assert!(page.contains("560 interactions"), "{page}");
    assert_ne!(current(&bench), name);
}

#[test]
fn an_interrupted_run_continues() {
    let bench = bench(60, 30);
    let line = QUICKSTART.replace("--minutes 0", "--minutes 30");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(line.split_whitespace())
        .current_dir(bench.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let checkpoint = bench.path("shop").join("work/quickstart/language-model.gguf.checkpoint");
    while !checkpoint.exists() {
        assert!(begun.elapsed() < Duration::from_mins(5), "no epoch was trained");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.path("shop/current").exists());

    let (page, progress) = run(&bench, &line);
    assert!(progress.contains("reading the log: nothing has changed"), "{progress}");
    assert!(progress.contains("training the small model: nothing has changed"), "{progress}");
    assert!(progress.contains("resuming an interrupted training after"), "{progress}");
    assert!(page.contains("Quality on 60 held-out interactions"), "{page}");
    assert!(!checkpoint.exists());
}

#[test]
fn retraining_takes_up_new_events_and_items() {
    let bench = bench(60, 30);
    let said = bench.failed(2, "retrain --out shop");
    assert!(said.contains("make it with `tandem quickstart --out shop`"), "{said}");
    run(&bench, QUICKSTART);
    let first = current(&bench);
    let (said, _) = run(&bench, "retrain --out shop --minutes 0");
    assert!(said.contains("no new events to learn from, nothing to do"), "{said}");
    assert_eq!(current(&bench), first);

    // Two more items and ten more users.
    write_log(&bench, 70, 32);
    let (said, progress) = run(&bench, "retrain --out shop --minutes 0 --force");
    assert!(said.contains("70 users, 32 items"), "{said}");
    assert!(said.contains("NDCG@10 on the newest interactions of 70 users"), "{said}");
    assert!(progress.contains("publishing …"), "{progress}");
    let second = current(&bench);
    assert_ne!(second, first);
    let release = bench.path("shop/releases").join(&second);
    assert_eq!(Dataset::load(&release.join("data")).unwrap().catalogue.len(), 32);
    let (said, _) = run(&bench, "retrain --out shop --minutes 0");
    assert!(said.contains("no new events to learn from, nothing to do"), "{said}");
    // The earlier release is still there.
    assert_eq!(names(&bench.path("shop/releases")).len(), 2);
}

#[test]
fn a_forgotten_user_is_in_no_later_training() {
    let bench = bench(60, 30);
    fs::create_dir(bench.path("log")).unwrap();
    let visitor = events("visitor", &["1", "2", "3", "4"]);
    bench.write("log/interactions.jsonl", visitor.clone() + &events("other", &["5", "6", "7"]));
    let line = QUICKSTART.replace("clicks.csv", "clicks.csv log");
    run(&bench, &line);
    let has = |folder: &std::path::Path, name: &str| {
        Dataset::load(folder).unwrap().sequences.iter().any(|it| it.user == name)
    };
    let data = bench.path("shop/releases").join(current(&bench)).join("data");
    assert!(has(&data, "visitor") && has(&data, "7"));

    let (said, _) = run(&bench, "forget visitor --out shop");
    assert!(said.contains("log: 4 events removed"), "{said}");
    assert!(said.contains("clicks.csv: unchanged; later trainings leave"), "{said}");
    assert!(said.contains("removed from the data of 1 release\n"), "{said}");
    assert!(!has(&data, "visitor") && has(&data, "other"));
    // A user of a file that the command does not rewrite.
    run(&bench, "forget 7 --out shop");
    let list = fs::read_to_string(bench.path("shop/forgotten.json")).unwrap();
    assert!(!list.contains("visitor"), "{list}");
    assert!(!bench.path("shop/work").exists());

    // Even if the events come back from a copy of the log.
    bench.write("log/interactions.jsonl", visitor + &events("other", &["5", "6", "7"]));
    let (_, progress) = run(&bench, "retrain --out shop --minutes 0 --force");
    assert!(progress.contains("publishing …"), "{progress}");
    let data = bench.path("shop/releases").join(current(&bench)).join("data");
    assert!(!has(&data, "visitor") && !has(&data, "7") && has(&data, "other"));
    let read = fs::read_to_string(bench.path("shop").join("work/retrain/read.txt")).unwrap();
    assert!(read.contains("rows of users who asked to be forgotten"), "{read}");
    assert!(!read.contains("visitor"), "{read}");
}

#[test]
fn input_that_nothing_can_be_learnt_from_is_refused_with_the_reason() {
    let bench = bench(2, 30);
    bench.write("clicks.csv", "user,item\n1,a\n1,b\n2,a\n");
    let output = bench.run("quickstart --events clicks.csv --out shop");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("at least 3 interactions, found 2 users with at most 2"), "{said}");
    let said = bench.failed(2, "quickstart --events none.csv --out shop");
    assert!(said.contains("cannot read none.csv"), "{said}");
}

#[test]
fn texts_of_the_items_are_used_with_an_embedding_model() {
    let bench = bench(60, 90);
    write_tiny_gguf(&bench.path("embedder.gguf"), 3).unwrap();
    let with_texts = format!("{QUICKSTART} --embedder embedder.gguf");
    let (page, progress) = run(&bench, &with_texts);
    assert!(progress.contains("embedding the texts"), "{progress}");
    assert!(page.contains("small model with texts, on the device"), "{page}");
    let release = bench.path("shop/releases").join(current(&bench));
    assert!(release.join("signals/text.safetensors").is_file());
    // The rows of the device have a text part.
    let artifacts = fs::read_to_string(release.join("artifacts")).unwrap();
    let manifest = bench.path("shop/artifacts").join(artifacts).join("manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert!(manifest["text"]["dims"].as_u64().unwrap() > 0, "{manifest}");

    let (_, again) = run(&bench, &with_texts);
    assert_eq!(again.matches("nothing has changed").count(), STEPS + 3, "{again}");

    // A retraining uses the same embedding model; an item that is new has a text at once.
    bench.write("items.csv", {
        let known = fs::read_to_string(bench.path("items.csv")).unwrap();
        format!("{known}new,Item 5\n")
    });
    let (_, progress) = run(&bench, "retrain --out shop --minutes 0 --force");
    assert!(progress.contains("adding texts to the small model trained on everything"));
    let data = bench.path("shop/releases").join(current(&bench)).join("data");
    assert!(Dataset::load(&data).unwrap().catalogue.index_of(&"new".into()).is_some());
}

#[test]
fn a_catalogue_without_texts_cannot_be_embedded() {
    let bench = bench(60, 90);
    write_tiny_gguf(&bench.path("embedder.gguf"), 3).unwrap();
    let line = "quickstart --events clicks.csv --out shop --minutes 0 --embedder embedder.gguf";
    let output = bench.run(line);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("error: no item of the catalogue has a text"), "{said}");
}

#[test]
fn new_events_alone_and_foreign_folders_are_refused() {
    let bench = bench(60, 30);
    fs::create_dir(bench.path("mine")).unwrap();
    bench.write("mine/current", "my file");
    let said = bench.failed(2, &QUICKSTART.replace("--out shop", "--out mine"));
    assert!(said.contains("expected a new or empty folder") && said.contains("current"), "{said}");
    assert_eq!(names(&bench.path("mine")), ["current"]);

    run(&bench, QUICKSTART);
    let first = current(&bench);
    // The same log, but of other users.
    let log = fs::read_to_string(bench.path("clicks.csv")).unwrap();
    let others: Vec<String> = log
        .lines()
        .enumerate()
        .map(|(at, line)| if at == 0 { line.to_owned() } else { format!("new{line}") })
        .collect();
    bench.write("new.csv", others.join("\n"));
    let output = bench.run("retrain --out shop --minutes 0 --events new.csv");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("0 of the 60 users of release") && said.contains("old and new"),
        "{said}"
    );
    assert_eq!(current(&bench), first);
}

#[test]
fn a_closed_standard_error_does_not_end_a_run() {
    let bench = bench(60, 30);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(QUICKSTART.split_whitespace())
        .current_dir(bench.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert!(bench.path("shop/current").exists());
}
