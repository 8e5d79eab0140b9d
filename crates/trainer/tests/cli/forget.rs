//! `tandem forget`.

use std::fs;

use tandem_dataset::Dataset;

use crate::{Bench, text};

/// Clicks of a user in the format of a server's event log.
pub(crate) fn events(user: &str, items: &[&str]) -> String {
    let line = |(at, item): (usize, &&str)| {
        format!(
            "{{\"user\":\"{user}\",\"item\":\"{item}\",\"timestamp\":{},\"type\":\"click\",\"id\":\"{user}-{at}\"}}\n",
            1_700_000_000_000 + 1000 * at
        )
    };
    items.iter().enumerate().map(line).collect()
}

fn users(bench: &Bench, folder: &str) -> Vec<String> {
    let dataset = Dataset::load(&bench.path(folder)).unwrap();
    dataset.sequences.into_iter().map(|sequence| sequence.user).collect()
}

#[test]
fn a_user_is_removed_from_event_logs_and_datasets() {
    let bench = Bench::new();
    fs::create_dir(bench.path("log")).unwrap();
    let both = events("ann", &["a", "b"]) + &events("bob", &["b", "c"]);
    bench.write("log/interactions.jsonl", &both);
    bench.write("log/signals.jsonl", events("ann", &["c"]));
    bench.write("moved.jsonl", &both);
    bench.done("import --events log moved.jsonl --out set");
    assert_eq!(users(&bench, "set"), ["ann", "bob"]);

    let said = bench.done("forget ann --events log moved.jsonl --data set");
    assert_eq!(said, "log: 3 events removed\nmoved.jsonl: 2 events removed\nset: removed\n");
    assert_eq!(users(&bench, "set"), ["bob"]);
    for file in ["log/interactions.jsonl", "moved.jsonl"] {
        assert_eq!(fs::read_to_string(bench.path(file)).unwrap(), events("bob", &["b", "c"]));
    }
    assert_eq!(fs::read_to_string(bench.path("log/signals.jsonl")).unwrap(), "");
    let again = bench.run("forget ann --events log --data set");
    assert!(again.status.success());
    assert_eq!(text(&again.stdout), "log: 0 events removed\nset: not found\n");
    assert!(text(&again.stderr).contains("no user \"ann\" was found"));
}

#[test]
fn files_of_other_programs_are_refused() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item\nann,a\n");
    let said = bench.failed(2, "forget ann --events log.csv");
    assert!(said.contains("expected the event log of a server"), "{said}");
    let said = bench.failed(2, "forget ann --events none");
    assert!(said.contains("cannot read none"), "{said}");
    assert_eq!(bench.run("forget ann").status.code(), Some(2));
    #[cfg(feature = "llama")]
    {
        let said = bench.failed(2, "forget ann --out shop");
        assert!(said.contains("expected a folder of `tandem quickstart`"), "{said}");
    }
}
