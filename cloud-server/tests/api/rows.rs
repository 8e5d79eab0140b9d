//! Compression of `POST /v1/rows`. What the rows are is tested with the artefacts.

use std::io::Read as _;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::{
    fixture::Fixture,
    http::{Reply, app, send},
};

/// The answer to a request for the row of one item, `count` times.
async fn rows(count: usize, accept: Option<&str>) -> Reply {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let mut request = TestRequest::post()
        .uri("/v1/rows")
        .insert_header(("content-type", "application/json"))
        .set_payload(json!({ "items": vec!["1"; count] }).to_string());
    if let Some(accept) = accept {
        request = request.insert_header(("accept-encoding", accept));
    }
    send(&app, request).await
}

#[actix_rt::test]
async fn large_answers_are_compressed_for_clients_that_accept_it() {
    let plain = rows(100, None).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert!(plain.body.len() > 1_024, "{}", plain.body.len());
    for accept in ["br", "gzip;q=0", "identity"] {
        let reply = rows(100, Some(accept)).await;
        assert_eq!((reply.header("content-encoding"), &reply.body), ("", &plain.body), "{accept}");
    }
    let reply = rows(100, Some("br, gzip")).await;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert_eq!(reply.header("vary").matches("accept-encoding").count(), 1, "{:?}", reply.headers);
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(!reply.header("x-artifacts").is_empty());
    assert!(reply.body.len() < plain.body.len() / 2, "{}", reply.body.len());
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut json).unwrap();
    assert_eq!(json, plain.body);
}

#[actix_rt::test]
async fn small_answers_and_errors_are_not_compressed() {
    let reply = rows(2, Some("gzip")).await;
    assert_eq!(reply.header("content-encoding"), "");
    let json: Value = reply.json();
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(2));
    let refused = rows(20_000, Some("gzip")).await;
    assert_eq!(refused.header("content-encoding"), "");
    assert_eq!(refused.refusal(), "400 invalid_field items");
}
