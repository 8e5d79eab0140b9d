//! Rates and lists that servers share in Redis, and servers whose Redis does not answer.

use std::{
    collections::HashSet,
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use actix_web::test::TestRequest;
use cloud_server::{Limits, ListSharing, RedisUrl};
use redis::{Client, Commands, Connection};
use serde_json::{Value, json};

use crate::{
    access::{ADMIN, PUBLIC, with_key, with_keys_and},
    fixture::{Fixture, Options, candidate_ids, wait_for, wait_until},
    http::{app, get, send},
    process::Process,
    proxy::Proxy,
    start::Folder,
};

const SERVER: &str = "127.0.0.1:6379";

/// A user of Redis for one test, removed with the value. Names of keys depend on the password, so no
/// test finds what another one has stored; all of it expires.
struct User {
    name: String,
    password: String,
    database: u16,
}

impl User {
    /// `None`, with a message, where no Redis answers.
    fn new() -> Option<Self> {
        let Ok(mut connection) = connect(0) else {
            eprintln!("skipped: no Redis answers at {SERVER}");
            return None;
        };
        let random = rand::random::<u64>();
        let name = format!("tandem-{random:016x}");
        let password = format!("secret/{random:016x}");
        // What the documentation says a server needs.
        let rights = ["~tandem:*", "+@connection", "+@scripting", "+get", "+set", "+del", "+time"];
        redis::cmd("ACL")
            .arg("SETUSER")
            .arg(&name)
            .arg("on")
            .arg(format!(">{password}"))
            .arg(&rights)
            .exec(&mut connection)
            .unwrap();
        Some(Self { name, password, database: 1 + (random % 15) as u16 })
    }

    /// The URL, by the port of Redis or of a proxy in front of it.
    fn url(&self, port: u16) -> String {
        let password = self.password.replace('/', "%2F");
        format!("redis://{}:{password}@127.0.0.1:{port}/{}", self.name, self.database)
    }

    fn parsed(&self) -> RedisUrl {
        self.url(6379).parse().unwrap()
    }

    fn connection(&self) -> Connection {
        connect(self.database).unwrap()
    }

    fn keys(&self) -> HashSet<String> {
        self.connection().keys("tandem:*").unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let removed = connect(0).and_then(|mut connection| {
            redis::cmd("ACL").arg("DELUSER").arg(&self.name).exec(&mut connection)
        });
        removed.unwrap();
    }
}

fn connect(database: u16) -> redis::RedisResult<Connection> {
    let client = Client::open(format!("redis://{SERVER}/{database}"))?;
    client.get_connection_with_timeout(Duration::from_secs(2))
}

/// The sum of a metric over its labels that contain `label`.
fn metric(text: &str, name: &str, label: &str) -> u64 {
    let lines = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
    });
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

fn metric_of(server: &Process, name: &str, label: &str) -> u64 {
    metric(&String::from_utf8(server.get("/metrics").1).unwrap(), name, label)
}

fn lists_of(server: &Process, result: &str) -> u64 {
    metric_of(server, "tandem_shared_lists_total", result)
}

fn wait_until_connected(server: &Process) {
    wait_until("Redis is used", || metric_of(server, "tandem_redis_up", "") == 1);
}

fn start(name: &str, folder: &Folder, command: &mut Command) -> Process {
    let ports = folder.path(name);
    fs::create_dir(&ports).unwrap();
    Process::start_with(&ports, command).ready()
}

/// A server whose clients are those that a proxy names.
fn behind_a_proxy(folder: &Folder, url: &str, rate: &str) -> Command {
    let mut command = folder.command();
    command.args(["--redis", url, "--trusted-proxy", "127.0.0.1", "--rate-candidates", rate]);
    command
}

/// The status of a list for a client.
fn list_for(server: &Process, client: &str) -> u16 {
    let body = r#"{"history":["1"],"k":3}"#;
    let request = format!(
        "POST /v1/candidates HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         x-forwarded-for: {client}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    server.try_exchange(request).unwrap().0
}

#[test]
fn a_client_has_one_rate_at_two_servers() {
    let Some(user) = User::new() else { return };
    let folder = Folder::new();
    let server = |name: &str| {
        let server = start(name, &folder, &mut behind_a_proxy(&folder, &user.url(6379), "10"));
        wait_until_connected(&server);
        server
    };
    let servers = [server("one"), server("two")];
    let began = Instant::now();
    let client = "192.0.2.77";
    let answers: Vec<u16> = (0..24).map(|number| list_for(&servers[number % 2], client)).collect();
    let served = answers.iter().filter(|status| **status == 200).count();
    // One more becomes free every six seconds.
    let later = began.elapsed().as_secs() as usize / 6;
    assert!((10..=10 + later).contains(&served), "{served} of {answers:?}");
    assert!(answers.iter().all(|status| [200, 429].contains(status)), "{answers:?}");
    assert_eq!(list_for(&servers[1], "192.0.2.78"), 200, "another client");
    let by = |counted_by| -> u64 {
        let checks = |server| metric_of(server, "tandem_rate_checks_total", counted_by);
        servers.iter().map(checks).sum()
    };
    assert_eq!((by("redis"), by("server")), (25, 0));
    // Redis has no address.
    let mut connection = user.connection();
    let rates = user.keys().into_iter().filter(|key| key.starts_with("tandem:rate:"));
    let mut seen = 0;
    for key in rates {
        let expires_ms: i64 = connection.pttl(&key).unwrap();
        let value: Option<String> = connection.get(&key).unwrap();
        let text = format!("{key} {value:?}");
        assert!((-2..=60_000).contains(&expires_ms) && expires_ms != -1, "{text}: {expires_ms}");
        assert!(!text.contains("192.0.2"), "{text}");
        seen += 1;
    }
    // The others may have expired by now.
    assert!(seen >= 1, "the lists of the first client");
}

#[actix_rt::test]
async fn the_rate_of_a_key_and_events_are_counted_together() {
    let Some(user) = User::new() else { return };
    let events = tempfile::tempdir().unwrap();
    let options = || Options {
        redis: Some((user.parsed(), None)),
        events: Some(events.path().to_owned()),
        limits: Limits {
            rates: cloud_server::Rates { requests: 0, candidates: 0, events: 5 },
            ..Limits::default()
        },
        ..Options::default()
    };
    let ((_a, one), (_b, two)) = (with_keys_and(options()), with_keys_and(options()));
    let apps = [app(&one).await, app(&two).await];
    for app in &apps {
        connected(app).await;
    }
    // The key has six requests a minute.
    let send_events = async |app: usize, ids: std::ops::Range<u32>| {
        let event =
            |id: u32| json!({ "id": id.to_string(), "type": "click", "item": "1", "at": 5 });
        let body = json!({ "session": "s", "events": ids.map(event).collect::<Vec<_>>() });
        let request = TestRequest::post().uri("/v1/events").set_json(body);
        send(&apps[app], with_key(request, PUBLIC)).await
    };
    assert_eq!(send_events(0, 0..3).await.status, 200);
    assert_eq!(send_events(1, 3..6).await.refusal(), "429 rate_limited");
    assert_eq!(send_events(1, 3..5).await.status, 200);
    assert_eq!(send_events(0, 0..6).await.refusal(), "400 invalid_field events");
    for app in [0, 1] {
        let model = TestRequest::get().uri("/v1/models");
        assert_eq!(send(&apps[app], with_key(model, PUBLIC)).await.status, 200);
    }
    let refused = send_events(0, 5..6).await;
    assert_eq!(refused.refusal(), "429 rate_limited");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
}

#[test]
fn what_is_no_rate_is_replaced() {
    let Some(user) = User::new() else { return };
    let folder = Folder::new();
    let before = user.keys();
    let mut command = behind_a_proxy(&folder, &user.url(6379), "1");
    let server = start("one", &folder, command.args(["--rate-requests", "0"]));
    wait_until_connected(&server);
    let client = "192.0.2.99";
    assert_eq!(list_for(&server, client), 200);
    let keys = user.keys();
    let mut new = keys.difference(&before).filter(|key| key.starts_with("tandem:rate:"));
    let key = new.next().unwrap();
    let mut connection = user.connection();
    // The last ones are times of a clock that was ahead.
    for value in ["", "x", "nan", "-1", "inf", "9007199254740991"] {
        let () = connection.set(key, value).unwrap();
        assert_eq!(list_for(&server, client), 200, "{value:?}");
        assert_eq!(list_for(&server, client), 429, "after {value:?}");
        let expires_ms: i64 = connection.pttl(key).unwrap();
        assert!((1..=60_000).contains(&expires_ms), "after {value:?}: {expires_ms}");
    }
    let () = connection.del(key).unwrap();
    let () = connection.rpush(key, "x").unwrap();
    assert_eq!(list_for(&server, client), 200);
    assert_eq!(list_for(&server, client), 429, "it is a number again");
    assert_eq!(metric_of(&server, "tandem_rate_checks_total", "\"server\""), 0);
    assert_eq!(metric_of(&server, "tandem_redis_failures_total", ""), 0);
}

/// Lists of at most three items, for ten minutes.
const SHARING: ListSharing = ListSharing { lifetime: Duration::from_mins(10), items: 3 };

fn sharing(user: &User) -> Options {
    Options { redis: Some((user.parsed(), Some(SHARING))), ..Options::default() }
}

async fn connected<S>(app: &S)
where
    S: actix_web::dev::Service<
            actix_http::Request,
            Response = actix_web::dev::ServiceResponse<actix_web::body::BoxBody>,
            Error = actix_web::Error,
        >,
{
    for _ in 0..12_000 {
        let request = with_key(TestRequest::get().uri("/metrics"), ADMIN);
        let text = String::from_utf8(send(app, request).await.body.to_vec()).unwrap();
        if metric(&text, "tandem_redis_up", "") == 1 {
            return;
        }
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("timed out waiting until Redis is used");
}

fn list(body: &Value) -> TestRequest {
    TestRequest::post().uri("/v1/candidates").set_json(body)
}

#[actix_rt::test]
async fn equal_requests_at_two_servers_are_one_list() {
    let Some(user) = User::new() else { return };
    let (one, two) = (Fixture::with(sharing(&user)), Fixture::with(sharing(&user)));
    let apps = [app(&one).await, app(&two).await];
    for app in &apps {
        connected(app).await;
    }
    one.script.close();
    two.script.close();
    let made = || one.script.started() + two.script.started();
    let body = json!({ "history": ["3", "9"], "exclude": ["1"], "k": 5, "rows": true });
    let ask = |app: usize| send(&apps[app], list(&body));
    let open = async {
        wait_for("a list is begun", || made() == 1).await;
        // The other requests have looked for it meanwhile.
        actix_rt::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(made(), 1);
        one.script.open();
        two.script.open();
    };
    let (a, b, c, d, e, ()) = tokio::join!(ask(0), ask(1), ask(0), ask(1), ask(1), open);
    let lists = [a, b, c, d, e].map(|reply| {
        let mut list = reply.json();
        list["timings"].take();
        list
    });
    assert_eq!(candidate_ids(&lists[0]), ["2", "4", "5", "6", "7"]);
    assert!(lists[0]["candidates"][0]["row"].is_string());
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    assert_eq!(made(), 1);
    let mut sources = [0; 4];
    for app in &apps {
        let text = String::from_utf8(get(app, "/metrics").await.body.to_vec()).unwrap();
        for (count, result) in sources.iter_mut().zip(["made", "waited", "hit", "alone"]) {
            *count += metric(&text, "tandem_shared_lists_total", result);
        }
    }
    assert_eq!(sources, [1, 4, 0, 0]);
    // The stored list, for each server; a different request is another list.
    let again = send(&apps[1], list(&body)).await.json();
    assert_eq!(candidate_ids(&again), candidate_ids(&lists[0]));
    assert_eq!(again["timings"]["prompt_ms"], 0.0);
    assert_eq!(made(), 1);
    for other in [
        json!({ "history": ["9", "3"], "exclude": ["1"], "k": 5 }),
        json!({ "history": ["3", "9"], "k": 5 }),
        json!({ "history": ["3", "9"], "exclude": ["1"], "k": 6 }),
    ] {
        let before = made();
        send(&apps[0], list(&other)).await.json();
        assert_eq!(made(), before + 1, "{other}");
    }
}

#[actix_rt::test]
async fn lists_that_say_much_about_a_visitor_and_explained_ones_are_not_shared() {
    let Some(user) = User::new() else { return };
    let fixture = Fixture::with(sharing(&user));
    let app = app(&fixture).await;
    connected(&app).await;
    let before = user.keys();
    for body in [
        json!({ "history": ["3", "4", "5", "6"] }),
        json!({ "history": ["3", "4"], "exclude": ["5", "6"] }),
        json!({ "history": ["3"], "explain": true }),
        json!({ "history": ["3"], "filter": { "categories": ["Drama"] } }),
    ] {
        let started = fixture.script.started();
        for _ in 0..2 {
            send(&app, list(&body)).await.json();
        }
        assert_eq!(fixture.script.started(), started + 2, "{body}");
    }
    assert_eq!(user.keys().difference(&before).count(), 0);
}

#[actix_rt::test]
async fn a_public_key_is_not_told_whether_a_list_was_shared() {
    let Some(user) = User::new() else { return };
    let (_folder, fixture) = with_keys_and(sharing(&user));
    let app = app(&fixture).await;
    connected(&app).await;
    let ask =
        async |key| send(&app, with_key(list(&json!({ "history": ["5"] })), key)).await.json();
    let (first, second, admin) = (ask(PUBLIC).await, ask(PUBLIC).await, ask(ADMIN).await);
    assert_eq!(fixture.script.started(), 1);
    assert_eq!(first, second, "all of it");
    assert_eq!(first["timings"]["total_ms"], 0.0);
    assert!(admin["timings"]["total_ms"].as_f64().unwrap() > 0.0);
}

#[actix_rt::test]
async fn the_task_of_a_server_that_ended_is_taken_over() {
    let Some(user) = User::new() else { return };
    let fixture = Fixture::with(sharing(&user));
    let app = app(&fixture).await;
    connected(&app).await;
    let before = user.keys();
    let body = json!({ "history": ["7"], "k": 4 });
    fixture.script.close();
    let mut task = None;
    // A client that hangs up while its list is made.
    tokio::select! {
        _ = send(&app, list(&body)) => panic!("the script is closed"),
        () = wait_for("the list is begun", || {
            task = user.keys().difference(&before).find(|key| key.starts_with("tandem:task:")).cloned();
            task.is_some()
        }) => {}
    }
    let task = task.unwrap();
    wait_for("the task is free", || !user.keys().contains(&task)).await;
    fixture.script.open();
    // A server that was killed.
    let mut connection = user.connection();
    let () = connection.pset_ex(&task, "another server", 1_500).unwrap();
    let answered = send(&app, list(&body)).await.json();
    assert_eq!(candidate_ids(&answered), ["1", "2", "3", "4"]);
    assert!(!user.keys().contains(&task), "the answer has waited for it");
    // A generator that fails leaves the task to the next request.
    let fails = json!({ "history": [crate::fixture::FAILS] });
    for _ in 0..2 {
        assert_eq!(send(&app, list(&fails)).await.refusal(), "500 internal");
    }
}

#[actix_rt::test]
async fn while_another_server_makes_a_list_the_deadline_holds() {
    let Some(user) = User::new() else { return };
    let limits = Limits { timeout: Duration::from_secs(1), ..Limits::default() };
    let fixture = Fixture::with(Options { limits, ..sharing(&user) });
    let app = app(&fixture).await;
    connected(&app).await;
    let before = user.keys();
    let body = json!({ "history": ["8"] });
    fixture.script.close();
    let mut task = None;
    tokio::select! {
        _ = send(&app, list(&body)) => panic!("the script is closed"),
        () = wait_for("the list is begun", || {
            task = user.keys().difference(&before).find(|key| key.starts_with("tandem:task:")).cloned();
            task.is_some()
        }) => {}
    }
    let task = task.unwrap();
    let expires_ms: i64 = user.connection().pttl(&task).unwrap_or(-2);
    assert!(expires_ms <= 250, "a quarter of the time of a request: {expires_ms}");
    wait_for("the task is free", || !user.keys().contains(&task)).await;
    let () = user.connection().pset_ex(&task, "another server", 60_000).unwrap();
    assert_eq!(send(&app, list(&body)).await.refusal(), "504 timeout");
    let () = user.connection().del(&task).unwrap();
}

#[actix_rt::test]
async fn what_is_no_list_is_a_miss_and_is_replaced() {
    let Some(user) = User::new() else { return };
    let fixture = Fixture::with(sharing(&user));
    let app = app(&fixture).await;
    connected(&app).await;
    let before = user.keys();
    let body = json!({ "history": ["2"], "k": 3 });
    let ask = async || candidate_ids(&send(&app, list(&body)).await.json());
    let right = ask().await;
    let stored = || {
        let keys = user.keys();
        keys.difference(&before).find(|key| key.starts_with("tandem:list:")).cloned()
    };
    wait_for("the list is stored", || stored().is_some()).await;
    let key = stored().unwrap();
    let mut connection = user.connection();
    let valid: Vec<u8> = connection.get(&key).unwrap();
    let mut flipped = valid.clone();
    *flipped.last_mut().unwrap() ^= 0x40;
    let cut = valid[..valid.len() / 2].to_vec();
    for damaged in [Vec::new(), vec![0xff; 7], b"{}".to_vec(), flipped, cut] {
        let () = connection.set(&key, &damaged).unwrap();
        let made = fixture.script.started();
        assert_eq!(ask().await, right);
        assert_eq!(fixture.script.started(), made + 1, "{damaged:?}");
        wait_for("the list is stored again", || {
            connection.get::<_, Vec<u8>>(&key).is_ok_and(|bytes| bytes == valid)
        })
        .await;
    }
    // A value of another kind.
    let () = connection.del(&key).unwrap();
    let () = connection.rpush(&key, "x").unwrap();
    assert_eq!(ask().await, right);
    wait_for("the list is stored again", || connection.get::<_, Vec<u8>>(&key).is_ok()).await;
    let made = fixture.script.started();
    assert_eq!(ask().await, right);
    assert_eq!(fixture.script.started(), made, "it is used");
    assert_eq!(failures_of(&app).await, 0, "nothing of that is a failure of Redis");
}

/// Number of failures of Redis.
async fn failures_of<S>(app: &S) -> u64
where
    S: actix_web::dev::Service<
            actix_http::Request,
            Response = actix_web::dev::ServiceResponse<actix_web::body::BoxBody>,
            Error = actix_web::Error,
        >,
{
    let text = String::from_utf8(get(app, "/metrics").await.body.to_vec()).unwrap();
    metric(&text, "tandem_redis_failures_total", "")
}

#[test]
fn a_shared_list_has_no_item_that_is_sold_out() {
    let Some(user) = User::new() else { return };
    let folder = Folder::new();
    let server = |name: &str| {
        let mut command = folder.command();
        command.args(["--redis", &user.url(6379), "--shared-lists", "600"]);
        command.arg("--storage").arg(folder.path("shop.db"));
        let server = start(name, &folder, &mut command);
        wait_until_connected(&server);
        server
    };
    let servers = [server("one"), server("two")];
    let body = json!({ "history": ["1", "2"], "k": 5 });
    let ask = |at: usize| candidate_ids(&servers[at].candidates(&body));
    let made = || servers.iter().map(|it| lists_of(it, "made")).sum::<u64>();
    let before = ask(0);
    wait_until("the list is shared", || ask(1) == before && lists_of(&servers[1], "hit") > 0);
    assert_eq!(made(), 1);
    let copied = || servers[0].get("/v1/items?limit=200").1;
    wait_until("the catalogue is copied", || {
        let items: Value = serde_json::from_slice(&copied()).unwrap();
        items["items"].as_array().is_some_and(|items| items.len() == 30)
    });
    let sold_out = &before[0];
    let line = |available: bool| json!({ "id": sold_out, "available": available }).to_string();
    assert_eq!(servers[0].lines("PUT", "/v1/availability", &line(false)).0, 200);
    assert!(!ask(0).contains(sold_out), "at once on this server");
    wait_until("the other server knows", || {
        let (_, popular) = servers[1].get("/v1/items/popular?limit=200");
        let popular: Value = serde_json::from_slice(&popular).unwrap();
        popular["items"].as_array().unwrap().iter().all(|item| item["id"] != **sold_out)
    });
    let after = ask(1);
    assert!(!after.contains(sold_out), "{after:?}");
    assert_eq!(after[..4], before[1..], "the others, and one more");
    assert_eq!(ask(0), after);
    assert_eq!(servers[0].lines("PUT", "/v1/availability", &line(true)).0, 200);
}

#[test]
fn servers_without_a_language_model_ask_once() {
    let Some(user) = User::new() else { return };
    let folder = Folder::new();
    let no_rates = ["--rate-candidates", "0", "--rate-requests", "0"];
    let generator = start("generator", &folder, folder.command().args(no_rates));
    let front = |name: &str| {
        let mut command = folder.command_on_port("0");
        command.args(["--generator", &format!("http://127.0.0.1:{}", generator.port())]);
        command.args(["--redis", &user.url(6379), "--shared-lists", "600"]);
        let front = start(name, &folder, &mut command);
        wait_until_connected(&front);
        front
    };
    let fronts = [front("one"), front("two")];
    let made = || metric_of(&generator, "tandem_candidate_lists_total", "");
    let before = made();
    let body = json!({ "history": ["4", "unknown", "4"], "k": 6, "rows": true });
    let lists: Vec<Value> = thread::scope(|scope| {
        let ask = |at: usize| {
            let (fronts, body) = (&fronts, &body);
            scope.spawn(move || fronts[at % 2].candidates(body))
        };
        let asked: Vec<_> = (0..8).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(made(), before + 1);
    for list in &lists {
        for field in ["model", "ranking", "candidates", "history_rows", "ignored", "catalogue_hash"]
        {
            assert_eq!(list[field], lists[0][field], "{field}");
        }
    }
    assert_eq!(lists[0]["ignored"], json!({ "unknown": 1, "duplicate": 1, "truncated": 0 }));
}

#[test]
fn without_an_answer_of_redis_each_server_does_everything_by_itself() {
    let Some(user) = User::new() else { return };
    let proxy = Proxy::start(SERVER);
    proxy.cut(true);
    let folder = Folder::new();
    let server = |name: &str| {
        let mut command = behind_a_proxy(&folder, &user.url(proxy.port), "10");
        start(name, &folder, command.args(["--shared-lists", "600"]))
    };
    // Redis does not answer at the start.
    let servers = [server("one"), server("two")];
    let ask = |client: &str| {
        (0..40).map(|number| list_for(&servers[number % 2], client)).filter(|it| *it == 200).count()
    };
    let began = Instant::now();
    let served = ask("192.0.2.1");
    let later = began.elapsed().as_secs() as usize / 6;
    assert!((20..=20 + 2 * later).contains(&served), "{served}: ten at each");
    let alone = |server: &Process| lists_of(server, "alone");
    assert!(servers.iter().all(|server| alone(server) >= 10));
    // It answers.
    proxy.cut(false);
    servers.iter().for_each(wait_until_connected);
    assert_eq!(list_for(&servers[0], "192.0.2.2"), 200);
    wait_until("the list is stored", || {
        servers[1].candidates(&json!({ "history": ["1"], "k": 3 }));
        lists_of(&servers[1], "hit") > 0
    });
    // It accepts connections and answers nothing.
    let failures = |server: &Process| metric_of(server, "tandem_redis_failures_total", "");
    let counted = servers.each_ref().map(|server| (failures(server), alone(server)));
    proxy.hang(true);
    for number in 0..30_u32 {
        let client = format!("192.0.2.{}", 10 + number);
        assert_eq!(list_for(&servers[number as usize % 2], &client), 200);
    }
    for (server, (failures_before, alone_before)) in servers.iter().zip(counted) {
        assert_eq!(server.get("/readyz").0, 200);
        assert!(failures(server) > failures_before);
        assert!(alone(server) >= alone_before + 15);
    }
    proxy.hang(false);
    servers.iter().for_each(wait_until_connected);
    assert_eq!(list_for(&servers[0], "192.0.2.50"), 200);
    // Connections break.
    proxy.cut(true);
    for number in 0..10 {
        assert_eq!(list_for(&servers[number % 2], "192.0.2.51"), 200);
    }
    proxy.cut(false);
    servers.iter().for_each(wait_until_connected);
}

#[test]
fn a_refused_password_is_told_without_showing_it() {
    let Some(user) = User::new() else { return };
    let folder = Folder::new();
    let wrong = user.url(6379).replace("secret", "another-secret");
    let mut command = folder.command();
    command.args(["--redis", &wrong]).env("RUST_LOG", "debug").stderr(Stdio::piped());
    let ports = folder.path("ports");
    fs::create_dir(&ports).unwrap();
    let log = folder.path("log");
    command.stderr(fs::File::create(&log).unwrap());
    let server = Process::start_with(&ports, &mut command).ready();
    let text = || fs::read_to_string(&log).unwrap();
    wait_until("the log tells it", || text().contains("Redis refuses this server"));
    assert_eq!(list_for(&server, "192.0.2.1"), 200);
    drop(server);
    let text = text();
    assert!(text.contains("refuses user or password"), "{text}");
    assert!(!text.contains("Redis does not answer"), "{text}");
    assert!(text.contains("redis://127.0.0.1:6379/"), "{text}");
    assert!(!text.contains("secret") && !text.contains(&user.name), "{text}");
}

#[test]
fn an_address_that_is_none_is_refused_without_showing_it() {
    let folder = Folder::new();
    for (url, part) in
        [("rediss://u:pass-word@h", "TLS"), ("redis://u:pass-word@h/shop", "a database")]
    {
        let output = folder.command().args(["--redis", url]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && said.contains("--redis"), "{said}");
        assert!(!said.contains("pass-word"), "{said}");
    }
}

/// What `--check` says with this Redis, and its status.
fn check(folder: &Folder, url: &str) -> (Option<i32>, String) {
    let mut command = folder.command();
    command.args(["--check", "--log-format", "text"]).env("RUST_LOG", "warn");
    let output = command.env("TANDEM_REDIS", url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// A server that answers each connection with these bytes, or closes it if there are none.
fn answering(bytes: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut read = [0; 1024];
            let _ = std::io::Read::read(&mut stream, &mut read);
            let _ = std::io::Write::write_all(&mut stream, bytes);
        }
    });
    port
}

#[test]
fn a_check_tries_redis_and_says_what_it_refuses() {
    let folder = Folder::new();
    let refused = |url: &str, part: &str| {
        let (status, said) = check(&folder, url);
        assert_eq!(status, Some(2), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        assert!(said.contains(part) && said.contains("--redis"), "{part}: {said}");
        assert!(!said.contains("secret"), "{said}");
    };
    let warned = |url: &str, part: &str| {
        let (status, said) = check(&folder, url);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("Redis does not answer") && said.contains(part), "{part}: {said}");
        assert!(!said.contains("secret"), "{said}");
    };
    warned("redis://u:secret@127.0.0.1:9", "onnection refused");
    let http = answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    refused(&format!("redis://u:secret@127.0.0.1:{http}"), "not a Redis server");
    // An alert of TLS: expected a handshake.
    let tls = answering(&[0x15, 3, 1, 0, 2, 2, 70]);
    refused(&format!("redis://u:secret@127.0.0.1:{tls}"), "not a Redis server without TLS");
    let closed = answering(b"");
    warned(&format!("redis://u:secret@127.0.0.1:{closed}"), "without TLS");

    let Some(user) = User::new() else { return };
    let (status, said) = check(&folder, &user.url(6379));
    assert_eq!((status, said.as_str()), (Some(0), ""));
    refused(&user.url(6379).replace("secret", "secret-2"), "refuses user or password");
    let url = user.url(6379);
    let (server, _) = url.rsplit_once('/').unwrap();
    refused(&format!("{server}/999"), "no database 999");
}
