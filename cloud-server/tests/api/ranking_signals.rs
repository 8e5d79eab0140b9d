//! Ranking signals beside a language model of item tokens, in the running program.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tandem_dataset::{
    ItemIndex,
    counts::{CountOptions, CountTable},
    files::sha256_hex_of_file,
};
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    ranking_signals::{RankingSignals, SignalParts, SignalWeights, SignalsInfo},
    testing::random_item_tokens,
};

use crate::{
    fixture::{candidate_ids, catalogue, wait_until},
    process::Process,
    start::{Folder, assert_mentions, sentence},
};

/// A language model with random weights and signals in which counts are all that matters.
pub(crate) fn with_signals(folder: &Folder) -> (PathBuf, PathBuf) {
    let (gguf, signals) = (folder.path("items.gguf"), folder.path("signals"));
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    random_item_tokens(&catalogue(), shape, true, 5).write(&gguf, Encoding::F32).unwrap();
    let mut counts = CountTable::new(catalogue().len(), CountOptions::default());
    counts.add(&[ItemIndex(0)], ItemIndex(6), 100);
    let info = SignalsInfo {
        weights: SignalWeights {
            language_model: 0.01,
            counts: 1.0,
            text: 0.0,
            small_model: 0.0,
            temperature: 1.0,
        },
        language_model_sha256: sha256_hex_of_file(&gguf).unwrap(),
        hold_out: 0,
    };
    let parts = SignalParts { counts: Some(&counts), ..SignalParts::default() };
    RankingSignals::write(&signals, &catalogue(), &info, parts).unwrap();
    (gguf, signals)
}

fn command(folder: &Folder, (gguf, signals): &(PathBuf, PathBuf)) -> Command {
    let mut command = folder.command_with(gguf);
    command.arg("--signals").arg(signals).arg("--events").arg(folder.path("log"));
    command
}

/// The best item after item 1, which is the first of the catalogue.
pub(crate) fn best(process: &Process) -> String {
    let answer = process.candidates(&json!({ "history": ["1"], "k": 3 }));
    candidate_ids(&answer).remove(0)
}

pub(crate) fn click(process: &Process, session: &str, items: &[&str], at: u64) {
    let events: Vec<Value> = items
        .iter()
        .enumerate()
        .map(|(number, item)| {
            json!({ "id": format!("e{number}"), "type": "click", "item": item, "at": at })
        })
        .collect();
    let body = json!({ "session": session, "events": events }).to_string();
    let (status, answer) = process.post("/v1/events", &body);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn what_visitors_choose_together_is_in_the_next_list_and_survives_a_restart() {
    let folder = Folder::new();
    let files = with_signals(&folder);
    let mut process =
        Process::start_with(folder.root.path(), &mut command(&folder, &files)).ready();
    assert_eq!(best(&process), "7", "counted before the server started");

    // Five visitors choose item 5 after item 1.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    for visitor in 0..5 {
        click(&process, &format!("visitor-{visitor}"), &["1", "5"], now);
    }
    assert_eq!(best(&process), "5");
    // The same events again change nothing: 7 was counted once, 5 five times.
    click(&process, "visitor-0", &["1", "5"], now);

    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    drop(process);
    fs::remove_file(folder.path("port")).unwrap();
    let process = Process::start_with(folder.root.path(), &mut command(&folder, &files)).ready();
    assert_eq!(best(&process), "5", "counted again from the log");
}

/// Without an embedding model.
#[test]
fn items_that_only_the_database_has_are_similar_by_counts() {
    let folder = Folder::new();
    let (gguf, signals) = with_signals(&folder);
    let mut command = folder.command_with(&gguf);
    command.arg("--signals").arg(signals).arg("--storage").arg(folder.path("shop.db"));
    let server = Process::start_with(folder.root.path(), command.arg("--store-events")).ready();
    let items = "{\"id\":\"x\"}\n{\"id\":\"y\",\"title\":\"Hat\"}\n{\"id\":\"alone\"}\n";
    assert_eq!(server.lines("POST", "/v1/items", items).0, 200);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    click(&server, "ann", &["x", "y"], now);
    click(&server, "bob", &["3", "x"], now);
    let similar = |id: &str, by: &str| {
        let (status, body) = server.get(&format!("/v1/items/{id}/similar{by}"));
        assert_eq!(status, 200);
        let list: Value = serde_json::from_slice(&body).unwrap();
        let ids = list["items"].as_array().unwrap().iter().map(|item| item["id"].clone());
        (list["by"].clone(), ids.collect::<Vec<_>>())
    };
    wait_until("the texts are read", || similar("y", "?by=counts").1 == ["x"]);
    for by in ["", "?by=counts"] {
        assert_eq!(similar("y", by), (json!(["counts"]), vec![json!("x")]));
        let (_, of_x) = similar("x", by);
        assert_eq!(of_x.len(), 2, "{of_x:?}");
        assert!(of_x.contains(&json!("y")) && of_x.contains(&json!("3")), "{of_x:?}");
        assert_eq!(similar("alone", by), (json!([]), vec![]));
    }
    // An item of the catalogue, whose small model row is compared as well.
    assert!(similar("3", "").1.contains(&json!("x")));
}

#[test]
fn an_explanation_sums_to_the_score_and_orders_the_list() {
    let folder = Folder::new();
    let files = with_signals(&folder);
    let process = Process::start_with(folder.root.path(), &mut command(&folder, &files)).ready();
    let explained = |history: &[&str]| {
        let request = json!({ "history": history, "k": 10, "explain": true });
        let answer = process.candidates(&request);
        answer["candidates"].as_array().unwrap().clone()
    };
    let number = |value: &Value| value.as_f64().unwrap();
    let counted = explained(&["1"]);
    let first = &counted[0];
    for candidate in &counted {
        let parts = &candidate["explanation"];
        let sum = number(&parts["language_model"]) + number(&parts["counts"]);
        assert!((sum - number(&parts["score"])).abs() < 1e-4, "{parts}");
        assert_eq!((parts.get("text"), parts.get("small_model")), (None, None));
        // Log-probabilities are scores minus one number.
        let below = number(&first["explanation"]["score"]) - number(&parts["score"]);
        let expected = number(&first["logprob"]) - number(&candidate["logprob"]);
        assert!((below - expected).abs() < 1e-4, "{below} {expected}");
    }
    // Item 7 was counted after item 1; nothing was counted near item 3.
    assert!(number(&first["explanation"]["counts"]) > 1.0);
    assert_eq!(explained(&["3"])[0]["explanation"].get("counts"), None);
    // Most popular items, for a history that is empty.
    assert_eq!(explained(&[])[0].get("explanation"), None);
}

#[test]
fn signals_of_another_model_or_catalogue_are_refused() {
    let folder = Folder::new();
    let (gguf, signals) = with_signals(&folder);
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    random_item_tokens(&catalogue(), shape, true, 6).write(&gguf, Encoding::F32).unwrap();
    let files = (gguf, signals);
    // Before the server listens, and so by `--check` as well.
    let mut start = command(&folder, &files);
    let said = sentence(start.arg("--port-file").arg(folder.path("port")));
    assert!(said.contains("the signals were fitted for the language model"), "{said}");
    assert!(!folder.path("port").exists());
    assert_eq!(sentence(command(&folder, &files).arg("--check")), said);

    fs::write(files.1.join("counts.safetensors"), b"x").unwrap();
    let output = command(&folder, &files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot use the ranking signals") && said.contains("counts"), "{said}");
}

#[test]
fn a_missing_file_of_a_signal_is_refused() {
    let folder = Folder::new();
    let files = with_signals(&folder);
    let checked = command(&folder, &files).arg("--check").output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let counts = files.1.join("counts.safetensors");
    fs::remove_file(&counts).unwrap();
    let said = sentence(command(&folder, &files).arg("--check"));
    assert_mentions(&said, &[&counts.display().to_string(), "counts", "tandem fit-signals"]);
    assert_eq!(sentence(&mut command(&folder, &files)), said);
}
