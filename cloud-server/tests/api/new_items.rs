//! Items that no model knows become candidates in the running program.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tandem_dataset::{
    counts::{CountOptions, CountTable},
    files::sha256_hex_of_file,
    text_vectors::{DEFAULT_TEMPLATE, TextSource, TextVectors, item_text},
};
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    llama::TextEmbedder,
    ranking_signals::{RankingSignals, SignalParts, SignalWeights, SignalsInfo},
    testing::{random_item_tokens, write_tiny_gguf},
};

use crate::{
    fixture::{candidate_ids, catalogue, wait_until},
    process::Process,
    start::Folder,
};

/// Width of the tiny embedding model, and of the reduced vectors.
const DIMS: (usize, usize) = (32, 24);

/// A language model of item tokens, signals in which texts and counts are what matters, and the
/// embedding model of the texts.
struct Files {
    gguf: PathBuf,
    signals: PathBuf,
    embedder: PathBuf,
}

fn files(folder: &Folder) -> Files {
    let [gguf, signals, embedder] =
        ["items.gguf", "signals", "embedder.gguf"].map(|name| folder.path(name));
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    random_item_tokens(&catalogue(), shape, true, 5).write(&gguf, Encoding::F32).unwrap();
    write_tiny_gguf(&embedder, 21).unwrap();
    let model = TextEmbedder::load(&embedder, None, 1).unwrap();
    let texts: Vec<String> =
        catalogue().items().iter().map(|item| item_text(item, DEFAULT_TEMPLATE)).collect();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let values = model.embed(&borrowed, |_| ()).unwrap();
    let source = TextSource {
        model: model.name().to_owned(),
        model_sha256: model.sha256().to_owned(),
        pooling: model.pooling().name().to_owned(),
        template: DEFAULT_TEMPLATE.to_owned(),
    };
    let vectors = TextVectors::new(source, &catalogue(), &texts, DIMS.0, &values).unwrap();
    // The first numbers of a vector.
    let axes: Vec<f32> =
        (0..DIMS.0 * DIMS.1).map(|at| if at / DIMS.1 == at % DIMS.1 { 1.0 } else { 0.0 }).collect();
    let vectors = vectors.reduced(DIMS.1, &axes).unwrap();
    let counts = CountTable::new(catalogue().len(), CountOptions::default());
    let info = SignalsInfo {
        weights: SignalWeights {
            language_model: 0.001,
            counts: 3.0,
            text: 1.0,
            small_model: 0.0,
            temperature: 1.0,
        },
        language_model_sha256: sha256_hex_of_file(&gguf).unwrap(),
        hold_out: 0,
    };
    let parts =
        SignalParts { text: Some(&vectors), counts: Some(&counts), ..SignalParts::default() };
    RankingSignals::write(&signals, &catalogue(), &info, parts).unwrap();
    Files { gguf, signals, embedder }
}

fn command(folder: &Folder, files: &Files) -> Command {
    let mut command = folder.command_with(&files.gguf);
    command
        .arg("--signals")
        .arg(&files.signals)
        .arg("--embedder")
        .arg(&files.embedder)
        .arg("--storage")
        .arg(folder.path("shop.db"))
        .arg("--store-events");
    command
}

fn start(folder: &Folder, command: &mut Command) -> Process {
    let _ = fs::remove_file(folder.path("port"));
    Process::start_with(folder.root.path(), command).ready()
}

/// Stores items, one JSON object each.
fn store(process: &Process, items: &[Value]) {
    let lines: Vec<String> = items.iter().map(Value::to_string).collect();
    let (status, answer) = process.lines("POST", "/v1/items", &lines.join("\n"));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["refused"]), (200, &json!(0)), "{answer}");
}

/// An item with the text of item 7.
fn like_seven(id: &str) -> Value {
    json!({ "id": id, "title": "The film of number 7", "categories": ["Drama"], "year": 1990, "price": 5 })
}

fn list(process: &Process, history: &[&str]) -> Vec<String> {
    candidate_ids(&process.candidates(&json!({ "history": history, "k": 40 })))
}

fn is_listed(process: &Process, id: &str) -> bool {
    list(process, &["7"]).iter().any(|item| item == id)
}

fn set_available(process: &Process, id: &str, is_available: bool) {
    let line = json!({ "id": id, "available": is_available }).to_string();
    assert_eq!(process.lines("PUT", "/v1/availability", &line).0, 200);
}

#[test]
fn a_stored_item_is_recommended_filtered_hidden_kept_and_deleted() {
    let folder = Folder::new();
    let files = files(&folder);
    let mut process = start(&folder, &mut command(&folder, &files));
    assert_eq!(list(&process, &["7"]).len(), 29);
    store(&process, &[like_seven("new"), json!({ "id": "silent" })]);
    wait_until("the new item is a candidate", || is_listed(&process, "new"));
    let found = list(&process, &["7"]);
    assert_eq!((found.len(), found[0].as_str()), (30, "new"), "an item without text is none");

    // What its score is made of, its row, and a history with it.
    let request = json!({ "history": ["7"], "k": 1, "explain": true, "rows": true });
    let first = process.candidates(&request)["candidates"][0].clone();
    let parts = &first["explanation"];
    let part = |name: &str| parts[name].as_f64().unwrap();
    assert!((part("language_model") + part("text") - part("score")).abs() < 1e-4, "{parts}");
    let (status, rows) =
        process.post("/v1/rows", &json!({ "items": ["new", "7", "silent"] }).to_string());
    let rows: Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!(
        (status, rows["rows"].as_array().unwrap().len(), &rows["unknown"]),
        (200, 2, &json!(1))
    );
    assert_eq!(rows["rows"][0]["row"], first["row"]);
    let answer = process.candidates(&json!({ "history": ["new", "silent"], "rows": true }));
    assert_eq!(candidate_ids(&answer)[0], "7");
    assert_eq!(
        (&answer["ignored"]["unknown"], &answer["history_rows"][0]["item"]),
        (&json!(1), &json!("new"))
    );

    // It is similar by its text, also to itself with another id.
    store(&process, &[like_seven("twin")]);
    wait_until("the twin is embedded", || is_listed(&process, "twin"));
    let (status, similar) = process.get("/v1/items/new/similar?limit=3");
    let similar: Value = serde_json::from_slice(&similar).unwrap();
    assert_eq!((status, &similar["by"]), (200, &json!(["text"])), "{similar}");
    let nearest: Vec<_> = similar["items"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(nearest.len(), 3);
    for same in ["7", "twin"] {
        assert!(nearest[..2].contains(&&json!(same)), "{similar}");
    }
    let (_, similar) = process.get("/v1/items/7/similar?limit=2&by=text");
    let similar: Value = serde_json::from_slice(&similar).unwrap();
    let nearest: Vec<_> = similar["items"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert!(nearest.contains(&&json!("new")) && nearest.contains(&&json!("twin")), "{similar}");
    let (_, nothing) = process.get("/v1/items/silent/similar");
    assert_eq!(
        serde_json::from_slice::<Value>(&nothing).unwrap(),
        json!({ "by": [], "items": [] })
    );
    assert_eq!(process.lines("DELETE", "/v1/items/twin", "").0, 204);

    // The preview of the admin page asks for titles.
    let (_, shown) = process.post("/v1/admin/items", &json!({ "items": ["new", "7"] }).to_string());
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["items"][0]["title"], "The film of number 7", "{shown}");
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    // So does its search.
    let (_, found) = process.get("/v1/admin/items?q=new");
    let found: Value = serde_json::from_slice(&found).unwrap();
    assert_eq!((&found["found"], &found["items"][0]["id"]), (&json!(1), &json!("new")), "{found}");

    // Filter and availability.
    let filter = json!({ "price": { "max": 9 } });
    let only = process.candidates(&json!({ "history": ["1"], "filter": filter }));
    assert_eq!((candidate_ids(&only), &only["total"]), (vec!["new".to_owned()], &json!(1)));
    let popular = process.candidates(&json!({ "history": [], "filter": filter }));
    assert_eq!(candidate_ids(&popular), ["new"]);
    let excluded = process.candidates(&json!({ "history": ["7"], "exclude": ["new"] }));
    assert!(!candidate_ids(&excluded).contains(&"new".to_owned()));
    set_available(&process, "new", false);
    assert!(!is_listed(&process, "new"));
    set_available(&process, "new", true);
    assert!(is_listed(&process, "new"));

    // Events count at once and after a restart: it is chosen after item 1.
    for visitor in 0..5 {
        let event = |number: usize, item: &str| json!({ "id": number.to_string(), "type": "click", "item": item, "at": 1_700_000_000_000_u64 });
        let body =
            json!({ "session": format!("v{visitor}"), "events": [event(1, "1"), event(2, "new")] });
        let (status, answer) = process.post("/v1/events", &body.to_string());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, &answer["unknown"]), (200, &json!(0)), "the database has the item");
    }
    assert_eq!(list(&process, &["1"])[0], "new");
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    drop(process);
    let process = start(&folder, &mut command(&folder, &files));
    wait_until("the item is a candidate again", || is_listed(&process, "new"));
    assert_eq!(list(&process, &["1"])[0], "new");

    // Another text, and no item.
    store(&process, &[json!({ "id": "new", "title": "", "price": 5 })]);
    wait_until("an item that lost its text is none", || !is_listed(&process, "new"));
    store(&process, &[like_seven("new")]);
    wait_until("its text is back", || is_listed(&process, "new"));
    assert_eq!(process.lines("DELETE", "/v1/items/new", "").0, 204);
    assert!(!is_listed(&process, "new"));
    // It is stored again.
    store(&process, &[like_seven("new")]);
    wait_until("it is stored again", || is_listed(&process, "new"));
}

#[test]
fn an_event_counts_once_on_every_server_of_a_database() {
    let folder = Folder::new();
    let files = files(&folder);
    let other_folder = Folder::new();
    let first = start(&folder, &mut command(&folder, &files));
    let mut command = other_folder.command_with(&files.gguf);
    command.arg("--signals").arg(&files.signals).arg("--store-events");
    command.arg("--storage").arg(folder.path("shop.db"));
    let second = start(&other_folder, &mut command);
    // How often an item was chosen, by the counts of the ranking signals.
    let chosen = |process: &Process, id: &str| {
        let (_, popular) = process.get("/v1/items/popular");
        let popular: Value = serde_json::from_slice(&popular).unwrap();
        let item = popular["items"].as_array().unwrap().iter().find(|item| item["id"] == id);
        item.unwrap()["score"].as_f64().unwrap()
    };
    let visit = |process: &Process, visitor: &str| {
        let event = |item: &str| json!({ "id": item, "type": "click", "item": item, "at": 1_700_000_000_000_u64 });
        let body = json!({ "session": visitor, "events": [event("1"), event("8")] });
        assert_eq!(process.post("/v1/events", &body.to_string()).0, 200);
    };
    for visitor in ["a", "b", "c", "a"] {
        visit(&first, visitor);
    }
    assert!((chosen(&first, "8") - 3.0).abs() < 1e-9, "at once");
    visit(&second, "d");
    for process in [&first, &second] {
        wait_until("the events of both servers count", || chosen(process, "8") >= 4.0);
        assert_eq!(list(process, &["1"])[0], "8");
    }
    // By now every server has read everything: an event that is read twice would show.
    visit(&second, "e");
    wait_until("the last event counts", || chosen(&first, "8") >= 5.0);
    assert_eq!((chosen(&first, "8"), chosen(&second, "8")), (5.0, 5.0));
}

#[test]
fn no_request_is_lost_while_items_are_stored() {
    let folder = Folder::new();
    let files = files(&folder);
    let process = start(&folder, &mut command(&folder, &files));
    let is_done = AtomicBool::new(false);
    let lists = std::thread::scope(|scope| {
        let visitors: Vec<_> = ["7", "8", "9"]
            .into_iter()
            .map(|item| {
                let (process, is_done) = (&process, &is_done);
                scope.spawn(move || {
                    let mut lists = 0;
                    while lists == 0 || !is_done.load(Ordering::Relaxed) {
                        let found = list(process, &[item, "new-3"]);
                        assert!(found.len() >= 28, "{found:?}");
                        lists += 1;
                    }
                    lists
                })
            })
            .collect();
        for round in 0..8 {
            let items: Vec<Value> =
                (0..10).map(|at| like_seven(&format!("new-{}", round * 10 + at))).collect();
            store(&process, &items);
        }
        wait_until("all are candidates", || {
            list(&process, &["7"]).len() == 40 && {
                let filter = json!({ "price": { "max": 9 } });
                let answer = process.candidates(&json!({ "history": ["7"], "filter": filter }));
                answer["total"] == 80
            }
        });
        is_done.store(true, Ordering::Relaxed);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum::<usize>()
    });
    assert!(lists >= 3);
}

#[test]
fn titles_need_no_embedder() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.arg("--storage").arg(folder.path("shop.db"));
    let process = start(&folder, &mut command);
    store(&process, &[json!({ "id": "new", "title": "A new film", "categories": ["New"] })]);
    let filter = json!({ "categories": ["New"] });
    let of_category = |history: &[&str]| {
        let request = json!({ "history": history, "filter": filter });
        candidate_ids(&process.candidates(&request))
    };
    wait_until("the title is in the trie", || of_category(&["1"]) == ["new"]);
    assert!(list(&process, &["new"]).len() == 30, "all films, and not the history");
    assert_eq!(list(&process, &["1"]).len(), 30);
    assert_eq!(process.lines("DELETE", "/v1/items/new", "").0, 204);
    assert_eq!(list(&process, &["1"]).len(), 29);
}

#[test]
fn an_embedder_that_does_not_fit_is_refused() {
    let folder = Folder::new();
    let files = files(&folder);
    let refusal = |command: &mut Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    };
    write_tiny_gguf(&folder.path("other.gguf"), 22).unwrap();
    let other = Files {
        embedder: folder.path("other.gguf"),
        gguf: files.gguf.clone(),
        signals: files.signals.clone(),
    };
    let said = refusal(&mut command(&folder, &other));
    assert!(said.contains("give the same file with --embedder"), "{said}");

    let missing = Files { embedder: folder.path("none.gguf"), ..other };
    let said = refusal(&mut command(&folder, &missing));
    assert!(said.contains("none.gguf"), "{said}");

    let mut without_storage = folder.command_with(&files.gguf);
    without_storage.arg("--signals").arg(&files.signals).arg("--embedder").arg(&files.embedder);
    let said = refusal(&mut without_storage);
    assert!(said.contains("--embedder") && said.contains("--storage"), "{said}");

    let mut without_signals = folder.command_with(&files.gguf);
    without_signals
        .arg("--embedder")
        .arg(&files.embedder)
        .arg("--storage")
        .arg(folder.path("a.db"));
    let said = refusal(&mut without_signals);
    assert!(said.contains("needs ranking signals with text vectors"), "{said}");

    // Signals whose vectors were reduced, as an earlier version wrote them.
    let path = files.signals.join("text.safetensors");
    let vectors = TextVectors::read(&path).unwrap();
    TextVectors::new(
        vectors.source.clone(),
        &catalogue(),
        &vec![String::new(); 30],
        DIMS.1,
        &vectors.values(),
    )
    .unwrap()
    .write(&path)
    .unwrap();
    let said = refusal(&mut command(&folder, &files));
    assert!(said.contains("does not say how they were reduced"), "{said}");
}
