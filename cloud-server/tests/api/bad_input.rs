//! Every invalid request gets a problem with the reason; none gets 500.

use actix_web::test::TestRequest;
use serde_json::json;

use crate::{
    fixture::{Fixture, Options},
    http::{app, get, post, send},
};

#[actix_rt::test]
async fn invalid_bodies_are_refused_with_their_field() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let long: Vec<_> = (0..10_001).map(|n| n.to_string()).collect();
    let cases = [
        (r#"{"history":["1","2","3",4]}"#.to_owned(), "400 invalid_field history[3]"),
        (r#"{"history":"1"}"#.to_owned(), "400 invalid_field history"),
        (r#"{"history":null}"#.to_owned(), "400 invalid_field history"),
        (r#"{"exclude":["1"]}"#.to_owned(), "400 invalid_field history"),
        (r#"{"history":[],"exclude":[{}]}"#.to_owned(), "400 invalid_field exclude[0]"),
        (r#"{"history":[],"rows":1}"#.to_owned(), "400 invalid_field rows"),
        (r#"{"history":[],"k":"50"}"#.to_owned(), "400 invalid_field k"),
        (r#"{"history":[],"k":1.5}"#.to_owned(), "400 invalid_field k"),
        (r#"{"history":[],"k":-1}"#.to_owned(), "400 invalid_field k"),
        (r#"{"history":[],"k":0}"#.to_owned(), "400 invalid_field k"),
        (r#"{"history":[],"k":201}"#.to_owned(), "400 invalid_field k"),
        (r#"{"history":[],"model":1}"#.to_owned(), "400 invalid_field model"),
        (r#"{"history":[],"colour":1}"#.to_owned(), "400 invalid_field colour"),
        (json!({ "history": long }).to_string(), "400 invalid_field history"),
        (json!({ "history": [], "exclude": long }).to_string(), "400 invalid_field exclude"),
        (String::new(), "400 invalid_request"),
        ("history".to_owned(), "400 invalid_request"),
        ("[".repeat(100_000), "400 invalid_request"),
        (r#"{"history":[]}{}"#.to_owned(), "400 invalid_request"),
    ];
    for (body, expected) in cases {
        let shown: String = body.chars().take(60).collect();
        let reply = post(&app, "/v1/candidates", body).await;
        assert_eq!(reply.refusal(), expected, "for {shown}");
    }
    let reply = post(&app, "/v1/rows", json!({ "items": long }).to_string()).await;
    assert_eq!(reply.refusal(), "400 invalid_field items");
    let reply = post(&app, "/v1/rows", r#"{"items":[["1"]]}"#).await;
    assert_eq!(reply.refusal(), "400 invalid_field items[0]");
    assert_eq!(fixture.script.started(), 0);
}

#[actix_rt::test]
async fn bytes_that_are_not_utf8_are_refused() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let reply = post(&app, "/v1/candidates", b"{\"history\":[\"\xff\"]}".to_vec()).await;
    assert_eq!(reply.status.as_u16(), 400);
    reply.problem();
    let reply = post(&app, "/v1/candidates", vec![0x1f, 0x8b, 8, 0, 0, 0]).await;
    assert_eq!(reply.refusal(), "400 invalid_request");
}

#[actix_rt::test]
async fn unusual_ids_are_counted_as_unknown() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let request = json!({ "history": ["", " 1", "01", "1\u{0}", "💿", "x".repeat(900_000)] });
    let reply = post(&app, "/v1/candidates", request.to_string()).await.json();
    assert_eq!(reply["ignored"]["unknown"], 6);
}

#[actix_rt::test]
async fn bodies_over_the_limit_get_413() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let body = format!("{{\"history\":[\"{}\"]}}", "x".repeat(1 << 20));
    let reply = post(&app, "/v1/candidates", body).await;
    assert_eq!(reply.refusal(), "413 payload_too_large");

    // Exactly at the limit.
    let frame = "{\"history\":[\"\"]}".len();
    let body = format!("{{\"history\":[\"{}\"]}}", "x".repeat((1 << 20) - frame));
    assert_eq!(body.len(), 1 << 20);
    assert_eq!(post(&app, "/v1/candidates", body).await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn a_body_of_another_media_type_gets_415() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let request = TestRequest::post()
            .uri("/v1/candidates")
            .insert_header(("content-type", kind))
            .set_payload(r#"{"history":[]}"#);
        let reply = send(&app, request).await;
        assert_eq!(reply.refusal(), "415 unsupported_media_type", "for {kind:?}");
    }
    let request = TestRequest::post()
        .uri("/v1/candidates")
        .insert_header(("content-type", "application/json; charset=utf-8"))
        .set_payload(r#"{"history":[]}"#);
    assert_eq!(send(&app, request).await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn unknown_routes_get_404_and_wrong_methods_405() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("index.html"), "<!doctype html>").unwrap();
    let with_site = Options { site: Some(site.path().to_owned()), ..Options::default() };
    for fixture in [Fixture::new(), Fixture::with(with_site)] {
        let app = app(&fixture).await;
        for path in ["/v1", "/v1/", "/v1/nothing", "/v1/candidates/1", "/nothing", "/livez/x"] {
            assert_eq!(get(&app, path).await.refusal(), "404 not_found", "for {path}");
        }
        let reply = get(&app, "/v1/candidates").await;
        assert_eq!(reply.refusal(), "405 method_not_allowed");
        assert_eq!(reply.header("allow"), "POST");
        for path in ["/v1/manifest", "/v1/status", "/livez", "/readyz", "/artifacts/a/b"] {
            let reply = post(&app, path, "{}").await;
            assert_eq!(reply.refusal(), "405 method_not_allowed", "for {path}");
            assert_eq!(reply.header("allow"), "GET, HEAD");
        }
        let reply = send(&app, TestRequest::delete().uri("/v1/rows")).await;
        assert_eq!(reply.refusal(), "405 method_not_allowed");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
}
