//! The admin page and the routes that it calls.

use actix_web::test::TestRequest;
use cloud_server::Limits;
use serde_json::{Value, json};

use crate::{
    access::{ADMIN, PUBLIC, with_key, with_keys},
    fixture::{FAILS, Fixture, Options},
    http::{app, get, post, send},
};

/// Begins a request.
type Method = fn() -> TestRequest;

#[actix_rt::test]
async fn a_public_key_may_not_administer() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let release = "/v1/releases/0000000000000001";
    let activate = format!("{release}/activate");
    let routes: [(Method, &str); 9] = [
        (TestRequest::get, "/v1/releases"),
        (TestRequest::put, release),
        (TestRequest::delete, release),
        (TestRequest::post, &activate),
        (TestRequest::post, "/v1/releases/rollback"),
        (TestRequest::get, "/v1/admin/overview"),
        (TestRequest::get, "/v1/admin/storage"),
        (TestRequest::get, "/v1/admin/keys"),
        (TestRequest::get, "/v1/admin/items"),
    ];
    for (method, path) in routes {
        let request = || method().uri(path);
        assert_eq!(send(&app, request()).await.refusal(), "401 unauthorized", "{path}");
        let refused = send(&app, with_key(request(), PUBLIC)).await.refusal();
        // The key of these tests may send six requests per minute.
        assert!(["403 unauthorized", "429 rate_limited"].contains(&&*refused), "{path}: {refused}");
        let status = send(&app, with_key(request(), ADMIN)).await.status.as_u16();
        // This server has no releases.
        assert!([200, 404].contains(&status), "{path}: {status}");
    }
}

#[actix_rt::test]
async fn keys_are_listed_without_their_text_and_hash() {
    let (_folder, fixture) = with_keys(Limits::default());
    let app = app(&fixture).await;
    let request = with_key(TestRequest::get().uri("/v1/admin/keys"), ADMIN);
    let reply = send(&app, request).await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(!text.contains(ADMIN) && !text.contains(&tandem_dataset::files::sha256_hex(ADMIN)));
    let key = |id, kind, origins: Value| json!({ "id": id, "name": "shop", "kind": kind, "created": null, "origins": origins });
    let expected =
        json!([key("a", "public", json!(["https://shop.example"])), key("b", "admin", json!([]))]);
    assert_eq!(reply.json()["keys"], expected);
}

#[actix_rt::test]
async fn the_overview_counts_what_happened() {
    let app = app(&Fixture::new()).await;
    let list = |item: &str| json!({ "history": [item] }).to_string();
    for _ in 0..3 {
        post(&app, "/v1/candidates", list("1")).await.json();
    }
    post(&app, "/v1/candidates", json!({ "history": [] }).to_string()).await.json();
    assert_eq!(post(&app, "/v1/candidates", list(FAILS)).await.status, 500);
    assert_eq!(get(&app, "/v1/unknown").await.status, 404);
    // Probes and the page itself are not counted.
    get(&app, "/readyz").await;
    get(&app, "/admin/").await;
    let overview = get(&app, "/v1/admin/overview").await.json();
    let hour = &overview["hour"];
    let minutes = hour["minutes"].as_array().unwrap();
    let sum = |field: &str| minutes.iter().map(|it| it[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(minutes.len(), 60);
    assert_eq!(["requests", "lists", "failures", "refusals"].map(sum), [6, 4, 1, 1]);
    assert!(hour["p95_ms"].as_f64().unwrap() >= hour["median_ms"].as_f64().unwrap());
    let kind = |ranking, lists| json!({ "model": "scripted", "engine": "titles", "ranking": ranking, "lists": lists });
    assert_eq!(hour["lists"], json!([kind("language_model", 3), kind("popularity", 1)]));
    let codes: Vec<&Value> =
        hour["refusals"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert!(codes.contains(&&json!("internal")) && codes.contains(&&json!("not_found")));
    let error = &overview["errors"][0];
    assert_eq!((&error["route"], &error["status"]), (&json!("/v1/candidates"), &json!(500)));
    assert_eq!(overview["errors"].as_array().unwrap().len(), 1);
    assert_eq!((&overview["release"], &overview["items"]), (&Value::Null, &json!(30)));
    assert_eq!(overview["models"][0]["engine"], "titles");
}

#[actix_rt::test]
async fn lists_and_visitors_have_routes_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let location = tandem_storage::Location::Sqlite(folder.path().join("storage.db"));
    let storage = Some(tandem_storage::Storage::open(&location).unwrap());
    let options = Options { storage, store_events: true, ..Options::default() };
    let app = app(&Fixture::with(options)).await;
    let paths = [
        ("/v1/items/popular", "/v1/items/popular"),
        ("/v1/items/latest", "/v1/items/latest"),
        ("/v1/items/trending", "/v1/items/trending"),
        ("/v1/items/1/similar", "/v1/items/{id}/similar"),
        ("/v1/items/1", "/v1/items/{id}"),
        ("/v1/users/ann", "/v1/users/{name}"),
    ];
    for (path, _) in paths {
        get(&app, path).await;
    }
    let metrics = get(&app, "/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for (_, route) in paths {
        assert!(text.contains(&format!("tandem_requests_total{{route=\"{route}\"")), "{route}");
    }
    assert!(!text.contains("route=\"other\""), "{text}");
}

#[actix_rt::test]
async fn an_error_with_several_causes_names_its_own() {
    let fixture = Fixture::with(Options { loading: true, ..Options::default() });
    let app = app(&fixture).await;
    let body = json!({ "history": ["1"] }).to_string();
    assert_eq!(post(&app, "/v1/candidates", body).await.refusal(), "503 not_ready");
    let overview = get(&app, "/v1/admin/overview").await.json();
    let cause = json!("the model was loading");
    assert_eq!(overview["errors"][0]["cause"], cause);
    let expected = json!([{ "code": "not_ready", "cause": cause, "count": 1 }]);
    assert_eq!(overview["hour"]["refusals"], expected);
}

#[actix_rt::test]
async fn all_views_count_the_same_items_and_deleted_ones_are_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let location = tandem_storage::Location::Sqlite(folder.path().join("storage.db"));
    let storage = Some(tandem_storage::Storage::open(&location).unwrap());
    let app = app(&Fixture::with(Options { storage, ..Options::default() })).await;
    let items: Vec<String> = (1..=30).map(|id| format!("{id},The film of number {id}")).collect();
    let body = format!("id,title\n{}\nnew,New\ngone,Gone\n", items.join("\n"));
    let request = TestRequest::post().uri("/v1/items").insert_header(("content-type", "text/csv"));
    assert_eq!(send(&app, request.set_payload(body)).await.json()["added"], 32);
    for id in ["2", "gone"] {
        let path = format!("/v1/items/{id}");
        assert_eq!(send(&app, TestRequest::delete().uri(&path)).await.status, 204);
    }
    let request =
        TestRequest::put().uri("/v1/availability").insert_header(("content-type", "text/csv"));
    send(&app, request.set_payload("id,available\n3,no\n")).await.json();

    let overview = get(&app, "/v1/admin/overview").await.json();
    let counts = ["items", "items_added", "items_deleted"].map(|field| overview[field].clone());
    assert_eq!(counts, [json!(30), json!(1), json!(1)]);
    let storage = get(&app, "/v1/admin/storage").await.json();
    assert_eq!(storage["database"]["sizes"]["items"], 30);
    let unranked = (&overview["items_unranked"], &overview["storage_answers"]);
    assert_eq!(unranked, (&json!(0), &json!(true)), "a title model ranks all items");
    let found = get(&app, "/v1/admin/items?q=number%20&limit=100").await.json();
    assert_eq!((&found["found"], &found["found_deleted"]), (&json!(29), &json!(1)));
    assert_eq!(found["items_in_catalogue"], 30);
    // Titles are those that the shop has stored, also in the search.
    let request = TestRequest::post().uri("/v1/items").insert_header(("content-type", "text/csv"));
    let renamed = request.set_payload("id,title,categories\n4,Renamed,Lamps\n");
    assert_eq!(send(&app, renamed).await.json()["changed"], 1);
    let renamed = get(&app, "/v1/admin/items?q=renamed").await.json();
    assert_eq!(renamed["items"][0]["title"], "Renamed");
    assert_eq!(renamed["items"][0]["genres"], json!(["Lamps"]));
    assert_eq!(get(&app, "/v1/admin/items?q=number%204").await.json()["found"], 0);
    let body = json!({ "items": ["4"] }).to_string();
    let named = post(&app, "/v1/admin/items", body).await.json();
    assert_eq!(named["items"][0]["title"], "Renamed");
    let state = |id: &str| {
        let items = found["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["id"] == id).unwrap();
        (item["available"].as_bool().unwrap(), item["deleted"].as_bool().unwrap())
    };
    assert_eq!(
        [state("1"), state("2"), state("3")],
        [(true, false), (false, true), (false, false)]
    );
}

#[actix_rt::test]
async fn items_of_the_catalogue_are_found_by_words_and_id() {
    let app = app(&Fixture::new()).await;
    let found = get(&app, "/v1/admin/items?q=NUMBER%201&limit=3").await.json();
    // 1 and 10 to 19; the most popular first.
    assert_eq!((&found["found"], &found["items_in_catalogue"]), (&json!(11), &json!(30)));
    let ids: Vec<&Value> = found["items"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["1", "10", "11"]);
    let ids_of = async |query: &str| {
        let found = get(&app, &format!("/v1/admin/items?{query}")).await.json();
        let ids = found["items"].as_array().unwrap().iter();
        ids.map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let page = ids_of("q=number%201&limit=4&offset=3").await;
    assert_eq!(page, ["12", "13", "14", "15"]);
    assert_eq!(ids_of("q=number%201&offset=11").await, Vec::<String>::new());
    assert_eq!(ids_of("q=1%20FILM").await, ["1"], "words in any order");
    assert_eq!(ids_of("q=3&limit=2").await, ["3", "13"], "the item with this id comes first");
    assert_eq!(get(&app, "/v1/admin/items?q=nothing").await.json()["found"], 0);
    assert_eq!(get(&app, "/v1/admin/items").await.json()["found"], 30);
    for wrong in ["limit=0", "limit=101", "colour=red"] {
        assert_eq!(get(&app, &format!("/v1/admin/items?{wrong}")).await.status, 400, "{wrong}");
    }
    let body = json!({ "items": ["7", "unknown", "2"] }).to_string();
    let named = post(&app, "/v1/admin/items", body).await.json();
    let titles: Vec<&Value> =
        named["items"].as_array().unwrap().iter().map(|it| &it["title"]).collect();
    assert_eq!(titles, ["The film of number 7", "The film of number 2"]);
    let many = json!({ "items": vec!["1"; 1001] }).to_string();
    assert_eq!(post(&app, "/v1/admin/items", many).await.refusal(), "400 invalid_field items");
}

#[actix_rt::test]
async fn the_storage_is_shown_with_its_events() {
    let none = app(&Fixture::new()).await;
    let state = get(&none, "/v1/admin/storage").await.json();
    assert_eq!(state, json!({ "database": null, "event_log": null }));
    let folder = tempfile::tempdir().unwrap();
    let location = tandem_storage::Location::Sqlite(folder.path().join("storage.db"));
    let storage = Some(tandem_storage::Storage::open(&location).unwrap());
    let options = Options { storage, store_events: true, ..Options::default() };
    let storing = app(&Fixture::with(options)).await;
    let event =
        |id, kind| json!({ "id": id, "type": kind, "item": "1", "at": 1_700_000_000_000_u64 });
    let events = [event("a", "click"), event("b", "click"), event("c", "view")];
    let body = json!({ "session": "ann", "events": events }).to_string();
    post(&storing, "/v1/events", body).await.json();
    let state = get(&storing, "/v1/admin/storage").await.json();
    let database = &state["database"];
    assert_eq!(
        (&database["sizes"]["events"], &database["stores_events"]),
        (&json!(3), &json!(true))
    );
    let counts = database["events"].as_array().unwrap();
    let count = |kind: &str| counts.iter().find(|it| it["kind"] == kind).unwrap()["events"].clone();
    assert_eq!((count("click"), count("view")), (json!(2), json!(1)));
    let log = tempfile::tempdir().unwrap();
    let options = Options { events: Some(log.path().to_owned()), ..Options::default() };
    let logging = app(&Fixture::with(options)).await;
    let state = get(&logging, "/v1/admin/storage").await.json();
    assert_eq!(state["event_log"]["files"].as_array().unwrap().len(), 3);
}

#[actix_rt::test]
async fn the_page_loads_only_files_of_this_server() {
    let app = app(&Fixture::new()).await;
    let found = get(&app, "/admin").await;
    assert_eq!((found.status.as_u16(), found.header("location")), (308, "admin/"));
    let page = get(&app, "/admin/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!text.contains("//") && !text.contains("onload"), "{text}");
    let mut open = vec!["main.js".to_owned(), "admin.css".to_owned(), "icon.svg".to_owned()];
    for file in &open {
        assert!(text.contains(&format!("\"{file}\"")), "{file}");
    }
    let mut seen = Vec::new();
    while let Some(file) = open.pop() {
        let reply = get(&app, &format!("/admin/{file}")).await;
        assert_eq!(reply.status.as_u16(), 200, "{file}");
        assert_eq!(reply.header("content-security-policy"), policy, "{file}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{file}");
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        let imports = text.split("from './").skip(1).filter_map(|rest| rest.split('\'').next());
        for import in imports {
            if !seen.iter().any(|file| file == import) {
                seen.push(import.to_owned());
                open.push(import.to_owned());
            }
        }
    }
    assert!(seen.len() > 5, "{seen:?}");
    for path in ["/admin/x.js", "/admin/../home.js", "/admin/a/b"] {
        assert_eq!(get(&app, path).await.refusal(), "404 not_found", "{path}");
    }
}

#[actix_rt::test]
async fn the_page_can_be_left_out() {
    let app = app(&Fixture::with(Options { no_admin: true, ..Options::default() })).await;
    for path in ["/admin", "/admin/", "/admin/main.js"] {
        assert_eq!(get(&app, path).await.refusal(), "404 not_found", "{path}");
    }
}
