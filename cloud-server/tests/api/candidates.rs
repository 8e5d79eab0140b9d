//! Responses to valid requests.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    fixture::{Fixture, ITEMS, MAX_READ, candidate_ids},
    http::{app, get, post},
};

const PATH: &str = "/v1/candidates";

#[actix_rt::test]
async fn candidates_are_ranked_and_exclude_history_and_exclusions() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let request = json!({ "history": ["2", "4"], "exclude": ["1", "4"], "k": 3 });
    let reply = post(&app, PATH, request.to_string()).await.json();
    assert_eq!(candidate_ids(&reply), ["3", "5", "6"]);
    assert_eq!(reply["candidates"][1]["logprob"], -2.0);
    assert_eq!(reply["candidates"][0].get("row"), None);
    assert_eq!(reply.get("history_rows"), None);
    assert_eq!(reply["model"], "scripted");
    assert_eq!(reply["ranking"], "language_model");
    assert_eq!(reply["catalogue_hash"], fixture.recommender.catalogue.hash());
    let timings = &reply["timings"];
    assert_eq!(timings["prompt_ms"], 1.0);
    assert_eq!(timings["decode_ms"], 2.0);
    assert_eq!(timings["prompt_tokens"], 3);
    assert_eq!(timings["decoded_tokens"], 4);
    assert!(timings["queue_ms"].as_f64().unwrap() >= 0.0);
    assert!(timings["total_ms"].as_f64() >= timings["queue_ms"].as_f64());
}

#[actix_rt::test]
async fn ignored_ids_are_counted() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    // Known and distinct: 1 to 7, of which the generator reads the newest five.
    let request = json!({
        "history": ["7", "x", "1", "2", "3", "4", "5", "6", "7", "1", "y"],
        "exclude": ["z", "8"],
    });
    let reply = post(&app, PATH, request.to_string()).await.json();
    let ignored = json!({ "unknown": 3, "duplicate": 2, "truncated": 7 - MAX_READ });
    assert_eq!(reply["ignored"], ignored);
    assert_eq!(candidate_ids(&reply)[0], "9");
}

#[actix_rt::test]
async fn an_empty_or_unknown_history_is_ranked_by_popularity() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    for (history, unknown) in [(json!([]), 0), (json!(["nobody", "knows"]), 2)] {
        let request = json!({ "history": history });
        let reply = post(&app, PATH, request.to_string()).await.json();
        assert_eq!(reply["ranking"], "popularity");
        assert_eq!(reply["ignored"]["unknown"], unknown);
        // The default is 50 candidates, but the catalogue has 30 items.
        assert_eq!(candidate_ids(&reply).len(), ITEMS as usize);
    }
}

#[actix_rt::test]
async fn a_history_of_ten_thousand_items_is_accepted() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let history: Vec<_> = (0..10_000).map(|n| (n % 40 + 1).to_string()).collect();
    let reply = post(&app, PATH, json!({ "history": history }).to_string()).await.json();
    // A quarter of the ids is unknown, and all 30 items are in the history.
    assert_eq!(reply["ignored"]["unknown"], 2_500);
    assert_eq!(reply["ignored"]["duplicate"], 7_500 - ITEMS);
    assert_eq!(candidate_ids(&reply).len(), 0);
}

#[actix_rt::test]
async fn rows_of_candidates_and_history_are_included_on_request() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let request = json!({ "history": ["9", "2", "9"], "k": 1, "rows": true });
    let reply = post(&app, PATH, request.to_string()).await.json();
    let row_of_position = |position: u8| {
        let mut bytes = 0.5_f32.to_le_bytes().to_vec();
        bytes.extend([position, 1, 2, 0]);
        BASE64_STANDARD.encode(bytes)
    };
    assert_eq!(reply["candidates"][0]["row"], row_of_position(0));
    assert_eq!(
        reply["history_rows"],
        json!([
            { "item": "2", "row": row_of_position(1) },
            { "item": "9", "row": row_of_position(8) },
        ])
    );

    let request = json!({ "items": ["30", "nobody", "1"] });
    let reply = post(&app, "/v1/rows", request.to_string()).await.json();
    assert_eq!(reply["unknown"], 1);
    assert_eq!(
        reply["rows"],
        json!([
            { "item": "30", "row": row_of_position(29) },
            { "item": "1", "row": row_of_position(0) },
        ])
    );
    let manifest = get(&app, "/v1/manifest").await.json();
    assert_eq!(reply["rows_hash"], manifest["rows"]["sha256"]);
}

#[actix_rt::test]
async fn counts_come_with_the_rows_of_the_neighbours_each_once() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let request = json!({ "items": ["2"], "counts": ["1", "2", "nobody"] });
    let reply = post(&app, "/v1/rows", request.to_string()).await.json();
    assert_eq!(reply["unknown"], 1);
    let near = |at: usize| reply["counts"][at]["near"].as_array().unwrap().clone();
    let items = |at: usize| near(at).iter().map(|it| it["item"].clone()).collect::<Vec<_>>();
    assert_eq!((items(0), items(1)), (vec![json!("2"), json!("3")], vec![json!("3"), json!("4")]));
    // Weights of 8 bits.
    let weight = |at: usize, near_at: usize| near(at)[near_at]["weight"].as_f64().unwrap();
    assert!((weight(0, 0) - 2.0).abs() < 1e-6 && (weight(0, 1) - 1.0).abs() < 0.01);
    let has_row = |at: usize, near_at: usize| near(at)[near_at]["row"].is_string();
    assert!(!has_row(0, 0) && has_row(0, 1) && !has_row(1, 0) && has_row(1, 1));

    let eleven: Vec<_> = (1..=11).map(|item| item.to_string()).collect();
    let request = json!({ "items": [], "counts": eleven });
    let reply = post(&app, "/v1/rows", request.to_string()).await;
    assert_eq!(reply.refusal(), "400 invalid_field counts");
    assert!(reply.problem().detail.contains("expected at most 10 ids, found 11"));
    // Those who do not ask get none.
    let reply = post(&app, "/v1/rows", json!({ "items": ["2"] }).to_string()).await.json();
    assert_eq!(reply.get("counts"), None);
}

/// More rows than are encoded on the HTTP thread.
#[actix_rt::test]
async fn many_rows_are_returned_in_the_order_of_the_request() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let items: Vec<_> = (0..1_000).map(|n| (n % ITEMS + 1).to_string()).collect();
    let request = json!({ "items": items });
    let reply = post(&app, "/v1/rows", request.to_string()).await;
    assert_eq!(reply.header("content-type"), "application/json");
    let reply = reply.json();
    let rows = reply["rows"].as_array().unwrap();
    let returned: Vec<_> = rows.iter().map(|row| row["item"].as_str().unwrap()).collect();
    assert_eq!(returned, items);
    assert_eq!(rows[0]["row"], rows[ITEMS as usize]["row"]);
    assert_ne!(rows[0]["row"], rows[1]["row"]);
}

#[actix_rt::test]
async fn the_status_names_models_catalogue_and_artefacts() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let status = get(&app, "/v1/status").await.json();
    assert_eq!(status["ready"], true);
    assert_eq!(status["language_model"]["name"], "scripted");
    assert_eq!(status["catalogue"]["items"], ITEMS);
    assert_eq!(status["artifacts"], fixture.hash);
    assert_eq!(status["notice"], "Made up for tests.");
}

#[actix_rt::test]
async fn a_batch_has_one_answer_per_request_in_order() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    // The scripted generator fails for item 13.
    let histories: Vec<_> = (1..=12).map(|item| json!({ "history": [item.to_string()] })).collect();
    let mut requests = histories.clone();
    requests.insert(3, json!({ "history": ["1"], "k": 0 }));
    requests.insert(4, json!({ "history": ["1"], "model": "none" }));
    let body = json!({ "requests": requests }).to_string();
    let reply = post(&app, "/v1/candidates/batch", body).await.json();
    let answers = reply["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 14);
    for (at, field) in [(3, "k"), (4, "model")] {
        assert_eq!(answers[at]["problem"]["field"], field);
        assert!(answers[at].get("list").is_none());
    }
    let lists: Vec<_> = answers.iter().filter_map(|answer| answer.get("list")).collect();
    for (list, item) in lists.iter().zip(1..=12) {
        let ids = candidate_ids(list);
        assert_eq!(ids.len(), ITEMS as usize - 1);
        assert!(!ids.contains(&item.to_string()), "the list of another history");
    }
    let many = json!({ "requests": vec![json!({ "history": [] }); 65] }).to_string();
    let reply = post(&app, "/v1/candidates/batch", many).await;
    assert_eq!(reply.refusal(), "400 invalid_field requests");
}
