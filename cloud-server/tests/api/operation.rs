//! What operators read: metrics, the description of the API, and request ids.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use actix_web::test::TestRequest;
use cloud_server::LogWriter;
use serde_json::{Value, json};
use tandem_protocol::ErrorCode;

use crate::{
    fixture::{Fixture, Options},
    http::{app, get, post, send},
};

const PATH: &str = "/v1/candidates";

#[actix_rt::test]
async fn metrics_count_requests_lists_and_refusals() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    for body in [r#"{"history":["1"]}"#, r#"{"history":["1"]}"#, r#"{"history":[]}"#, "{}"] {
        post(&app, PATH, body).await;
    }
    get(&app, "/nothing/of/the/kind").await;
    let reply = get(&app, "/metrics").await;
    assert!(reply.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    for line in [
        "tandem_requests_total{route=\"/v1/candidates\",status=\"200\"} 3",
        "tandem_requests_total{route=\"/v1/candidates\",status=\"400\"} 1",
        "tandem_requests_total{route=\"other\",status=\"404\"} 1",
        "tandem_candidate_lists_total{model=\"scripted\",engine=\"titles\",ranking=\"language_model\"} 2",
        "tandem_candidate_lists_total{model=\"scripted\",engine=\"titles\",ranking=\"popularity\"} 1",
        "tandem_tokens_total{model=\"scripted\",kind=\"prompt\"} 9",
        "tandem_refusals_total{reason=\"invalid_field\"} 1",
        "tandem_refusals_total{reason=\"not_found\"} 1",
        "tandem_queue_jobs{model=\"scripted\"} 0",
        "tandem_model_ready{model=\"scripted\"} 1",
        "tandem_queue_wait_seconds_count{model=\"scripted\"} 3",
        "tandem_batch_size_sum{model=\"scripted\"} 3.0",
        &format!("tandem_release{{release=\"{}\"}} 1", fixture.hash),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// The log itself cannot tell that it cannot be written.
#[actix_rt::test]
async fn metrics_count_lines_of_the_log_that_were_dropped() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let app = app(&Fixture::new()).await;
    let log = LogWriter::start(Closed, 10).unwrap();
    for _ in 0..7 {
        (&log).write_all(b"a line\n").unwrap();
        log.flush(Duration::from_mins(1));
    }
    let text = String::from_utf8(get(&app, "/metrics").await.body.to_vec()).unwrap();
    let lines = text.lines();
    let count = lines.filter_map(|line| line.strip_prefix("tandem_log_lines_dropped_total "));
    assert_eq!(count.collect::<Vec<_>>(), ["7"], "{text}");
}

#[actix_rt::test]
async fn a_wrong_parameter_of_a_query_is_named() {
    let app = app(&Fixture::new()).await;
    for (path, refusal) in [
        ("/v1/items/popular?limit=abc", "400 invalid_field limit"),
        ("/v1/items/popular?limit=0", "400 invalid_field limit"),
        ("/v1/items/popular?colour=red", "400 invalid_field colour"),
        ("/v1/items/trending?window=week", "400 invalid_field window"),
        ("/v1/items/1/similar?by=taste", "400 invalid_field by"),
        ("/v1/admin/items?q=a&limit=-3", "400 invalid_field limit"),
    ] {
        let reply = get(&app, path).await;
        assert_eq!(reply.refusal(), refusal, "{path}");
    }
    let detail = get(&app, "/v1/items/popular?limit=abc").await.problem().detail;
    assert!(detail.contains("a whole number") && detail.contains("`abc`"), "{detail}");
}

#[actix_rt::test]
async fn the_description_has_every_route_and_resolves() {
    let app = app(&Fixture::new()).await;
    let description = get(&app, "/openapi.json").await.json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    for path in [
        "/v1/candidates",
        "/v1/candidates/batch",
        "/v1/rows",
        "/v1/events",
        "/v1/disagreements",
        "/v1/users/{name}",
        "/v1/items",
        "/v1/items/{id}",
        "/v1/items/{id}/similar",
        "/v1/items/popular",
        "/v1/items/latest",
        "/v1/items/trending",
        "/v1/availability",
        "/v1/manifest",
        "/v1/models",
        "/v1/status",
        "/v1/releases",
        "/v1/releases/{name}",
        "/v1/releases/{name}/activate",
        "/v1/releases/rollback",
        "/v1/admin/overview",
        "/v1/admin/storage",
        "/v1/admin/keys",
        "/v1/admin/items",
        "/artifacts/{release}/{file}",
        "/artifacts/{release}/cells/{sha256}",
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    assert_eq!(paths.len(), 30);
    let mut references = Vec::new();
    collect_references(&description, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(description.pointer(pointer).is_some(), "{reference} is not defined");
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields.values().for_each(|field| collect_references(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[actix_rt::test]
async fn every_response_has_an_id_and_only_a_proxy_can_choose_it() {
    let proxies = vec!["10.0.0.1/32".parse().unwrap()];
    let app = app(&Fixture::with(Options { proxies, ..Options::default() })).await;
    let from = |address: &str, id: &'static str| {
        let peer = SocketAddr::new(address.parse().unwrap(), 4711);
        TestRequest::get().uri("/livez").peer_addr(peer).insert_header(("x-request-id", id))
    };
    let first = get(&app, "/livez").await;
    let second = get(&app, "/nothing").await;
    assert!(!first.header("x-request-id").is_empty());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(send(&app, from("10.0.0.1", "abc-1")).await.header("x-request-id"), "abc-1");
    assert_ne!(send(&app, from("10.0.0.1", "a b")).await.header("x-request-id"), "a b");
    assert_ne!(send(&app, from("192.0.2.1", "abc-1")).await.header("x-request-id"), "abc-1");
}

/// What the tests of a generated client find first: statuses and media types of errors.
#[actix_rt::test]
async fn the_description_has_the_refusals_of_every_route() {
    let app = app(&Fixture::new()).await;
    let description = get(&app, "/openapi.json").await.json();
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(description["components"]["schemas"]["ErrorCode"]["enum"], json!(codes));
    let text = description["info"]["description"].as_str().unwrap();
    assert!(text.contains("| 429 | `rate_limited` |"), "{text}");
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let mut expected = vec!["400", "503"];
            if operation["security"].is_array() {
                expected.extend(["401", "403", "429"]);
            }
            if method == "post" && operation["requestBody"].is_object() {
                expected.extend(["413", "415"]);
            }
            for status in expected {
                assert!(responses.contains_key(status), "{method} {path}: {status}");
            }
            for (status, response) in
                responses.iter().filter(|(status, _)| *status >= &"400".to_owned())
            {
                let types: Vec<_> = response["content"].as_object().unwrap().keys().collect();
                assert_eq!(types, ["application/problem+json"], "{method} {path}: {status}");
            }
        }
    }
}

#[actix_rt::test]
async fn a_server_that_shuts_down_is_not_ready_and_refuses_lists() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    assert_eq!(get(&app, "/readyz").await.status.as_u16(), 200);
    fixture.state.drain();
    assert_eq!(get(&app, "/readyz").await.refusal(), "503 not_ready");
    assert_eq!(post(&app, PATH, r#"{"history":["1"]}"#).await.refusal(), "503 not_ready");
    assert_eq!(get(&app, "/livez").await.status.as_u16(), 200);
    assert_eq!(get(&app, "/v1/manifest").await.status.as_u16(), 200);
}
