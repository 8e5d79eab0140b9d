//! Items as they are sent and sent back: fields, separators, marks, encodings, and repeated ids.

use std::path::Path;

use actix_http::Request;
use actix_web::{
    Error,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    test::TestRequest,
};
use serde_json::{Value, json};
use tandem_storage::{Location, Storage};

use crate::{
    access::{ADMIN, PUBLIC, with_key, with_keys_and},
    fixture::{Fixture, Options},
    http::{Reply, app, get, send},
};

const JSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

fn storing(folder: &Path) -> Options {
    let location = Location::Sqlite(folder.join("shop.db"));
    Options { storage: Some(Storage::open(&location).unwrap()), ..Options::default() }
}

fn lines(method: TestRequest, path: &str, media_type: &str, body: &[u8]) -> TestRequest {
    method.uri(path).insert_header(("content-type", media_type)).set_payload(body.to_vec())
}

async fn upsert<S>(app: &S, media_type: &str, body: impl AsRef<[u8]>) -> Reply
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    send(app, lines(TestRequest::post(), "/v1/items", media_type, body.as_ref())).await
}

/// One line for each value.
fn json_lines(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

/// The fields of an item that has all of them.
fn full(id: &str) -> Value {
    json!({
        "id": id, "title": "Red shoe", "categories": ["Shoes"], "brand": "Acme",
        "description": "A shoe.", "year": 1999, "price": 9.5, "available": true,
        "attributes": { "colour": "red", "size": ["40", "41"], "width": 1.5, "new": true },
    })
}

#[actix_rt::test]
async fn an_item_of_any_answer_can_be_sent_back() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    // The second is of the catalogue, and has interactions there.
    let body = format!("{}\n{}\n", full("new"), full("1"));
    assert_eq!(upsert(&app, JSON, body).await.json()["added"], 2);
    for path in [
        "/v1/items/new",
        "/v1/items",
        "/v1/items?q=shoe",
        "/v1/items?id=new",
        "/v1/items/latest",
        "/v1/items/popular?limit=1",
    ] {
        let found = get(&app, path).await.json();
        let items = found["items"].as_array().cloned().unwrap_or_else(|| vec![found.clone()]);
        assert!(!items.is_empty(), "{path}");
        let reply = upsert(&app, JSON, json_lines(&items)).await.json();
        let counts = (&reply["unchanged"], &reply["refused"]);
        assert_eq!(counts, (&json!(items.len()), &json!(0)), "{path}: {reply} {items:?}");
    }
    let mut changed = get(&app, "/v1/items/new").await.json();
    changed["price"] = json!(7);
    changed["brand"] = Value::Null;
    changed["attributes"]["size"] = Value::Null;
    assert_eq!(upsert(&app, JSON, changed.to_string()).await.json()["changed"], 1);
    let read = get(&app, "/v1/items/new").await.json();
    assert_eq!((&read["price"], &read["title"]), (&json!(7), &json!("Red shoe")));
    assert_eq!((&read["brand"], &read["attributes"]["size"]), (&Value::Null, &Value::Null));
}

#[actix_rt::test]
async fn what_pages_do_not_show_is_not_told_to_a_public_key() {
    let folder = tempfile::tempdir().unwrap();
    let (_keys, fixture) = with_keys_and(storing(folder.path()));
    let app = app(&fixture).await;
    let request = lines(TestRequest::post(), "/v1/items", JSON, full("1").to_string().as_bytes());
    assert_eq!(send(&app, with_key(request, ADMIN)).await.json()["added"], 1);
    for path in ["/v1/items/latest", "/v1/items/popular?limit=1"] {
        let item = |key| {
            let request = with_key(TestRequest::get().uri(path), key);
            let reply = send(&app, request);
            async move { reply.await.json()["items"][0].clone() }
        };
        let (admin, public) = (item(ADMIN).await, item(PUBLIC).await);
        assert_eq!((&admin["id"], &public["id"]), (&json!("1"), &json!("1")), "{path}");
        for field in ["description", "attributes", "available"] {
            assert_eq!(admin[field], full("1")[field], "{path}: {field}");
            assert_eq!(public[field], Value::Null, "{path}: {field}");
        }
        assert_eq!(public["title"], "Red shoe", "{path}");
    }
}

#[actix_rt::test]
async fn of_an_id_that_comes_twice_the_last_line_counts() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let body = "id,title\na,First\nb,Other\na,Last\n";
    let reply = upsert(&app, CSV, body).await.json();
    assert_eq!((&reply["added"], &reply["refused"]), (&json!(2), &json!(0)), "{reply}");
    assert_eq!(get(&app, "/v1/items/a").await.json()["title"], "Last");
    // A line that is refused does not count.
    let body = "{\"id\":\"a\",\"title\":\"Good\"}\n{\"id\":\"a\",\"price\":-1}\n";
    let reply = upsert(&app, JSON, body).await.json();
    assert_eq!((&reply["changed"], &reply["refused"]), (&json!(1), &json!(1)), "{reply}");
    assert_eq!(get(&app, "/v1/items/a").await.json()["title"], "Good");
    let body = b"id,available\na,no\na,yes\na,no\n";
    let request = lines(TestRequest::put(), "/v1/availability", CSV, body);
    assert_eq!(send(&app, request).await.json()["changed"], 1);
    assert_eq!(get(&app, "/v1/items/a").await.json()["available"], false);
}

#[actix_rt::test]
async fn a_header_that_cannot_be_used_is_one_error_with_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let rows = "a,Shoe\n".repeat(500);
    for (media_type, body, part) in [
        (CSV, format!("sku,name\n{rows}"), "found the columns `sku`, `name`"),
        (CSV, format!("sku;name\n{rows}"), "found the columns `sku`, `name`"),
        (CSV, format!("id,title,id\n{rows}"), "`id` twice"),
        (CSV, "{\"id\":\"a\"}\n".repeat(500), "found JSON"),
        (JSON, format!("[{{\"id\":\"a\"}},\n{rows}"), "found a list"),
    ] {
        let reply = upsert(&app, media_type, body).await;
        assert_eq!(reply.refusal(), "400 invalid_request");
        let detail = reply.problem().detail;
        assert!(detail.starts_with("line 1: ") && detail.contains(part), "{detail}");
    }
    let body = format!("id,stock\n{rows}");
    let request = lines(TestRequest::put(), "/v1/availability", CSV, body.as_bytes());
    let detail = send(&app, request).await.problem().detail;
    assert!(detail.contains("`id` and `available`") && detail.contains("`stock`"), "{detail}");
    assert_eq!(get(&app, "/v1/items").await.json()["items"], json!([]));
}

#[actix_rt::test]
async fn files_of_spreadsheets_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let body = "\u{feff}id;title;price\r\na;Shoe, red;9.5\r\nb;Hat;9,50\r\n";
    let reply = upsert(&app, CSV, body).await.json();
    assert_eq!((&reply["added"], &reply["refused"]), (&json!(1), &json!(1)));
    let detail = "price: expected a number such as `9.50`, found `9,50`";
    assert_eq!(reply["errors"], json!([{ "line": 3, "detail": detail }]));
    assert_eq!(get(&app, "/v1/items/a").await.json()["title"], "Shoe, red");
    let body = "\u{feff}{\"id\":\"c\"}\n";
    assert_eq!(upsert(&app, JSON, body).await.json()["added"], 1);
    let utf_16 = b"\xff\xfei\0d\0\n\0a\0\n\0";
    let detail = upsert(&app, CSV, utf_16).await.problem().detail;
    assert!(detail.contains("UTF-16"), "{detail}");
}

#[actix_rt::test]
async fn a_wrong_attribute_is_named_with_what_was_found_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let body = "{\"id\":\"a\",\"attributes\":{\"size\":{\"eu\":40}}}\n\
                {\"id\":\"b\",\"attributes\":{\"size\":1,\"size\":2}}\n";
    let reply = upsert(&app, JSON, body).await.json();
    let details: Vec<&str> = reply["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["detail"].as_str().unwrap())
        .collect();
    assert_eq!(
        details,
        [
            "attributes.size: invalid type: map, expected a text, a number, `true`, `false` or a \
             list of texts",
            "attributes: expected each attribute once, found `size` twice",
        ]
    );
}

#[actix_rt::test]
async fn a_parameter_that_would_have_no_effect_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let body = b"{\"id\":\"a\"}";
    for request in [
        lines(TestRequest::post(), "/v1/items?dry_run=1", JSON, body),
        lines(TestRequest::put(), "/v1/availability?dry_run=1", JSON, body),
        TestRequest::delete().uri("/v1/items/a?dry_run=1"),
    ] {
        assert_eq!(send(&app, request).await.refusal(), "400 invalid_field dry_run");
    }
    assert_eq!(get(&app, "/v1/items").await.json()["items"], json!([]));
}

#[actix_rt::test]
async fn a_compressed_body_is_refused() {
    type Method = fn() -> TestRequest;

    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let routes: [(Method, &str, &str); 3] = [
        (TestRequest::post, "/v1/items", JSON),
        (TestRequest::put, "/v1/availability", CSV),
        (TestRequest::post, "/v1/candidates", "application/json"),
    ];
    for (method, path, media_type) in routes {
        let request = |encoding: &'static str| {
            let body = b"{\"history\":[]}";
            lines(method(), path, media_type, body).insert_header(("content-encoding", encoding))
        };
        for encoding in ["gzip", "br", "identity, gzip"] {
            let reply = send(&app, request(encoding)).await;
            assert_eq!(reply.refusal(), "415 unsupported_media_type", "{path} {encoding}");
            assert!(reply.problem().detail.contains("Content-Encoding"), "{path}");
            assert_eq!(reply.header("accept-encoding"), "identity", "{path}");
        }
        assert_ne!(send(&app, request("identity")).await.status.as_u16(), 415, "{path}");
    }
}

#[actix_rt::test]
async fn an_item_with_the_name_of_a_list_can_be_read_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let ids = ["popular", "latest", "trending", "similar", "a/similar", "..", "ü &?#%"];
    let body = json_lines(&ids.map(|id| json!({ "id": id })));
    assert_eq!(upsert(&app, JSON, body).await.json()["added"], ids.len());
    for id in ids {
        let encoded: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let path = format!("/v1/items?id={encoded}");
        assert_eq!(get(&app, &path).await.json()["items"][0]["id"], id);
        let path_id = encoded.replace('+', "%20");
        let delete = TestRequest::delete().uri(&format!("/v1/items/{path_id}"));
        assert_eq!(send(&app, delete).await.status, 204, "{id}");
        assert_eq!(get(&app, &path).await.json()["items"], json!([]), "{id}");
    }
    // The lists stay where they are.
    assert_eq!(get(&app, "/v1/items/popular").await.json()["by"], json!(["popularity"]));
    let reply = send(&app, TestRequest::put().uri("/v1/items/popular")).await;
    assert_eq!(
        (&*reply.refusal(), reply.header("allow")),
        ("405 method_not_allowed", "GET, HEAD, DELETE")
    );
    for (query, field) in [("id=a&limit=3", "id"), ("id=a&q=b", "id"), ("id=%00", "id")] {
        let refusal = get(&app, &format!("/v1/items?{query}")).await.refusal();
        assert_eq!(refusal, format!("400 invalid_field {field}"), "{query}");
    }
}

#[actix_rt::test]
async fn only_an_admin_deletes_an_item_with_the_name_of_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let (_keys, fixture) = with_keys_and(storing(folder.path()));
    let app = app(&fixture).await;
    let delete = || TestRequest::delete().uri("/v1/items/latest");
    assert_eq!(send(&app, with_key(delete(), PUBLIC)).await.refusal(), "403 unauthorized");
    assert_eq!(send(&app, with_key(delete(), ADMIN)).await.refusal(), "404 not_found");
    let list = with_key(TestRequest::get().uri("/v1/items/latest"), PUBLIC);
    assert_eq!(send(&app, list).await.status, 200);
}

#[actix_rt::test]
async fn a_search_has_no_pages_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let reply = get(&app, "/v1/items?q=shoe&after=a").await;
    assert_eq!(reply.refusal(), "400 invalid_field after");
    assert!(reply.problem().detail.contains("raise `limit`"), "{:?}", reply.problem());
}

#[actix_rt::test]
async fn an_event_of_a_deleted_item_is_unknown() {
    for is_in_database in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let events = (!is_in_database).then(|| folder.path().join("log"));
        let options = Options { store_events: is_in_database, events, ..storing(folder.path()) };
        let app = app(&Fixture::with(options)).await;
        // Of the catalogue, and beside it.
        assert_eq!(upsert(&app, CSV, "id\n1\nnew\n").await.json()["added"], 2);
        let unknown = |visit: &str| {
            let event = |(at, item): (usize, &str)| json!({ "id": at.to_string(), "type": "click", "item": item, "at": 1_700_000_000_000_u64 });
            let events: Vec<Value> = ["1", "2", "new"].into_iter().enumerate().map(event).collect();
            let body = json!({ "session": visit, "events": events }).to_string();
            let reply = crate::http::post(&app, "/v1/events", body);
            async move { reply.await.json() }
        };
        let counts = |unknown: usize| json!({ "accepted": 3, "repeated": 0, "unknown": unknown });
        assert_eq!(unknown("before").await, counts(0));
        for id in ["1", "new"] {
            let delete = TestRequest::delete().uri(&format!("/v1/items/{id}"));
            assert_eq!(send(&app, delete).await.status, 204);
        }
        assert_eq!(unknown("deleted").await, counts(2));
        upsert(&app, CSV, "id\n1\nnew\n").await.json();
        assert_eq!(unknown("again").await, counts(0));
    }
}

#[actix_rt::test]
async fn prices_are_compared_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    let price = 0.1 + 0.2;
    let items = [
        json!({ "id": "sum", "categories": ["Z"], "price": price }),
        json!({ "id": "zero", "categories": ["Z"], "price": -0.0 }),
        json!({ "id": "none", "categories": ["Z"] }),
    ];
    assert_eq!(
        upsert(&app, "Application/X-NDJSON; Charset=UTF-8", json_lines(&items)).await.json()["added"],
        3
    );
    let total = async |min: f64, max: f64| {
        let filter = json!({ "categories": ["Z"], "price": { "min": min, "max": max } });
        let body = json!({ "history": ["1"], "k": 5, "filter": filter }).to_string();
        let request = TestRequest::post().uri("/v1/candidates").set_payload(body);
        let request = request.insert_header(("content-type", "Application/JSON"));
        send(&app, request).await.json()["total"].clone()
    };
    assert_eq!(total(0.3, 0.3).await, 0);
    assert_eq!(total(price, price).await, 1);
    assert_eq!(total(0.0, 0.0).await, 1);
    let zero = get(&app, "/v1/items/zero").await.json();
    assert_eq!(zero["price"].to_string(), "0");
}
