//! Filters of candidate lists, with the fields of the catalogue and of the database.

use serde_json::{Value, json};
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    testing::random_item_tokens,
};
use tandem_storage::{AttributeValue, Location, NewItem, Storage};

use crate::{
    fixture::{Fixture, Options, candidate_ids, catalogue, wait_until},
    http::{app, post},
    process::Process,
    start::Folder,
};

const PATH: &str = "/v1/candidates";

fn body(filter: &Value) -> String {
    json!({ "history": ["9"], "k": 4, "filter": filter }).to_string()
}

#[actix_rt::test]
async fn without_a_storage_the_fields_of_the_catalogue_are_used() {
    let app = app(&Fixture::new()).await;
    let list = |filter: Value| {
        let app = &app;
        async move { post(app, PATH, body(&filter)).await.json() }
    };
    let all = list(json!({ "categories": ["Comedy", "Drama"] })).await;
    assert_eq!((candidate_ids(&all).len(), &all["total"]), (4, &json!(30)));
    assert_eq!(candidate_ids(&all), ["1", "2", "3", "4"]);
    for nothing in [json!({ "categories": ["drama"] }), json!({ "brands": ["Acme"] })] {
        let none = list(nothing).await;
        assert_eq!((candidate_ids(&none).len(), &none["total"]), (0, &json!(0)));
    }
    let unfiltered = post(&app, PATH, json!({ "history": ["9"] }).to_string()).await.json();
    assert_eq!(unfiltered.get("total"), None);
    for (filter, field) in [
        (json!({ "price": { "max": 5 } }), "filter.price"),
        (json!({ "attributes": { "colour": ["red"] } }), "filter.attributes"),
        (json!({ "colour": ["red"] }), "filter.colour"),
        (json!({ "categories": "Drama" }), "filter.categories"),
        (json!({ "price": { "min": "a" } }), "filter.price.min"),
    ] {
        let refusal = post(&app, PATH, body(&filter)).await.refusal();
        assert_eq!(refusal, format!("400 invalid_field {field}"));
    }
}

#[actix_rt::test]
async fn with_a_storage_its_fields_are_used_and_follow_changes() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(&Location::Sqlite(folder.path().join("shop.db"))).unwrap();
    let options = Options { storage: Some(storage), ..Options::default() };
    let app = app(&Fixture::with(options)).await;
    let upsert = |lines: String| {
        let app = &app;
        async move {
            let request = actix_web::test::TestRequest::post()
                .uri("/v1/items")
                .insert_header(("content-type", "application/x-ndjson"))
                .set_payload(lines);
            crate::http::send(app, request).await.json()
        }
    };
    let lines = (1..=20).map(|id| {
        let colour = ["red", "blue", "green"][id % 3];
        json!({ "id": id.to_string(), "categories": ["Shoes"], "brand": format!("b{}", id % 2),
                "price": id, "attributes": { "colour": colour, "sizes": ["40", "41"], "new": id > 10 } })
        .to_string()
    });
    upsert(lines.collect::<Vec<_>>().join("\n")).await;
    let list = |filter: Value| {
        let app = &app;
        async move {
            let reply = post(app, PATH, body(&filter)).await.json();
            (candidate_ids(&reply), reply["total"].as_u64().unwrap())
        }
    };
    let shown = |ids: &[&str], total| (ids.iter().map(|id| (*id).to_owned()).collect(), total);
    assert_eq!(list(json!({ "categories": ["Drama"] })).await.1, 10, "of the catalogue");
    // Item 9 is in the history: it is counted, but not a candidate.
    let red = json!({ "attributes": { "colour": ["red", "black"] }, "price": { "max": 12 } });
    assert_eq!(list(red.clone()).await, shown(&["3", "6", "12"], 4));
    let several = json!({ "attributes": { "sizes": ["41"], "new": [true] }, "brands": ["b1"] });
    assert_eq!(list(several).await, shown(&["11", "13", "15", "17"], 5));
    assert_eq!(list(json!({ "attributes": { "taste": ["sour"] } })).await, shown(&[], 0));
    // Another price, and another colour.
    upsert(r#"{"id":"6","price":50,"attributes":{"colour":"red"}}"#.to_owned()).await;
    upsert(r#"{"id":"3","price":3,"available":false,"attributes":{"colour":"red"}}"#.to_owned())
        .await;
    upsert(r#"{"id":"20","price":2,"attributes":{"colour":"black"}}"#.to_owned()).await;
    assert_eq!(list(red).await, shown(&["12", "20"], 3));

    let requests: Vec<Value> = ["red", "none"]
        .map(|colour| json!({ "history": [], "filter": { "attributes": { "colour": [colour] } } }))
        .into();
    let reply =
        post(&app, "/v1/candidates/batch", json!({ "requests": requests }).to_string()).await;
    let answers = reply.json()["answers"].clone();
    assert_eq!(answers[0]["list"]["total"], 5);
    assert_eq!(answers[1]["list"]["candidates"], json!([]));
}

/// The program, a model of item tokens and the database.
#[test]
fn a_filtered_list_is_the_long_list_without_the_others() {
    let folder = Folder::new();
    let gguf = folder.path("items.gguf");
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    random_item_tokens(&catalogue(), shape, true, 5).write(&gguf, Encoding::F32).unwrap();
    let location = folder.path("shop.db");
    let storage = Storage::open(&Location::Sqlite(location.clone())).unwrap();
    let item = |number: u32| NewItem {
        price: Some(f64::from(number)),
        attributes: [("colour".to_owned(), AttributeValue::Text(format!("c{}", number % 4)))]
            .into(),
        ..NewItem::new(number.to_string().as_str().into())
    };
    let new: Vec<NewItem> = (1..=25).map(item).collect();
    storage.block_on(storage.upsert_items(new.clone())).unwrap();
    drop(storage);
    let mut command = folder.command_with(&gguf);
    command.arg("--storage").arg(&location);
    let process = Process::start_with(folder.root.path(), &mut command).ready();
    for history in [json!(["3", "7"]), json!([])] {
        let long = process.candidates(&json!({ "history": history, "k": 30 }));
        let filter = json!({ "price": { "min": 5 }, "attributes": { "colour": ["c0", "c1"] } });
        let found = process.candidates(&json!({ "history": history, "k": 5, "filter": filter }));
        let meets = |id: &str| {
            let number: u32 = id.parse().unwrap();
            (5..=25).contains(&number) && number % 4 < 2
        };
        let pairs = |list: &Value| -> Vec<(String, f64)> {
            let candidates = list["candidates"].as_array().unwrap().iter();
            candidates
                .map(|it| {
                    (it["item"].as_str().unwrap().to_owned(), it["logprob"].as_f64().unwrap())
                })
                .collect()
        };
        let left: Vec<_> = pairs(&long).into_iter().filter(|(id, _)| meets(id)).collect();
        let sum: f64 = left.iter().map(|(_, logprob)| logprob.exp()).sum();
        let found_pairs = pairs(&found);
        assert_eq!(found_pairs.len(), 5);
        for ((id, found), (expected_id, expected)) in found_pairs.iter().zip(&left) {
            assert_eq!(id, expected_id);
            assert!((found - (expected - sum.ln())).abs() < 1e-3, "{found} {expected}");
        }
        assert_eq!(found["total"], (1..=30).filter(|it: &u32| meets(&it.to_string())).count());
    }
    // The database has the rest of the catalogue, too; it is copied in the background.
    wait_until("the catalogue is copied", || process.get("/v1/items/30").0 == 200);
    let (_, one) = process.get("/v1/items/30");
    let one: Value = serde_json::from_slice(&one).unwrap();
    assert_eq!(
        (&one["title"], &one["categories"]),
        (&json!("The film of number 30"), &json!(["Drama"]))
    );
}
