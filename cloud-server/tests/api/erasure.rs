//! A visitor who is removed is in no count any more: on the server that was asked before its answer, on
//! others soon after it.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{
    fixture::wait_until,
    postgres::Schema,
    process::Process,
    ranking_signals::{best, click, with_signals},
    start::Folder,
};

fn start(folder: &Folder, options: &[&str]) -> Process {
    let (gguf, signals) = match folder.path("signals") {
        signals if signals.exists() => (folder.path("items.gguf"), signals),
        _ => with_signals(folder),
    };
    let _ = fs::remove_file(folder.path("port"));
    let mut command = folder.command_with(&gguf);
    command.arg("--signals").arg(signals).args(options);
    Process::start_with(folder.root.path(), &mut command).ready()
}

fn ids(server: &Process, path: &str) -> Vec<String> {
    let (status, body) = server.get(path);
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    let list: Value = serde_json::from_slice(&body).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// What the counts say: the best item after 1, the two most popular ones, trends, and what is similar
/// to 5.
fn counted(server: &Process) -> (String, Vec<String>, Vec<String>, Vec<String>) {
    (
        best(server),
        ids(server, "/v1/items/popular?limit=2"),
        ids(server, "/v1/items/trending"),
        ids(server, "/v1/items/5/similar?by=counts"),
    )
}

fn expected(best: &str, lists: [&[&str]; 3]) -> (String, Vec<String>, Vec<String>, Vec<String>) {
    let [popular, trending, similar] =
        lists.map(|list| list.iter().map(|id| (*id).to_owned()).collect());
    (best.to_owned(), popular, trending, similar)
}

fn a_removed_visitor_is_in_no_count(servers: &[Process]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let last = servers.last().unwrap();
    click(last, "ann", &["1", "5", "1", "5", "1", "5", "5"], now);
    click(last, "bob", &["2", "3"], now);
    let before = expected("5", [&["5", "1"], &["5", "1", "2", "3"], &["1", "5"]]);
    for server in servers {
        wait_until("the events are counted", || {
            let (best, popular, trending, similar) = counted(server);
            let mut similar = similar;
            similar.sort();
            // Item 5 follows itself, but is not similar to itself.
            similar.push("5".to_owned());
            (best, popular, trending, similar) == before
        });
    }
    let (status, answer) = servers[0].send("DELETE", "/v1/users/ann", "", b"");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    // Item 7 was counted in the training.
    let after = expected("7", [&["2", "3"], &["2", "3"], &[]]);
    assert_eq!(counted(&servers[0]), after, "before the answer");
    for server in servers {
        wait_until("the others follow", || counted(server) == after);
    }
    // A visitor who comes back counts like any other.
    click(&servers[0], "ann", &["5"], now);
    for server in servers {
        wait_until("the event is counted", || {
            ids(server, "/v1/items/trending").contains(&"5".into())
        });
    }
}

#[test]
fn of_files() {
    let folder = Folder::new();
    let log = folder.path("log");
    a_removed_visitor_is_in_no_count(&[start(&folder, &["--events", log.to_str().unwrap()])]);
}

#[test]
fn of_two_servers_on_a_file_of_sqlite() {
    let folder = Folder::new();
    let url = format!("sqlite:{}", folder.path("shop.db").display());
    let options = ["--storage", &url, "--store-events"];
    a_removed_visitor_is_in_no_count(&[start(&folder, &options), start(&folder, &options)]);
}

#[test]
fn of_three_servers_on_postgresql() {
    let Some(schema) = Schema::new() else { return };
    let folder = Folder::new();
    let url = schema.url(5432);
    let options = ["--storage", &url, "--store-events"];
    let servers = [(); 3].map(|()| start(&folder, &options));
    a_removed_visitor_is_in_no_count(&servers);
    drop(servers);
}
