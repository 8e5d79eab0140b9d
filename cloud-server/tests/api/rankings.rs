//! Popular, latest, trending and similar items.

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
    fixture::{Fixture, Options, wait_until},
    http::{app, get, post, send},
    process::Process,
    start::Folder,
};

fn storing(folder: &Path) -> Options {
    let location = Location::Sqlite(folder.join("shop.db"));
    Options { storage: Some(Storage::open(&location).unwrap()), ..Options::default() }
}

fn ids(ranking: &Value) -> Vec<&str> {
    let items = ranking["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

fn clicks(session: &str, items: &[&str]) -> String {
    let event = |(number, item): (usize, &&str)| json!({ "id": number.to_string(), "type": "click", "item": item, "at": 1_700_000_000_000_u64 });
    let events: Vec<Value> = items.iter().enumerate().map(event).collect();
    json!({ "session": session, "events": events }).to_string()
}

async fn upsert<S>(app: &S, lines: &str)
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let request = TestRequest::post()
        .uri("/v1/items")
        .insert_header(("content-type", "application/x-ndjson"))
        .set_payload(lines.to_owned());
    assert_eq!(send(app, request).await.json()["refused"], 0);
}

#[actix_rt::test]
async fn without_a_storage_lists_are_of_the_catalogue_and_the_live_events() {
    let folder = tempfile::tempdir().unwrap();
    let events = Some(folder.path().join("log"));
    let app = app(&Fixture::with(Options { events, ..Options::default() })).await;
    let popular = get(&app, "/v1/items/popular?limit=3").await.json();
    assert_eq!((ids(&popular), &popular["by"]), (vec!["1", "2", "3"], &json!(["popularity"])));
    assert_eq!(
        popular["items"][0],
        json!({ "id": "1", "score": 29, "title": "The film of number 1",
                "categories": ["Drama"], "year": 1990 })
    );
    assert_eq!(ids(&get(&app, "/v1/items/trending").await.json()), [""; 0]);

    // Item 3 has 27 interactions in the log.
    let items = ["3", "3", "3", "30", "3", "unknown", "30"];
    assert_eq!(post(&app, "/v1/events", clicks("ann", &items)).await.json()["accepted"], 7);
    let popular = get(&app, "/v1/items/popular?limit=3").await.json();
    assert_eq!(ids(&popular), ["3", "1", "2"]);
    for window in ["hour", "day"] {
        let path = format!("/v1/items/trending?window={window}&category=Drama");
        let trending = get(&app, &path).await.json();
        assert_eq!((ids(&trending), &trending["by"]), (vec!["3", "30"], &json!(["events"])));
        assert!((trending["items"][0]["score"].as_f64().unwrap() - 4.0).abs() < 0.01);
    }
    for list in ["popular", "trending"] {
        let path = format!("/v1/items/{list}?category=Comedy");
        assert_eq!(ids(&get(&app, &path).await.json()), [""; 0]);
    }
    let latest = get(&app, "/v1/items/latest").await;
    assert!(latest.problem().detail.contains("--storage"));
    assert_eq!(latest.refusal(), "404 not_found");
}

#[actix_rt::test]
async fn wrong_parameters_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    for list in ["popular", "latest", "1/similar"] {
        for query in ["limit=0", "limit=201", "limit=x", "colour=red", "category=%00"] {
            let path = format!("/v1/items/{list}?{query}");
            assert_eq!(get(&app, &path).await.status.as_u16(), 400, "{path}");
        }
    }
    assert_eq!(get(&app, "/v1/items/1/similar?by=colour").await.status.as_u16(), 400);
    assert_eq!(get(&app, "/v1/items/unknown/similar").await.refusal(), "404 not_found");
    let unknown = get(&app, "/v1/items/unknown/similar").await.problem();
    assert_eq!(unknown.detail, "there is no item `unknown`");
    let trending = get(&app, "/v1/items/trending").await.problem();
    assert!(trending.detail.contains("--store-events"), "{}", trending.detail);
    // Events are not stored.
    assert_eq!(get(&app, "/v1/items/trending").await.refusal(), "404 not_found");
}

#[actix_rt::test]
async fn the_latest_items_are_those_that_the_shop_added_last() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    upsert(&app, "{\"id\":\"old\",\"title\":\"Old\",\"categories\":[\"Shoes\"],\"price\":5}").await;
    actix_rt::time::sleep(std::time::Duration::from_millis(5)).await;
    upsert(
        &app,
        "{\"id\":\"new\",\"categories\":[\"Hats\"]}\n{\"id\":\"sold-out\",\"available\":false}",
    )
    .await;
    let latest = get(&app, "/v1/items/latest").await.json();
    assert_eq!((ids(&latest), &latest["by"]), (vec!["new", "old"], &json!(["created"])));
    assert_eq!(
        latest["items"][1],
        json!({ "id": "old", "title": "Old", "categories": ["Shoes"], "price": 5,
                "available": true })
    );
    assert_eq!(ids(&get(&app, "/v1/items/latest?category=Shoes").await.json()), ["old"]);
    // Known, but no model has a vector for it.
    let similar = get(&app, "/v1/items/new/similar").await.json();
    assert_eq!(similar, json!({ "by": [], "items": [] }));
}

#[actix_rt::test]
async fn what_is_not_available_or_deleted_is_on_no_list() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&Fixture::with(storing(folder.path()))).await;
    upsert(
        &app,
        "{\"id\":\"1\",\"available\":false}\n{\"id\":\"2\"}\n{\"id\":\"4\",\"title\":\"Own\"}",
    )
    .await;
    assert_eq!(send(&app, TestRequest::delete().uri("/v1/items/2")).await.status, 204);
    let popular = get(&app, "/v1/items/popular?limit=2").await.json();
    assert_eq!(ids(&popular), ["3", "4"]);
    assert_eq!(popular["items"][1]["title"], "Own", "as it is stored");
    // Rows are [position, 1, 2, 0]: the direction changes less and less.
    let similar = get(&app, "/v1/items/1/similar?limit=2").await.json();
    assert_eq!((ids(&similar), &similar["by"]), (vec!["3", "4"], &json!(["small_model"])));
    let similar = get(&app, "/v1/items/5/similar?limit=3&by=small_model").await.json();
    assert_eq!(ids(&similar), ["6", "4", "7"]);
    let nothing = get(&app, "/v1/items/5/similar?by=text").await.json();
    assert_eq!(nothing, json!({ "by": [], "items": [] }));
}

#[test]
fn stored_events_trend_also_those_from_before_a_restart() {
    let folder = Folder::new();
    let database = folder.path("shop.db");
    let command = || {
        let mut command = folder.command();
        command.arg("--storage").arg(&database).arg("--store-events");
        command
    };
    let trending = |process: &Process| {
        let (status, body) = process.get("/v1/items/trending?window=hour");
        assert_eq!(status, 200);
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let mut process = Process::start_with(folder.root.path(), &mut command()).ready();
    assert_eq!(process.post("/v1/events", &clicks("ann", &["7", "8", "7"])).0, 200);
    wait_until("the events are followed", || ids(&trending(&process)) == ["7", "8"]);
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    drop(process);
    std::fs::remove_file(folder.path("port")).unwrap();
    let process = Process::start_with(folder.root.path(), &mut command()).ready();
    wait_until("the events are read again", || ids(&trending(&process)) == ["7", "8"]);
    // Another server on the same database.
    let storage = Storage::open(&Location::Sqlite(database.clone())).unwrap();
    let events = ["8", "8"].iter().enumerate().map(|(number, item)| {
        let event = json!({ "id": number.to_string(), "type": "purchase", "item": item, "at": 5 });
        serde_json::from_value(event).unwrap()
    });
    storage.block_on(storage.append_events("bob", events.collect())).unwrap();
    wait_until("its events are followed", || ids(&trending(&process)) == ["8", "7"]);
}
