//! Several language models on one server.

use serde_json::json;

use crate::{
    fixture::{Fixture, Options, wait_for},
    http::{app, get, post},
};

const PATH: &str = "/v1/candidates";

fn two() -> Options {
    Options { models: vec!["first", "second"], ..Options::default() }
}

#[actix_rt::test]
async fn a_request_selects_a_model_and_the_first_is_the_default() {
    let fixture = Fixture::with(two());
    let app = app(&fixture).await;
    for (request, model) in [
        (json!({ "history": ["1"] }), "first"),
        (json!({ "history": ["1"], "model": null }), "first"),
        (json!({ "history": ["1"], "model": "first" }), "first"),
        (json!({ "history": ["1"], "model": "second" }), "second"),
    ] {
        let reply = post(&app, PATH, request.to_string()).await.json();
        assert_eq!(reply["model"], model, "{request}");
    }
    assert_eq!(fixture.scripts[0].started(), 3);
    assert_eq!(fixture.scripts[1].started(), 1);
}

#[actix_rt::test]
async fn an_unknown_model_is_refused_with_the_names_of_all_models() {
    let fixture = Fixture::with(two());
    let app = app(&fixture).await;
    for name in ["third", "", "First"] {
        let request = json!({ "history": ["1"], "model": name });
        let reply = post(&app, PATH, request.to_string()).await;
        assert_eq!(reply.refusal(), "400 invalid_field model");
        let detail = reply.problem().detail;
        assert!(detail.contains("`first`, `second`"), "{detail}");
    }
}

#[actix_rt::test]
async fn models_do_not_wait_for_each_other() {
    let fixture = Fixture::with(Options { loading: true, ..two() });
    let app = app(&fixture).await;
    let status = |ready: [bool; 2]| {
        let model = |name: &str, ready: bool| {
            if ready {
                json!({ "name": name, "ready": true, "engine": "titles", "sha256": "0".repeat(64) })
            } else {
                json!({ "name": name, "ready": false })
            }
        };
        json!([model("first", ready[0]), model("second", ready[1])])
    };
    assert_eq!(get(&app, "/v1/models").await.json()["models"], status([false, false]));

    fixture.scripts[1].open();
    let second = &fixture.recommender.models.find(Some("second")).unwrap();
    wait_for("the second is ready", || second.status().ready).await;
    assert_eq!(get(&app, "/v1/models").await.json()["models"], status([false, true]));
    assert_eq!(get(&app, "/readyz").await.refusal(), "503 not_ready");
    let ask = |name: &str| json!({ "history": ["1"], "model": name }).to_string();
    assert_eq!(post(&app, PATH, ask("second")).await.json()["model"], "second");
    assert_eq!(post(&app, PATH, ask("first")).await.refusal(), "503 not_ready");

    fixture.scripts[0].open();
    wait_for("both are ready", || fixture.recommender.models.are_ready()).await;
    let ready = get(&app, "/readyz").await.json();
    assert_eq!((&ready["status"], &ready["models"]), (&json!("ready"), &status([true, true])));
    assert_eq!(get(&app, "/v1/status").await.json()["language_models"], status([true, true]));
    assert_eq!(post(&app, PATH, ask("first")).await.json()["model"], "first");

    // While the first decodes, the second answers.
    fixture.scripts[0].close();
    let waiting = fixture.recommender.models.find(Some("first")).unwrap();
    let slow = post(&app, PATH, ask("first"));
    let quick = async {
        wait_for("the first decodes", || fixture.scripts[0].started() == 2).await;
        let reply = post(&app, PATH, ask("second")).await.json();
        fixture.scripts[0].open();
        reply
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert_eq!((&slow.json()["model"], &quick["model"]), (&json!("first"), &json!("second")));
    assert_eq!(waiting.worker.queued(), 0);
}
