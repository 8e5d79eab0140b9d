//! Keys, roles, origins and rates.

use std::{fs, net::SocketAddr, path::PathBuf};

use actix_web::{
    http::header::{self, HeaderValue},
    test::TestRequest,
};
use cloud_server::{Limits, Rates};
use serde_json::{Value, json};
use tandem_dataset::files::sha256_hex;
use tempfile::TempDir;

use crate::{
    fixture::{Fixture, Options},
    http::{Reply, app, send},
};

pub(crate) const PUBLIC: &str = "a public key";
pub(crate) const ADMIN: &str = "an admin key";
const LIST: &str = r#"{"history":["1"]}"#;

/// A key file with both keys; the public one belongs to pages of `https://shop.example`.
fn keys() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let text = format!(
        "[[key]]\nid = \"a\"\nname = \"shop\"\nkind = \"public\"\nsha256 = \"{}\"\n\
         origins = [\"https://shop.example\"]\nrequests_per_minute = 6\n\n\
         [[key]]\nid = \"b\"\nname = \"shop\"\nkind = \"admin\"\nsha256 = \"{}\"\n",
        sha256_hex(PUBLIC),
        sha256_hex(ADMIN)
    );
    fs::write(&path, text).unwrap();
    (folder, path)
}

pub(crate) fn with_keys(limits: Limits) -> (TempDir, Fixture) {
    with_keys_and(Options { limits, ..Options::default() })
}

/// A server with both keys and these options.
pub(crate) fn with_keys_and(options: Options) -> (TempDir, Fixture) {
    let (folder, keys) = keys();
    (folder, Fixture::with(Options { keys: Some(keys), ..options }))
}

fn as_json(request: TestRequest, body: &str) -> TestRequest {
    request.insert_header(("content-type", "application/json")).set_payload(body.to_owned())
}

fn post(path: &str, body: &str) -> TestRequest {
    as_json(TestRequest::post().uri(path), body)
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

pub(crate) fn with_key(request: TestRequest, key: &str) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {key}")))
}

fn outcome(reply: &Reply) -> String {
    if reply.status.is_success() { reply.status.as_u16().to_string() } else { reply.refusal() }
}

#[actix_rt::test]
async fn a_public_key_allows_what_a_page_needs_and_an_admin_key_everything() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let manifest = format!("/artifacts/{}/manifest.json", fixture.hash);
    let batch = json!({ "requests": [{ "history": ["1"] }] }).to_string();
    for (path, body, public) in [
        ("/v1/candidates", LIST, "200"),
        ("/v1/rows", r#"{"items":["1"]}"#, "200"),
        ("/v1/manifest", "", "200"),
        (manifest.as_str(), "", "200"),
        ("/v1/status", "", "403 unauthorized"),
        ("/metrics", "", "403 unauthorized"),
        ("/v1/candidates/batch", &batch, "429 rate_limited"),
    ] {
        let request = || if body.is_empty() { get(path) } else { post(path, body) };
        assert_eq!(send(&app, request()).await.refusal(), "401 unauthorized", "{path}");
        let wrong = send(&app, with_key(request(), "another key")).await;
        assert_eq!(wrong.refusal(), "401 unauthorized", "{path}");
        assert_eq!(wrong.header("www-authenticate"), "Bearer");
        assert_eq!(outcome(&send(&app, with_key(request(), PUBLIC)).await), public, "{path}");
        assert_eq!(outcome(&send(&app, with_key(request(), ADMIN)).await), "200", "{path}");
    }
    for path in ["/livez", "/readyz", "/openapi.json"] {
        assert_eq!(send(&app, get(path)).await.status.as_u16(), 200, "{path}");
    }
    // No spelling of a path leads round the check.
    for path in ["/v1/%73tatus", "/%761/status", "//v1/status", "/v1//status", "/./v1/status"] {
        let reply = send(&app, get(path)).await;
        assert!(reply.status.is_client_error(), "{path} gave {}", reply.status);
    }
}

#[actix_rt::test]
async fn a_public_key_shows_items_and_does_not_list_the_database() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    for path in ["/v1/items/popular", "/v1/items/1/similar"] {
        assert_eq!(send(&app, get(path)).await.refusal(), "401 unauthorized");
        assert_eq!(send(&app, with_key(get(path), PUBLIC)).await.status, 200, "{path}");
    }
    for path in ["/v1/items", "/v1/items/1"] {
        let refusal = send(&app, with_key(get(path), PUBLIC)).await.refusal();
        assert_eq!(refusal, "403 unauthorized", "{path}");
    }
}

#[actix_rt::test]
async fn only_an_admin_key_removes_visitors() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let delete = || TestRequest::delete().uri("/v1/users/ann");
    assert_eq!(send(&app, delete()).await.refusal(), "401 unauthorized");
    assert_eq!(send(&app, with_key(delete(), PUBLIC)).await.refusal(), "403 unauthorized");
    // This server keeps no event log.
    assert_eq!(send(&app, with_key(delete(), ADMIN)).await.refusal(), "404 not_found");
}

#[actix_rt::test]
async fn a_key_is_for_pages_of_its_origins() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let from = |origin: &'static str| {
        with_key(post("/v1/candidates", LIST), PUBLIC).insert_header(("origin", origin))
    };
    let reply = send(&app, from("https://shop.example")).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(reply.header("access-control-allow-origin"), "https://shop.example");
    let reply = send(&app, from("https://other.example")).await;
    assert_eq!(reply.refusal(), "403 unauthorized");
    assert_eq!(reply.header("access-control-allow-origin"), "");
    // An origin that is no text is none of them.
    let request = with_key(post("/v1/candidates", LIST), PUBLIC);
    let foreign = HeaderValue::from_bytes(b"\xe4").unwrap();
    let reply = send(&app, request.insert_header((header::ORIGIN, foreign))).await;
    assert_eq!(reply.refusal(), "403 unauthorized");
    // The page can read a refusal.
    let request = post("/v1/candidates", LIST).insert_header(("origin", "https://shop.example"));
    let reply = send(&app, request).await;
    assert_eq!(reply.refusal(), "401 unauthorized");
    assert_eq!(reply.header("access-control-allow-origin"), "https://shop.example");
}

#[actix_rt::test]
async fn a_public_key_is_not_told_what_the_prefix_cache_holds() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let public = send(&app, with_key(post("/v1/candidates", LIST), PUBLIC)).await.json();
    let admin = send(&app, with_key(post("/v1/candidates", LIST), ADMIN)).await.json();
    for (field, told) in
        [("prompt_tokens", 3.0), ("decoded_tokens", 4.0), ("prompt_ms", 1.0), ("decode_ms", 2.0)]
    {
        assert_eq!(public["timings"][field].as_f64(), Some(0.0), "{field}");
        assert_eq!(admin["timings"][field].as_f64(), Some(told), "{field}");
    }
    // Without the time in the queue, the total would tell that of the prompt.
    assert_eq!(public["timings"]["queue_ms"].as_f64(), Some(0.0));
    assert!(admin["timings"]["queue_ms"].as_f64().unwrap() > 0.0);
    let total = public["timings"]["total_ms"].as_f64().unwrap();
    assert!(total >= 10.0 && total % 10.0 == 0.0, "{total}");
}

#[actix_rt::test]
async fn a_public_key_sees_the_order_of_items_and_no_scores() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    for path in ["/v1/items/popular", "/v1/items/1/similar?by=small_model"] {
        let public = send(&app, with_key(get(path), PUBLIC)).await.json();
        let admin = send(&app, with_key(get(path), ADMIN)).await.json();
        let ids = |list: &Value| {
            let items = list["items"].as_array().unwrap();
            items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
        };
        assert!(!ids(&public).is_empty(), "{path}");
        assert_eq!(ids(&public), ids(&admin), "{path}");
        assert!(public["items"].as_array().unwrap().iter().all(|it| it.get("score").is_none()));
        assert!(admin["items"][0]["score"].is_number(), "{path}");
    }
}

#[actix_rt::test]
async fn origins_are_those_of_the_newest_configuration() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let allow = |origins: &[&str]| {
        let origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        let proxies = cloud_server::TrustedProxies::default();
        let rules = cloud_server::AccessControl::new(None, origins, proxies, &Rates::default());
        fixture.state.set_access(rules);
    };
    let allowed = async |origin: &'static str| {
        let request = post("/v1/candidates", LIST).insert_header(("origin", origin));
        send(&app, request).await.header("access-control-allow-origin").to_owned()
    };
    allow(&["*"]);
    assert_ne!(allowed("https://other.example").await, "");
    allow(&["https://shop.example"]);
    assert_eq!(allowed("https://other.example").await, "");
    assert_eq!(allowed("https://shop.example").await, "https://shop.example");
}

#[actix_rt::test]
async fn a_public_key_is_not_told_the_counts_by_themselves() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let request = || post("/v1/candidates", r#"{"history":["1"],"k":2,"explain":true}"#);
    let public = send(&app, with_key(request(), PUBLIC)).await.json();
    let admin = send(&app, with_key(request(), ADMIN)).await.json();
    let second = |list: &Value| list["candidates"][1]["explanation"].clone();
    assert_eq!(second(&public), json!({ "score": 3.0, "language_model": 3.0 }));
    assert_eq!(second(&admin), json!({ "score": 3.0, "language_model": 2.0, "counts": 1.0 }));
    // Nothing is explained that was not asked for.
    let plain = send(&app, with_key(post("/v1/candidates", LIST), ADMIN)).await.json();
    assert_eq!(plain["candidates"][0].get("explanation"), None);
}

fn from_address(request: TestRequest, address: &str) -> TestRequest {
    request.peer_addr(SocketAddr::new(address.parse().unwrap(), 4711))
}

#[actix_rt::test]
async fn without_keys_only_callers_on_this_machine_have_all_rights() {
    let app = app(&Fixture::new()).await;
    let status = || get("/v1/status");
    assert_eq!(send(&app, from_address(status(), "127.0.0.1")).await.status.as_u16(), 200);
    let other = send(&app, from_address(status(), "192.0.2.7")).await;
    assert_eq!(other.refusal(), "403 unauthorized");
    // A proxy on this machine forwards the requests of others, a page of another origin sends
    // requests from a browser on this machine, and a foreign name may resolve to this machine.
    for header in [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        let request = from_address(status(), "127.0.0.1").insert_header(header);
        assert_eq!(send(&app, request).await.refusal(), "403 unauthorized", "{header:?}");
    }
    let list = from_address(post("/v1/candidates", LIST), "192.0.2.7");
    assert_eq!(send(&app, list).await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn each_client_has_its_own_rate() {
    let rates = Rates { requests: 100, candidates: 2, events: 3 };
    let events = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(Options {
        limits: Limits { rates, ..Limits::default() },
        events: Some(events.path().to_owned()),
        proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..Options::default()
    });
    let app = app(&fixture).await;
    let list = |address| from_address(post("/v1/candidates", LIST), address);
    for _ in 0..2 {
        assert_eq!(send(&app, list("192.0.2.7")).await.status.as_u16(), 200);
    }
    let refused = send(&app, list("192.0.2.7")).await;
    assert_eq!(refused.refusal(), "429 rate_limited");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(send(&app, list("192.0.2.8")).await.status.as_u16(), 200);
    // Clients of a trusted proxy are told apart, and cannot be somebody else.
    let proxied =
        |forwarded: &'static str| list("10.0.0.1").insert_header(("x-forwarded-for", forwarded));
    assert_eq!(send(&app, proxied("192.0.2.7")).await.refusal(), "429 rate_limited");
    assert_eq!(send(&app, proxied("203.0.113.1, 192.0.2.7")).await.refusal(), "429 rate_limited");
    assert_eq!(send(&app, proxied("192.0.2.9")).await.status.as_u16(), 200);

    let event = |id: usize| json!({ "id": id.to_string(), "type": "click", "item": "1", "at": 5 });
    let body = |ids: std::ops::Range<usize>| {
        json!({ "session": "s", "events": ids.map(event).collect::<Vec<_>>() }).to_string()
    };
    let log = |ids| from_address(post("/v1/events", &body(ids)), "192.0.2.7");
    assert_eq!(send(&app, log(0..2)).await.status.as_u16(), 200);
    assert_eq!(send(&app, log(2..4)).await.refusal(), "429 rate_limited");
    assert_eq!(send(&app, log(2..3)).await.status.as_u16(), 200);
}
