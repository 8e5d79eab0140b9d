//! The event log: disabled by default, append-only, every event once.

use std::{fs, path::Path};

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, Options},
    http::{app, post, send},
};

const PATH: &str = "/v1/events";

fn event(id: &str, kind: &str, item: &str) -> Value {
    json!({ "id": id, "type": kind, "item": item, "at": 1_700_000_000_000_u64 })
}

/// A click that a list led to.
fn from_list(id: &str, recommendation: &str) -> Value {
    let mut event = event(id, "click", "1");
    event["recommendation"] = recommendation.into();
    event
}

fn logging(folder: &Path) -> Options {
    Options { events: Some(folder.to_owned()), ..Options::default() }
}

fn lines(folder: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[actix_rt::test]
async fn without_an_event_log_the_routes_are_not_found() {
    let app = app(&Fixture::new()).await;
    let body = json!({ "session": "s", "events": [event("a", "click", "1")] });
    assert_eq!(post(&app, PATH, body.to_string()).await.refusal(), "404 not_found");
    let number = json!({ "disagreement": 0.5 }).to_string();
    assert_eq!(post(&app, "/v1/disagreements", number).await.refusal(), "404 not_found");
}

#[actix_rt::test]
async fn events_are_appended_once_by_kind_with_items_that_the_catalogue_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    let first = json!({ "session": "s1", "events": [
        event("s1-1", "click", "1"), event("s1-2", "view", "2"), event("s1-3", "click", "nine"),
    ]});
    let reply = post(&app, PATH, first.to_string()).await.json();
    assert_eq!(reply, json!({ "accepted": 3, "repeated": 0, "unknown": 1 }));
    let again = json!({ "session": "s1", "events": [
        event("s1-3", "click", "nine"), event("s1-2", "view", "2"), event("s1-4", "purchase", "1"), event("s1-4", "purchase", "1"),
    ]});
    let reply = post(&app, PATH, again.to_string()).await.json();
    assert_eq!(reply, json!({ "accepted": 1, "repeated": 3, "unknown": 0 }));
    let line = |id: &str, kind: &str, item: &str| json!({ "user": "s1", "item": item, "timestamp": 1_700_000_000_000_u64, "type": kind, "id": id });
    assert_eq!(
        lines(folder.path(), "interactions.jsonl"),
        [line("s1-1", "click", "1"), line("s1-3", "click", "nine"), line("s1-4", "purchase", "1")]
    );
    assert_eq!(lines(folder.path(), "signals.jsonl"), [line("s1-2", "view", "2")]);
}

#[actix_rt::test]
async fn invalid_fields_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    let many: Vec<Value> =
        (0..501).map(|number| event(&format!("s-{number}"), "click", "1")).collect();
    for (body, refusal) in [
        (json!({ "session": "", "events": [] }), "400 invalid_field session"),
        (json!({ "session": "a b", "events": [] }), "400 invalid_field session"),
        (json!({ "session": "s".repeat(65), "events": [] }), "400 invalid_field session"),
        (
            json!({ "session": "s", "events": [event("ok", "click", "1"), event("../x", "click", "1")] }),
            "400 invalid_field events[1].id",
        ),
        (
            json!({ "session": "s", "events": [event("a", "hover", "1")] }),
            "400 invalid_field events[0].type",
        ),
        (json!({ "session": "s", "events": many }), "400 invalid_field events"),
        (
            json!({ "session": "s", "events": [event("a", "click", " ")] }),
            "400 invalid_field events[0].item",
        ),
        (
            json!({ "session": "s", "events": [event("a", "click", &"i".repeat(257))] }),
            "400 invalid_field events[0].item",
        ),
        (
            json!({ "session": "s", "events": [from_list("a", "a b")] }),
            "400 invalid_field events[0].recommendation",
        ),
    ] {
        assert_eq!(post(&app, PATH, body.to_string()).await.refusal(), refusal);
    }
    assert!(lines(folder.path(), "interactions.jsonl").is_empty());
}

#[actix_rt::test]
async fn a_disagreement_is_a_number_without_further_fields() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    let send = |body: Value| post(&app, "/v1/disagreements", body.to_string());
    assert_eq!(send(json!({ "disagreement": 0.25 })).await.status, 204);
    assert_eq!(
        send(json!({ "disagreement": 1.5 })).await.refusal(),
        "400 invalid_field disagreement"
    );
    assert_eq!(
        send(json!({ "disagreement": 0.5, "history": ["1"] })).await.refusal(),
        "400 invalid_field history"
    );
    assert_eq!(lines(folder.path(), "disagreements.jsonl"), [json!({ "disagreement": 0.25 })]);
}

#[actix_rt::test]
async fn a_deleted_log_folder_is_an_internal_error() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    folder.close().unwrap();
    let body = json!({ "session": "s", "events": [event("a", "click", "1")] });
    assert_eq!(post(&app, PATH, body.to_string()).await.refusal(), "500 internal");
}

#[actix_rt::test]
async fn a_full_log_has_its_own_code_and_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    let request = |number: usize| {
        let events = (0..500).map(|at| event(&format!("e{number}-{at}"), "click", "1"));
        json!({ "session": "s".repeat(60), "events": events.collect::<Vec<_>>() }).to_string()
    };
    let mut number = 0;
    let refused = loop {
        let reply = post(&app, PATH, request(number)).await;
        if !reply.status.is_success() {
            break reply;
        }
        number += 1;
        assert!(number < 100, "the log of 1 MiB is never full");
    };
    assert_eq!(refused.refusal(), "503 event_log_full");
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(lines(folder.path(), "interactions.jsonl").len(), 500 * number);
    let view = json!({ "session": "s", "events": [event("v", "view", "1")] });
    assert_eq!(post(&app, PATH, view.to_string()).await.status.as_u16(), 200);
    let list = post(&app, "/v1/candidates", r#"{"history":["1"]}"#).await;
    assert_eq!(list.status.as_u16(), 200);
}

#[actix_rt::test]
async fn the_list_that_led_to_an_event_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    let body =
        json!({ "session": "s", "events": [from_list("a", "r-1"), event("b", "click", "2")] });
    assert_eq!(post(&app, PATH, body.to_string()).await.json()["accepted"], 2);
    let lines = lines(folder.path(), "interactions.jsonl");
    assert_eq!(lines[0]["recommendation"], "r-1");
    assert_eq!(lines[1].get("recommendation"), None);
}

#[actix_rt::test]
async fn a_visitor_is_removed_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(logging(folder.path()))).await;
    let body = |session: &str| {
        json!({ "session": session, "events": [event("1", "click", "1"), event("2", "view", "2")] })
            .to_string()
    };
    let delete = |path: &str| send(&app, TestRequest::delete().uri(path));
    for session in ["ann", "anna"] {
        assert_eq!(post(&app, PATH, body(session)).await.json()["accepted"], 2);
    }
    assert_eq!(delete("/v1/users/ann").await.json(), json!({ "removed": 2 }));
    assert_eq!(delete("/v1/users/ann").await.json(), json!({ "removed": 0 }));
    for name in ["interactions.jsonl", "signals.jsonl"] {
        let lines = lines(folder.path(), name);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["user"], "anna");
    }
    // The visitor can come back, and the other one's events are still known.
    assert_eq!(post(&app, PATH, body("ann")).await.json()["accepted"], 2);
    assert_eq!(post(&app, PATH, body("anna")).await.json()["repeated"], 2);
    assert_eq!(delete("/v1/users/a%20b").await.refusal(), "400 invalid_field name");
}

#[actix_rt::test]
async fn without_an_event_log_there_is_no_visitor_to_remove() {
    let app = app(&Fixture::new()).await;
    let reply = send(&app, TestRequest::delete().uri("/v1/users/ann")).await;
    assert_eq!(reply.refusal(), "404 not_found");
}
