//! The database: events, items, availability, and the commands on it.

use std::{fs, path::Path, process::Command};

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use tandem_dataset::{ImportOptions, import};
use tandem_storage::{Location, Storage};

use crate::{
    fixture::{Fixture, Options, candidate_ids},
    http::{app, post, send},
};

fn storing(folder: &Path) -> Options {
    let location = Location::Sqlite(folder.join("storage.db"));
    Options { storage: Some(Storage::open(&location).unwrap()), ..Options::default() }
}

fn events(session: &str, ids: &[&str]) -> String {
    let event =
        |id: &&str| json!({ "id": id, "type": "click", "item": "1", "at": 1_700_000_000_000_u64 });
    json!({ "session": session, "events": ids.iter().map(event).collect::<Vec<_>>() }).to_string()
}

fn lines(method: TestRequest, path: &str, media_type: &str, body: &str) -> TestRequest {
    method.uri(path).insert_header(("content-type", media_type)).set_payload(body.to_owned())
}

#[actix_rt::test]
async fn events_are_stored_once_exported_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { store_events: true, ..storing(folder.path()) };
    let app = app(&Fixture::with(options)).await;
    let reply = post(&app, "/v1/events", events("ann", &["1", "2"])).await.json();
    assert_eq!(reply, json!({ "accepted": 2, "repeated": 0, "unknown": 0 }));
    let reply = post(&app, "/v1/events", events("ann", &["2", "3"])).await.json();
    assert_eq!(reply, json!({ "accepted": 1, "repeated": 1, "unknown": 0 }));
    let number = json!({ "disagreement": 0.5 }).to_string();
    assert_eq!(post(&app, "/v1/disagreements", number).await.status, 204);
    let user = || send(&app, TestRequest::get().uri("/v1/users/ann"));
    let export = user().await.json();
    assert_eq!(export["name"], "ann");
    assert_eq!(export["events"].as_array().unwrap().len(), 3);
    let removed = send(&app, TestRequest::delete().uri("/v1/users/ann")).await.json();
    assert_eq!(removed, json!({ "removed": 3 }));
    assert_eq!(user().await.json()["events"], json!([]));
}

#[actix_rt::test]
async fn hidden_items_are_no_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let sold_out = r#"{"id":"2","available":false}"#;
    let request = lines(TestRequest::post(), "/v1/items", "application/x-ndjson", sold_out);
    assert_eq!(send(&app, request).await.status, 200);
    let request = json!({ "items": [], "counts": ["1"] }).to_string();
    let reply = post(&app, "/v1/rows", request).await.json();
    let near = reply["counts"][0]["near"].as_array().unwrap();
    assert_eq!(near.iter().map(|it| it["item"].clone()).collect::<Vec<_>>(), ["3"]);
}

#[actix_rt::test]
async fn without_store_events_nothing_about_visitors_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let refusal = post(&app, "/v1/events", events("ann", &["1"])).await.refusal();
    assert_eq!(refusal, "404 not_found");
    let user = send(&app, TestRequest::get().uri("/v1/users/ann")).await;
    assert_eq!(user.refusal(), "404 not_found");
}

#[actix_rt::test]
async fn items_are_stored_found_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let body = "{\"id\":\"new-1\",\"title\":\"Red shoe\",\"categories\":[\"Shoes\"],\"price\":9.5}\n\
                {\"id\":\"new-2\",\"title\":\"Blue shoe\",\"price\":-1}\n\
                not json\n\
                {\"id\":\"new-3\",\"title\":\"Hat\",\"colour\":\"red\"}\n\
                {\"id\":\"new-4\",\"title\":\"Sock\"}";
    let request = lines(TestRequest::post(), "/v1/items", "application/x-ndjson", body);
    let reply = send(&app, request).await.json();
    assert_eq!((&reply["added"], &reply["refused"]), (&json!(2), &json!(3)));
    let errors = reply["errors"].as_array().unwrap();
    let numbers: Vec<&Value> = errors.iter().map(|error| &error["line"]).collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert!(errors[2]["detail"].as_str().unwrap().contains("unknown field `colour`"), "{errors:?}");
    let csv = "id,title,categories,colour\n7,\"A, b\",Shoes|Sale,red\n";
    let reply = send(&app, lines(TestRequest::post(), "/v1/items", "text/csv", csv)).await.json();
    assert_eq!(reply["added"], 1);

    let list = |path: &'static str| {
        let app = &app;
        async move {
            let reply = send(app, TestRequest::get().uri(path)).await.json();
            let items = reply["items"].as_array().unwrap();
            items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(list("/v1/items").await, ["7", "new-1", "new-4"]);
    assert_eq!(list("/v1/items?limit=1&after=7").await, ["new-1"]);
    assert_eq!(list("/v1/items?q=red%20sh").await, ["new-1"]);
    assert_eq!(list("/v1/items?category=Shoes&available=true").await, ["7", "new-1"]);
    let one = send(&app, TestRequest::get().uri("/v1/items/7")).await.json();
    assert_eq!((&one["title"], &one["attributes"]), (&json!("A, b"), &json!({ "colour": "red" })));
    assert_eq!(send(&app, TestRequest::delete().uri("/v1/items/7")).await.status, 204);
    for request in [TestRequest::get(), TestRequest::delete()] {
        assert_eq!(send(&app, request.uri("/v1/items/7")).await.refusal(), "404 not_found");
    }
    let wrong = lines(TestRequest::post(), "/v1/items", "application/json", "[]");
    assert_eq!(send(&app, wrong).await.refusal(), "415 unsupported_media_type");
    for path in
        ["/v1/items?limit=0", "/v1/items?limit=x", "/v1/items?colour=red", "/v1/items?q=%00"]
    {
        assert_eq!(send(&app, TestRequest::get().uri(path)).await.status, 400, "{path}");
    }
}

#[actix_rt::test]
async fn what_is_not_available_or_deleted_is_not_recommended() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(storing(folder.path()));
    let app = app(&fixture).await;
    let body = (1..=30).map(|id| format!("{{\"id\":\"{id}\"}}\n")).collect::<Vec<_>>().concat();
    send(&app, lines(TestRequest::post(), "/v1/items", "application/x-ndjson", &body)).await.json();
    let first = || async {
        let body = json!({ "history": ["9"], "k": 3 }).to_string();
        candidate_ids(&post(&app, "/v1/candidates", body).await.json())
    };
    assert_eq!(first().await, ["1", "2", "3"]);
    let body = "id,available\n1,false\n3,no\nmissing,false\n4,perhaps\n";
    let request = lines(TestRequest::put(), "/v1/availability", "text/csv", body);
    let reply = send(&app, request).await.json();
    assert_eq!(
        (&reply["changed"], &reply["unknown"], &reply["refused"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(reply["errors"][0]["line"], 5);
    assert_eq!(first().await, ["2", "4", "5"]);
    assert_eq!(send(&app, TestRequest::delete().uri("/v1/items/2")).await.status, 204);
    assert_eq!(first().await, ["4", "5", "6"]);
    let body = "{\"id\":\"1\",\"available\":true}\n";
    let request = lines(TestRequest::put(), "/v1/availability", "application/x-ndjson", body);
    assert_eq!(send(&app, request).await.json()["changed"], 1);
    assert_eq!(first().await, ["1", "4", "5"]);
}

#[actix_rt::test]
async fn without_a_storage_there_are_no_items() {
    let app = app(&Fixture::new()).await;
    assert_eq!(send(&app, TestRequest::get().uri("/v1/items")).await.refusal(), "404 not_found");
    let request = lines(TestRequest::put(), "/v1/availability", "text/csv", "id,available\n");
    assert_eq!(send(&app, request).await.refusal(), "404 not_found");
}

#[test]
fn an_export_is_imported_and_a_backup_restored() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("storage.db");
    let storage = Storage::open(&Location::Sqlite(database.clone())).unwrap();
    for session in ["ann", "bob"] {
        let clicks = (0..6).map(|number| {
            let event = json!({ "id": format!("e{number}"), "type": "click", "item": format!("i{}", number % 3 + 1), "at": 1_700_000_000_000_u64 + number });
            serde_json::from_value(event).unwrap()
        });
        storage.block_on(storage.append_events(session, clicks.collect())).unwrap();
    }
    let view = json!({ "id": "v", "type": "view", "item": "seen", "at": 1_700_000_000_000_u64 });
    let view = vec![serde_json::from_value(view).unwrap()];
    storage.block_on(storage.append_events("ann", view)).unwrap();
    let run = |arguments: &[&str], path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command.args(arguments).arg(path);
        command.output().unwrap()
    };
    let url = format!("sqlite:{}", database.display());
    let mut datasets = Vec::new();
    for name in ["events.jsonl", "events.parquet"] {
        let path = folder.path().join(name);
        let output = run(&["export", "--storage", &url, "--out"], &path);
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("12 events"), "{output:?}");
        let options = ImportOptions::new("shop".to_owned(), vec![path]);
        datasets.push(import(&options).unwrap().dataset);
    }
    assert_eq!(datasets[0].catalogue.hash(), datasets[1].catalogue.hash());
    assert_eq!(datasets[0].sequences, datasets[1].sequences);
    let users: Vec<&str> = datasets[0].sequences.iter().map(|it| it.user.as_str()).collect();
    assert_eq!(users, ["ann", "bob"]);
    let later = folder.path().join("later.jsonl");
    let output = run(&["export", "--storage", &url, "--since", "2999-01-01", "--out"], &later);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&later).unwrap(), "");
    let missing = folder.path().join("none.db");
    for command in ["export", "backup"] {
        let path = folder.path().join("of-none.jsonl");
        let output = run(&[command, "--storage", missing.to_str().unwrap(), "--out"], &path);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("there is no file"), "{said}");
        assert!(!missing.exists(), "an empty database was made");
    }
    let wrong = run(&["export", "--storage", &url, "--out"], &folder.path().join("events.xlsx"));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains(".parquet"), "{wrong:?}");

    let backup = folder.path().join("backup");
    assert!(run(&["backup", "--storage", &url, "--out"], &backup).status.success());
    // Neither command replaces a file unless it is told to.
    fs::write(&later, "of the operator").unwrap();
    for command in ["export", "backup"] {
        let output = run(&[command, "--storage", &url, "--out"], &later);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("--overwrite"), "{said}");
        assert_eq!(fs::read(&later).unwrap(), b"of the operator");
        let copy = folder.path().join("copy.jsonl");
        fs::write(&copy, "of the operator").unwrap();
        let output = run(&[command, "--storage", &url, "--overwrite", "--out"], &copy);
        assert!(output.status.success(), "{output:?}");
        assert_ne!(fs::read(&copy).unwrap(), b"of the operator");
    }

    // A backup that is refused leaves no database behind, also if it is damaged behind its header.
    let cut = folder.path().join("cut");
    let whole = zstd::decode_all(&*fs::read(&backup).unwrap()).unwrap();
    fs::write(&cut, zstd::encode_all(&whole[..whole.len() / 2], 3).unwrap()).unwrap();
    let entries = || fs::read_dir(folder.path()).unwrap().count();
    let before = entries();
    for wrong in [&later, &cut, &folder.path().join("no-such-file")] {
        let new = format!("sqlite:{}", folder.path().join("new.db").display());
        let output = run(&["restore", "--storage", &new, "--from"], wrong);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(entries(), before, "{}", wrong.display());
    }

    let other = format!("sqlite:{}", folder.path().join("other.db").display());
    let output = run(&["restore", "--storage", &other, "--from"], &backup);
    assert!(output.status.success(), "{output:?}");
    let again = run(&["restore", "--storage", &other, "--from"], &backup);
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"), "{again:?}");
    assert!(folder.path().join("other.db").exists());
    let restored = Storage::open(&other.parse().unwrap()).unwrap();
    assert_eq!(restored.block_on(restored.user_events("ann")).unwrap().len(), 7);
}

#[test]
fn a_forgotten_visitor_is_left_out_of_earlier_exports_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("storage.db");
    let storage = Storage::open(&Location::Sqlite(database.clone())).unwrap();
    for session in ["ann", "bob"] {
        let clicks = ["a", "b", "c"].map(|item| {
            let event = json!({ "id": item, "type": "click", "item": item, "at": 1 });
            serde_json::from_value(event).unwrap()
        });
        storage.block_on(storage.append_events(session, clicks.to_vec())).unwrap();
    }
    let export = |name: &str, options: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command.args(["export", "--storage"]).arg(&database).arg("--out");
        let output = command.arg(folder.path().join(name)).args(options).output().unwrap();
        String::from_utf8_lossy(if output.status.success() {
            &output.stdout
        } else {
            &output.stderr
        })
        .into_owned()
    };
    assert!(export("before.jsonl", &[]).starts_with("6 events"));
    storage.block_on(storage.forget_user("bob")).unwrap();
    // Nothing is stored of this one any more, but something may have been exported.
    storage.block_on(storage.forget_user("cat")).unwrap();
    let list = folder.path().join("forgotten.json");
    let dan = tandem_dataset::files::sha256_hex("dan");
    fs::write(&list, json!([dan]).to_string()).unwrap();
    let options = [Path::new("--forgotten"), &list];
    let printed = export("after.jsonl", &options);
    assert!(printed.starts_with("3 events") && printed.contains("3 forgotten"), "{printed}");
    let names = fs::read_to_string(&list).unwrap();
    for name in ["bob", "cat", "dan"] {
        assert!(names.contains(&tandem_dataset::files::sha256_hex(name)), "{name}: {names}");
    }
    let files = ["before.jsonl", "after.jsonl"].map(|name| folder.path().join(name)).to_vec();
    let options = ImportOptions {
        forgotten: serde_json::from_str(&names).unwrap(),
        ..ImportOptions::new("shop".to_owned(), files)
    };
    let dataset = import(&options).unwrap().dataset;
    let users: Vec<&str> = dataset.sequences.iter().map(|it| it.user.as_str()).collect();
    assert_eq!(users, ["ann"]);
    fs::write(&list, "no list").unwrap();
    let refusal = export("third.jsonl", &[Path::new("--forgotten"), &list]);
    assert!(refusal.contains("expected a list of hashes"), "{refusal}");
}
