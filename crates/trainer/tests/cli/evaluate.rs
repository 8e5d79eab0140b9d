//! `tandem evaluate`.

use std::fs;

use tandem_evaluation::{History, ResultRow};

use crate::Bench;

fn rows(bench: &Bench, options: &str) -> Vec<ResultRow> {
    let table =
        bench.done(&format!("evaluate --protocol standard --data set {options} --json r.json"));
    let rows: Vec<ResultRow> =
        serde_json::from_slice(&fs::read(bench.path("r.json")).unwrap()).unwrap();
    assert_eq!(table.lines().count(), rows.len() + 2, "head, rule and a line a row: {table}");
    rows
}

#[test]
fn baselines_are_ranked_as_by_hand() {
    let bench = Bench::new();
    bench.import_sample();
    // Training part: 1: 10 20, 2: 10, 3: 20 30, 4: 60 10. Counts: 10 thrice, 20 twice,
    // 30 and 60 once, 40 and 50 never. Test targets with the history removed:
    // 1: 40 after 10 20 30 -> 60, 40: rank 1. 2: 30 after 10 20 -> rank 0.
    // 3: 50 after 20 30 40 -> 10, 60, 50: rank 2. User 4 is too short.
    let found = rows(&bench, "");
    assert_eq!(found.len(), 8);
    let popularity = &found[0];
    assert_eq!((popularity.name.as_str(), popularity.refit), ("popularity", false));
    assert_eq!((popularity.history, popularity.metrics.count), (History::Removed, 3));
    let expected = (1.0 / 3.0_f64.log2() + 1.0 + 0.5) / 3.0;
    assert!((popularity.ndcg10 - expected).abs() < 1e-12);
    assert_eq!(popularity.metrics.at(1).map(|at| at.hr), Some(1.0 / 3.0));
    assert!(found.iter().any(|row| row.name == "co-occurrence" && row.refit));
    assert_eq!(popularity.command, "tandem evaluate --protocol standard --data set --json r.json");
    assert_eq!(found, rows(&bench, ""), "the same figures again");
}

#[test]
fn on_validation_nothing_is_refitted() {
    let bench = Bench::new();
    bench.import_sample();
    let found = rows(&bench, "--part validation");
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|row| !row.refit));
}

#[test]
fn rows_have_the_fields_that_result_files_promise() {
    let bench = Bench::new();
    bench.import_sample();
    rows(&bench, "");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.path("r.json")).unwrap()).unwrap();
    for field in ["name", "seed", "hr10", "ndcg10", "budget", "calls", "command"] {
        assert!(json[0].get(field).is_some(), "{field}");
    }
}

#[test]
fn data_without_targets_is_refused() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item\n1,2\n1,3\n");
    bench.done("import csv --log log.csv --name n --out set");
    let said = bench.failed(2, "evaluate --protocol standard --data set");
    assert!(said.contains("found none"), "{said}");
    bench.failed(2, "evaluate --protocol standard --data none");
}
