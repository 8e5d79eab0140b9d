//! The log of requests: what it has of callers.

use std::fs;

use serde_json::Value;

use crate::{process::Process, start::Folder};

/// Each line is JSON of bounded length, without ids of items, names of visitors and what callers
/// made up.
#[test]
fn the_log_has_templates_of_routes_and_nothing_of_callers() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.args(["--log-format", "json"]).env("RUST_LOG", "info");
    command.stderr(fs::File::create(folder.path("log")).unwrap());
    let mut process = Process::start_with(folder.root.path(), &mut command).ready();
    let long = "A".repeat(50_000);
    for (method, path) in [
        (long.as_str(), "/v1/models"),
        ("GET", "/v1/items/secret-item/similar"),
        ("GET", "/v1/users/secret-visitor"),
        ("GET", "/users/secret-visitor"),
        ("GET", "/v1/secret-visitor"),
        ("GET", "/artifacts/0000000000000000/body.bin"),
        ("GET", "/home.css"),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(process.try_exchange(head).is_some(), "{path}");
    }
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    let log = fs::read_to_string(folder.path("log")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let requests: Vec<_> = lines
        .iter()
        .filter(|line| field(line, "message") == "request")
        .map(|line| format!("{} {}", field(line, "method"), field(line, "path")))
        .collect();
    assert_eq!(
        requests,
        [
            "_OTHER /v1/models",
            "GET /v1/items/{id}/similar",
            "GET /v1/users/{name}",
            "GET other",
            "GET other",
            "GET /artifacts/0000000000000000/body.bin",
            "GET /home.css",
        ],
        "{log}"
    );
    for private in ["secret-item", "secret-visitor", "AAAA"] {
        assert!(!log.contains(private), "{private} is in the log");
    }
}
