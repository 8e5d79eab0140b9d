//! PostgreSQL that is gone, and a file that was removed: what is known is answered, the rest is refused
//! with a reason.

use std::{fs, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    fixture::{candidate_ids, wait_until},
    postgres::Schema,
    process::Process,
    proxy::Proxy,
    releases::{FIRST, SECOND, use_release, write_release},
    start::Folder,
};

fn json_of((status, body): (u16, Vec<u8>)) -> (u16, Value) {
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn click(server: &Process, id: &str, item: &str) -> (u16, Value) {
    let event = json!({ "id": id, "type": "click", "item": item, "at": 1_700_000_000_000_u64 });
    let body = json!({ "session": "ann", "events": [event] }).to_string();
    json_of(server.post("/v1/events", &body))
}

const LISTS: [&str; 4] = [
    "/v1/items/popular?limit=5",
    "/v1/items/latest?limit=5",
    "/v1/items/trending?limit=5",
    "/v1/items/9/similar?limit=5",
];

fn lists(server: &Process) -> Vec<Value> {
    let list = |path: &&str| {
        let (status, mut list) = json_of(server.get(path));
        assert_eq!(status, 200, "{path}: {list}");
        // That of trends decreases with the time.
        for item in list["items"].as_array_mut().unwrap() {
            item["score"] = Value::Null;
        }
        list
    };
    LISTS.iter().map(list).collect()
}

#[test]
fn while_postgresql_is_gone_lists_of_items_go_on_and_the_rest_is_refused_at_once() {
    let Some(schema) = Schema::new() else { return };
    let proxy = Proxy::start("127.0.0.1:5432");
    let folder = Folder::new();
    let mut command = folder.command();
    command.args(["--storage", &schema.url(proxy.port), "--store-events"]);
    let server = Process::start_with(folder.root.path(), &mut command).ready();
    let item = "{\"id\":\"new\",\"title\":\"New shoe\",\"categories\":[\"Shoes\"],\"price\":9.5}\n";
    let latest = || json_of(server.get("/v1/items/latest?limit=200")).1["items"].clone();
    wait_until("the catalogue is copied", || latest().as_array().unwrap().len() == 30);
    assert_eq!(server.lines("POST", "/v1/items", item).0, 200);
    for (number, id) in ["new", "3", "new"].iter().enumerate() {
        assert_eq!(click(&server, &number.to_string(), id).0, 200);
    }
    wait_until("the events are counted", || {
        let trending = json_of(server.get(LISTS[2])).1;
        trending["items"].as_array().unwrap().len() == 2
    });
    let before = lists(&server);
    assert_eq!(before[1]["items"][0]["title"], "New shoe");
    assert_eq!(
        before[2]["items"][0],
        json!({ "id": "new", "title": "New shoe", "score": null,
        "categories": ["Shoes"], "price": 9.5, "available": true })
    );
    let ready = || json_of(server.get("/readyz"));
    assert_eq!(ready().1["storage"], "ready");

    proxy.cut(true);
    wait_until("the outage is known", || ready().1["storage"] == "unavailable");
    assert_eq!(ready().0, 200, "lists go on");
    // An hour and more, if each waited for the database.
    for _ in 0..300 {
        assert_eq!(lists(&server), before);
        for path in ["/v1/items?limit=1", "/v1/items/new", "/v1/users/ann"] {
            let (status, problem) = json_of(server.get(path));
            assert_eq!((status, &problem["code"]), (503, &json!("overloaded")), "{path}");
        }
        assert_eq!(click(&server, "x", "1").0, 503);
    }
    // Lists that were never shown.
    let shoes = json_of(server.get("/v1/items/latest?category=Shoes")).1;
    assert_eq!(shoes["items"][0]["id"], "new");
    assert_eq!(latest().as_array().unwrap().len(), 31);
    let all = json_of(server.get("/v1/items/popular?limit=200")).1;
    assert_eq!(all["items"].as_array().unwrap().len(), 31);

    proxy.cut(false);
    wait_until("events are accepted again", || click(&server, "y", "3").0 == 200);
    wait_until("the server says so", || ready().1["storage"] == "ready");
    let refused = json_of(server.get("/v1/users/ann")).1;
    let stored = refused["events"].as_array().unwrap().iter().map(|it| &it["id"]);
    assert_eq!(stored.collect::<Vec<_>>(), ["0", "1", "2", "y"]);
    drop(server);
}

#[test]
fn during_an_outage_activations_are_those_known_last_and_a_new_one_is_stored_afterwards() {
    let Some(schema) = Schema::new() else { return };
    let proxy = Proxy::start("127.0.0.1:5432");
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("shop");
    write_release(&folder, FIRST, 20);
    write_release(&folder, SECOND, 25);
    use_release(&folder, FIRST);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    command.arg("--release").arg(&folder).args(["--port", "0"]).env("RUST_LOG", "off");
    command.args(["--storage", &schema.url(proxy.port)]);
    let server = Process::start_with(home.path(), &mut command).ready();
    let used = || -> Vec<String> {
        let (status, list) = json_of(server.get("/v1/releases"));
        assert_eq!(status, 200, "{list}");
        let activations = list["activations"].as_array().unwrap().iter();
        activations.map(|it| it["release"].as_str().unwrap().to_owned()).collect()
    };
    wait_until("the start is recorded", || used() == [FIRST]);
    proxy.cut(true);
    let ready = || json_of(server.get("/readyz")).1;
    wait_until("the outage is known", || ready()["storage"] == "unavailable");
    assert_eq!(used(), [FIRST]);
    let path = format!("/v1/releases/{SECOND}/activate");
    assert_eq!(server.send("POST", &path, "", b"").0, 200);
    assert_eq!(used(), [SECOND, FIRST]);
    proxy.cut(false);
    let storage = tandem_storage::Storage::open(&schema.url(5432).parse().unwrap()).unwrap();
    wait_until("the activation is stored", || {
        storage.block_on(storage.activations(9)).unwrap().len() == 2
    });
    assert_eq!(used(), [SECOND, FIRST]);
    drop(server);
}

#[test]
fn a_start_waits_for_the_database_for_a_limited_time() {
    let Some(schema) = Schema::new() else { return };
    let proxy = Proxy::start("127.0.0.1:5432");
    proxy.cut(true);
    let folder = Folder::new();
    let with = |wait: &str| {
        let mut command = folder.command();
        command.args(["--storage", &schema.url(proxy.port), "--storage-wait", wait]);
        command
    };
    let output = with("1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot open the storage") && !said.contains("pool"), "{said}");
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(1_500));
            proxy.cut(false);
        });
        let server = Process::start_with(folder.root.path(), &mut with("600")).ready();
        assert_eq!(server.get("/v1/items?limit=1").0, 200);
    });
}

#[test]
#[cfg(unix)]
fn while_the_file_is_gone_no_event_is_accepted_and_lists_go_on() {
    let folder = Folder::new();
    let path = folder.path("shop.db");
    let mut command = folder.command();
    command.arg("--storage").arg(&path).arg("--store-events");
    let server = Process::start_with(folder.root.path(), &mut command).ready();
    assert_eq!(click(&server, "1", "3").0, 200);
    let list = || candidate_ids(&server.candidates(&json!({ "history": ["9"], "k": 5 })));
    let before = list();
    let moved = folder.path("moved.db");
    fs::rename(&path, &moved).unwrap();
    for _ in 0..3 {
        let (status, problem) = click(&server, "2", "3");
        assert_eq!((status, &problem["code"]), (503, &json!("overloaded")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("removed"), "{problem}");
    }
    assert_eq!(json_of(server.get("/readyz")).0, 503);
    assert_eq!(list(), before);
    assert!(!path.exists());
    fs::rename(&moved, &path).unwrap();
    assert_eq!(click(&server, "2", "3").0, 200);
    assert_eq!(json_of(server.get("/readyz")).0, 200);
}
