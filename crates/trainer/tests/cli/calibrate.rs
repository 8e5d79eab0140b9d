//! `tandem calibrate`.

use std::fs;

use serde_json::{Value, json};
use tandem_dataset::Dataset;

use crate::{Bench, export};

const CALIBRATE: &str = "calibrate --data set --srm srm.safetensors --lists lists.jsonl \
                         --clicks 2 --skip 0 --budget 0.5 --out calibration.json";

/// Lists for the last two clicks of users 0 and 2, who have four items each.
fn bench() -> Bench {
    with_lists([&[5, 2, 3], &[3, 4, 5], &[3, 0, 5], &[0, 4, 5]])
}

/// These lists in the order of users and clicks.
fn with_lists(lists: [&[usize]; 4]) -> Bench {
    let bench = export::bench();
    let hash = Dataset::load(&bench.path("set")).unwrap().catalogue.hash().to_owned();
    let mut lines = vec![json!({"model": "m", "model_sha256": "", "catalogue_hash": hash, "k": 4})];
    for ((user, length), items) in [(0, 2), (0, 3), (2, 2), (2, 3)].into_iter().zip(lists) {
        let logprobs: Vec<f64> = (0..items.len()).map(|rank| -1.0 - rank as f64).collect();
        lines.push(json!({"user": user, "length": length, "items": items, "logprobs": logprobs}));
    }
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    bench.write("lists.jsonl", lines.join("\n") + "\n");
    bench
}

fn calibration(bench: &Bench) -> Value {
    serde_json::from_slice(&fs::read(bench.path("calibration.json")).unwrap()).unwrap()
}

fn near(found: &Value, expected: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - expected).abs() < 1e-6)
}

#[test]
fn what_is_chosen_can_be_exported_and_evaluated() {
    let bench = bench();
    bench.write("start.json", r#"{"learning":{"row_rate":0.01},"policy":{"min_unseen":3}}"#);
    let said = bench.done(&format!("{CALIBRATE} --calibration start.json"));
    // Two sessions: two lists before their first click, and before the second also the old
    // one. A rule may call once in each.
    assert!(said.contains("fusion, on 6 lists"), "{said}");
    assert!(said.contains("decision, on 2 sessions"), "{said}");
    assert!(said.contains("| never | 0.000 |") && said.contains("| always | 1.000 |"), "{said}");
    let chosen = calibration(&bench);
    assert_eq!(chosen["fusion"]["rule"], "weighted");
    assert_eq!(chosen["policy"]["trigger"]["when"], "uplift");
    // One of the ways of learning that were tried, under the limits that were given.
    assert!([0.0, 0.01].iter().any(|rate| near(&chosen["learning"]["row_rate"], *rate)));
    assert_eq!(said.matches("\n  0").count(), 4, "{said}");
    assert!(chosen["policy"]["trigger"]["model"]["expected_gain"].is_number());
    assert_eq!(chosen["policy"]["min_unseen"], 3, "the limits are those that were given");
    assert_eq!(bench.done(&format!("{CALIBRATE} --calibration start.json")), said);
    assert_eq!(calibration(&bench), chosen, "the same choice again");
    bench.done("export --data set --srm srm.safetensors --out a --calibration calibration.json");
}

#[test]
fn fusion_and_learning_can_be_left_as_they_are() {
    let bench = bench();
    let start = r#"{"fusion":{"rule":"paper","beta":2.0},"learning":{"preference_rate":0.125}}"#;
    bench.write("start.json", start);
    bench.done(&format!("{CALIBRATE} --calibration start.json --keep-fusion --keep-learning"));
    assert_eq!(calibration(&bench)["fusion"], json!({"rule": "paper", "beta": 2.0}));
    assert!(near(&calibration(&bench)["learning"]["preference_rate"], 0.125));
}

#[test]
fn the_device_searches_as_exported_unless_told_otherwise() {
    let bench = bench();
    let whole = bench.done(CALIBRATE);
    assert_eq!(bench.done(&format!("{CALIBRATE} --search whole")), whole);
    // The last click of user 2 is not on the list before: only the search finds it.
    assert_ne!(bench.done(&format!("{CALIBRATE} --search none")), whole);
}

#[test]
fn lists_of_other_clicks_are_refused() {
    let bench = bench();
    let said = bench.run(&CALIBRATE.replace("--clicks 2", "--clicks 3"));
    let message = crate::text(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{message}");
    assert!(message.contains("found no such session"), "{message}");
    assert!(!bench.path("calibration.json").exists());
}

#[test]
fn lists_with_the_whole_catalogue_leave_the_decision_as_it_is() {
    let bench = with_lists([&[5, 2, 3, 4], &[3, 4, 5], &[3, 0, 5, 4], &[0, 4, 5]]);
    bench.write("start.json", r#"{"policy":{"trigger":{"when":"every_kth_click","k":7}}}"#);
    let said = bench.done(&format!("{CALIBRATE} --calibration start.json"));
    assert!(said.contains("fusion, on 6 lists"), "{said}");
    assert!(said.contains("decision: unchanged, because the lists hold every item"), "{said}");
    assert_eq!(
        calibration(&bench)["policy"]["trigger"],
        json!({"when": "every_kth_click", "k": 7})
    );
    bench.done("export --data set --srm srm.safetensors --out a --calibration calibration.json");
}

#[test]
fn sessions_of_one_click_leave_the_decision_as_it_is() {
    let bench = bench();
    let said = bench.done(&CALIBRATE.replace("--clicks 2", "--clicks 1"));
    assert!(said.contains("decision: unchanged"), "{said}");
}
