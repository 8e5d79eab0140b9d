//! Events through NATS JetStream, with the real programs.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    thread,
};

use async_nats::jetstream::{
    self,
    stream::{Config, RetentionPolicy},
};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use tandem_storage::{Location, Storage};

use crate::{fixture::wait_until, postgres::Schema, process::Process, proxy::Proxy, start::Folder};

const SERVER: &str = "127.0.0.1:4222";
/// The port of PostgreSQL in the tests.
const POSTGRES: u16 = 5432;

/// The name of a stream of NATS, which is removed with the value.
struct Stream {
    name: String,
    runtime: tokio::runtime::Runtime,
    context: jetstream::Context,
}

impl Stream {
    /// `None`, with a message, where no NATS answers.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if TcpStream::connect(SERVER).is_err() {
            eprintln!("skipped: no NATS answers at {SERVER}");
            return None;
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        // The context starts a task, so it is made within the runtime.
        let connect = async { jetstream::new(async_nats::connect(SERVER).await.unwrap()) };
        let context = runtime.block_on(connect);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem_api_{}_{number}", std::process::id());
        Some(Self { name, runtime, context })
    }

    fn url(&self) -> String {
        self.url_at(4222)
    }

    /// By the port of NATS or of a proxy in front of it.
    fn url_at(&self, port: u16) -> String {
        format!("nats://127.0.0.1:{port}/{}", self.name)
    }

    /// Number of messages that were not acknowledged by a consumer.
    fn messages(&self) -> u64 {
        let stream = self.runtime.block_on(self.context.get_stream(&self.name)).unwrap();
        stream.cached_info().state.messages
    }

    /// Number of messages that consumers have taken and not acknowledged; `None` if there was no
    /// consumer yet.
    fn taken(&self) -> Option<usize> {
        self.runtime.block_on(async {
            let stream = self.context.get_stream_no_info(&self.name).await.unwrap();
            Some(stream.consumer_info("storage").await.ok()?.num_ack_pending)
        })
    }

    fn publish(&self, payload: impl Into<Vec<u8>>) {
        let subject = format!("{}.events", self.name);
        let payload: Vec<u8> = payload.into();
        self.runtime.block_on(async {
            self.context.publish(subject, payload.into()).await.unwrap().await.unwrap();
        });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A test may not have made it.
        let _ = self.runtime.block_on(self.context.delete_stream(&self.name));
    }
}

/// `cloud-server consume`.
struct Consumer(Child);

impl Consumer {
    fn start(stream: &str, storage: &str) -> Self {
        Self(consume(stream, storage).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Stops it and returns what it has printed.
    fn stop(self) -> String {
        self.signal("-TERM");
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        text + &String::from_utf8_lossy(&output.stdout)
    }

    fn kill(mut self) {
        self.signal("-KILL");
        self.0.wait().unwrap();
    }
}

fn consume(stream: &str, storage: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    command.args(["consume", "--log-format", "json"]);
    command.env("TANDEM_EVENT_STREAM", stream).env("TANDEM_STORAGE", storage);
    command.env("RUST_LOG", "warn").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that publishes events to a stream.
struct Served {
    server: Process,
    _folder: Folder,
    storage: String,
}

impl Served {
    fn start(stream: &str) -> Self {
        let folder = Folder::new();
        let storage = folder.path("shop.db").to_str().unwrap().to_owned();
        Self::start_in(folder, stream, storage)
    }

    fn start_in(folder: Folder, stream: &str, storage: String) -> Self {
        let mut command = folder.command();
        command.args(["--storage", &storage, "--store-events", "--rate-events", "0"]);
        command.args(["--event-stream", stream]);
        let server = Process::start_with(folder.root.path(), &mut command).ready();
        Self { server, _folder: folder, storage }
    }

    fn send(&self, session: &str, ids: &[&str]) -> (u16, Value) {
        send(&self.server, session, ids)
    }

    fn storage(&self) -> Storage {
        Storage::open(&self.storage.parse::<Location>().unwrap()).unwrap()
    }
}

fn send(server: &Process, session: &str, ids: &[&str]) -> (u16, Value) {
    let event = |id: &&str| json!({"id": id, "type": "click", "item": "3", "at": now_ms()});
    let events: Vec<Value> = ids.iter().map(event).collect();
    let body = json!({"session": session, "events": events}).to_string();
    json_of(server.post("/v1/events", &body))
}

fn now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_millis() as u64
}

fn json_of((status, body): (u16, Vec<u8>)) -> (u16, Value) {
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Session and id of each stored event, sorted, with repetitions.
fn stored(storage: &Storage) -> Vec<String> {
    let page = storage.block_on(storage.events_since(0, 0, 100_000)).unwrap();
    let mut all: Vec<String> =
        page.events.iter().map(|event| format!("{} {}", event.session, event.id)).collect();
    all.sort();
    all
}

#[test]
fn events_are_stored_once_and_count_on_the_server() {
    let Some(stream) = Stream::new() else { return };
    check_stored_once(&stream, None);
    let Some(stream) = Stream::new() else { return };
    let Some(schema) = Schema::new() else { return };
    check_stored_once(&stream, Some(schema.url(POSTGRES)));
}

fn check_stored_once(stream: &Stream, postgres: Option<String>) {
    let mut served = match postgres {
        Some(url) => Served::start_in(Folder::new(), &stream.url(), url),
        None => Served::start(&stream.url()),
    };
    let counts = |accepted: u64, repeated: u64| {
        (200, json!({"accepted": accepted, "repeated": repeated, "unknown": 0}))
    };
    assert_eq!(served.send("ann", &["1", "2"]), counts(2, 0));
    assert_eq!(served.send("ann", &["1", "2"]), counts(0, 2), "the same request");
    // The database drops the rest.
    assert_eq!(served.send("ann", &["2", "3"]), counts(2, 0));
    assert_eq!(served.send("bob", &["1", "1"]), counts(2, 0));
    assert_eq!(served.send("bob", &[]), counts(0, 0));
    assert_eq!(stream.messages(), 3);
    let storage = served.storage();
    assert!(stored(&storage).is_empty());
    let consumer = Consumer::start(&stream.url(), &served.storage);
    wait_until("the stream is empty", || stream.messages() == 0);
    assert_eq!(stored(&storage), ["ann 1", "ann 2", "ann 3", "bob 1"]);
    wait_until("the server counts the events", || {
        let trending = json_of(served.server.get("/v1/items/trending")).1;
        trending["items"][0]["id"] == "3"
    });
    let (_, ann) = json_of(served.server.get("/v1/users/ann"));
    assert_eq!(ann["events"].as_array().unwrap().len(), 3);
    let metrics = String::from_utf8(served.server.get("/metrics").1).unwrap();
    let ready = format!(
        "tandem_event_stream_ready{{stream=\"nats://127.0.0.1:4222/{}\"}} 1\n",
        stream.name
    );
    assert!(metrics.contains(&ready), "{metrics}");
    let printed = consumer.stop();
    assert!(
        printed.contains("4 events of 3 messages stored, 2 duplicates and 0 of removed"),
        "{printed}"
    );
    assert_eq!(served.server.stop_with("-TERM").code(), Some(0));
}

#[test]
fn a_consumer_that_is_killed_between_commit_and_acknowledgement_stores_nothing_twice() {
    let Some(stream) = Stream::new() else { return };
    let served = Served::start(&stream.url());
    let storage = served.storage();
    let proxy = Proxy::start(SERVER);
    let consumer = Consumer::start(&stream.url_at(proxy.port), &served.storage);
    wait_until("the consumer is there", || stream.taken().is_some());
    // It takes the messages, and waits for the database.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("sqlite:{}", served.storage);
    let mut lock = runtime.block_on(SqliteConnection::connect(&url)).unwrap();
    runtime.block_on(lock.execute("BEGIN IMMEDIATE")).unwrap();
    for number in 0..20 {
        assert_eq!(served.send("ann", &[&number.to_string()]).0, 200);
    }
    wait_until("the messages are taken", || stream.taken() == Some(20));
    proxy.cut(true);
    runtime.block_on(lock.execute("ROLLBACK")).unwrap();
    wait_until("the events are stored", || stored(&storage).len() == 20);
    consumer.kill();
    assert!(stream.messages() > 0, "acknowledged in spite of the cut");
    let consumer = Consumer::start(&stream.url(), &served.storage);
    wait_until("the messages are delivered again", || stream.messages() == 0);
    assert_eq!(stored(&storage).len(), 20);
    let printed = consumer.stop();
    assert!(printed.contains("0 events of "), "{printed}");
}

#[test]
fn while_nats_is_gone_events_are_refused_and_none_is_lost() {
    let Some(stream) = Stream::new() else { return };
    let proxy = Proxy::start(SERVER);
    let served = Served::start(&stream.url_at(proxy.port));
    let mut consumer = Consumer::start(&stream.url_at(proxy.port), &served.storage);
    let (done, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let acknowledged: Mutex<BTreeSet<String>> = Mutex::default();
    thread::scope(|scope| {
        for client in 0..4 {
            let (served, done, refused, acknowledged) = (&served, &done, &refused, &acknowledged);
            scope.spawn(move || {
                let session = format!("visitor-{client}");
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    let id = number.to_string();
                    match served.send(&session, &[&id]).0 {
                        200 => {
                            acknowledged.lock().unwrap().insert(format!("{session} {id}"));
                            number += 1;
                        }
                        // Sent again, as devices do.
                        503 => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        other => panic!("{other}"),
                    }
                }
            });
        }
        let count = || acknowledged.lock().unwrap().len();
        wait_until("events are acknowledged", || count() > 20);
        proxy.cut(true);
        wait_until("events are refused", || refused.load(Ordering::Relaxed) > 20);
        let (status, ready) = json_of(served.server.get("/readyz"));
        assert_eq!((status, &ready["event_stream"]), (200, &json!("unavailable")), "{ready}");
        let (status, problem) = json_of(served.server.send("DELETE", "/v1/users/x", "", b""));
        assert_eq!((status, &problem["code"]), (503, &json!("overloaded")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("event stream") && !detail.contains("storage"), "{detail}");
        let (status, problem) = served.send("eve", &["1"]);
        assert_eq!(status, 503, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("event stream") && !detail.contains("storage"), "{detail}");
        let before = count();
        proxy.cut(false);
        wait_until("events are acknowledged again", || count() > before + 20);
        done.store(true, Ordering::Relaxed);
    });
    let storage = served.storage();
    let acknowledged: Vec<String> = acknowledged.into_inner().unwrap().into_iter().collect();
    wait_until("the stream is empty", || stream.messages() == 0);
    let mut found = stored(&storage);
    let all = found.len();
    found.dedup();
    assert_eq!(found.len(), all, "events are stored twice");
    let missing: Vec<_> = acknowledged.iter().filter(|it| !found.contains(it)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    println!("{} acknowledged, {all} stored, {} refused", acknowledged.len(), refused.into_inner());
    // A consumer does not wait for NATS to end.
    proxy.cut(true);
    consumer.signal("-TERM");
    wait_until("the consumer ends", || consumer.0.try_wait().unwrap().is_some());
}

#[test]
fn messages_that_are_no_events_leave_the_stream_and_block_nothing() {
    let Some(stream) = Stream::new() else { return };
    let served = Served::start(&stream.url());
    stream.publish("no events");
    assert_eq!(served.send("ann", &["1"]).0, 200);
    stream.publish(vec![0xff; 1000]);
    stream.publish(r#"{"session":"an\u0000n","events":[]}"#);
    assert_eq!(served.send("ann", &["2"]).0, 200);
    let consumer = Consumer::start(&stream.url(), &served.storage);
    wait_until("the stream is empty", || stream.messages() == 0);
    assert_eq!(stored(&served.storage()), ["ann 1", "ann 2"]);
    let printed = consumer.stop();
    assert!(printed.contains("3 messages refused"), "{printed}");
    let warnings = printed.lines().filter(|line| line.contains("no message of events"));
    assert_eq!(warnings.count(), 1, "{printed}");
}

#[test]
fn two_consumers_share_the_messages() {
    let Some(stream) = Stream::new() else { return };
    let served = Served::start(&stream.url());
    let consumers = [(); 2].map(|()| Consumer::start(&stream.url(), &served.storage));
    let mut expected = Vec::new();
    for number in 0..300 {
        let (first, second) = (format!("{number}-a"), format!("{number}-b"));
        assert_eq!(served.send("ann", &[&first, &second]).0, 200);
        expected.extend([format!("ann {first}"), format!("ann {second}")]);
    }
    wait_until("the stream is empty", || stream.messages() == 0);
    expected.sort();
    assert_eq!(stored(&served.storage()), expected);
    let mut messages = 0;
    for consumer in consumers {
        let printed = consumer.stop();
        let words: Vec<&str> = printed.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "messages").unwrap();
        messages += words[at - 1].parse::<usize>().unwrap();
    }
    assert_eq!(messages, 300);
}

#[test]
fn events_of_a_visitor_who_was_removed_do_not_come_back() {
    let Some(stream) = Stream::new() else { return };
    let served = Served::start(&stream.url());
    assert_eq!(served.send("ann", &["1", "2"]).0, 200);
    assert_eq!(served.send("bob", &["1"]).0, 200);
    let (status, removed) = json_of(served.server.send("DELETE", "/v1/users/ann", "", b""));
    assert_eq!((status, &removed["removed"]), (200, &json!(0)), "{removed}");
    // The visitor comes back.
    assert_eq!(served.send("ann", &["3"]).0, 200);
    let consumer = Consumer::start(&stream.url(), &served.storage);
    wait_until("the stream is empty", || stream.messages() == 0);
    let storage = served.storage();
    assert_eq!(stored(&storage), ["ann 3", "bob 1"]);
    let (_, removed) = json_of(served.server.send("DELETE", "/v1/users/ann", "", b""));
    assert_eq!(removed["removed"], 1);
    assert_eq!(stored(&storage), ["bob 1"]);
    let printed = consumer.stop();
    assert!(printed.contains("0 duplicates and 2 of removed visitors left out"), "{printed}");
}

/// Checks that a start has failed with one sentence that has these parts, and no password.
fn check_refusal(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let last = text.lines().last().unwrap_or_default();
    for part in parts {
        assert!(last.contains(part), "{part} is not in: {text}");
    }
    assert!(!text.contains("tdm_secret"), "{text}");
}

#[test]
fn wrong_streams_are_refused_and_no_password_is_shown() {
    let folder = Folder::new();
    let storage = folder.path("shop.db");
    let server = |stream: &str| {
        let mut command = folder.command();
        command.arg("--storage").arg(&storage).args(["--store-events", "--storage-wait", "0"]);
        command.env("TANDEM_EVENT_STREAM", stream).env("RUST_LOG", "warn");
        command
    };
    let consumer = |stream: &str| {
        let mut command = consume(stream, storage.to_str().unwrap());
        command.args(["--storage-wait", "0"]);
        command
    };
    // Where nothing listens, and addresses that are none.
    for (stream, parts) in [
        ("nats://anna:tdm_secret@127.0.0.1:9/x", &["nats://127.0.0.1:9/x does not answer"][..]),
        ("http://anna:tdm_secret@nats", &["event-stream", "nats://USER:PASSWORD@HOST"]),
        ("nats://anna:pa/tdm_secret@nats", &["event-stream", "%2F"]),
    ] {
        check_refusal(&server(stream).output().unwrap(), parts);
        check_refusal(&consumer(stream).output().unwrap(), parts);
    }
    let printed = server("nats://anna:tdm_secret@nats").arg("--print-config").output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("event-stream = \"nats://anna:***@nats/tandem\""), "{text}");
    assert!(!text.contains("tdm_secret"), "{text}");

    let Some(stream) = Stream::new() else { return };
    let config = Config {
        name: stream.name.clone(),
        subjects: vec![format!("{}.events", stream.name)],
        retention: RetentionPolicy::Limits,
        ..Config::default()
    };
    stream.runtime.block_on(stream.context.create_stream(config)).unwrap();
    let parts = ["other settings", "WorkQueue", "Limits"];
    check_refusal(&server(&stream.url()).output().unwrap(), &parts);
    check_refusal(&consumer(&stream.url()).output().unwrap(), &parts);
}

/// A port at which something listens that never says anything.
#[test]
fn a_start_does_not_wait_forever_for_what_is_no_nats() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let folder = Folder::new();
    let mut command = consume(&url, folder.path("shop.db").to_str().unwrap());
    let mut consumer = command.args(["--storage-wait", "6"]).spawn().unwrap();
    wait_until("the consumer ends", || consumer.try_wait().unwrap().is_some());
    let output = consumer.wait_with_output().unwrap();
    check_refusal(&output, &["does not answer", "no answer of a NATS server"]);
}

#[test]
fn a_consumer_reads_options_as_the_server_does() {
    let folder = Folder::new();
    let run = |options: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command.arg("consume").args(options).envs(variables.iter().copied());
        command.args(["--storage-wait", "0", "--log-format", "text"]).env("RUST_LOG", "warn");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said + &String::from_utf8_lossy(&output.stdout))
    };
    let file = |name: &str, text: &str| {
        let path = folder.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let storage = folder.path("shop.db").to_str().unwrap().to_owned();
    let nowhere =
        format!("storage = \"{storage}\"\nevent-stream = \"nats://127.0.0.1:9/of-file\"\n");
    // The file of a server.
    let path = file("tandem.toml", &format!("queue = 3\n{nowhere}"));
    let (status, said) = run(&["--config", &path], &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("nats://127.0.0.1:9/of-file does not answer"), "{said}");
    let (_, said) = run(&[], &[("TANDEM_CONFIG", &path)]);
    assert!(said.contains("nats://127.0.0.1:9/of-file does not answer"), "{said}");
    let (_, said) =
        run(&["--config", &path], &[("TANDEM_EVENT_STREAM", "nats://127.0.0.1:9/of-env")]);
    assert!(said.contains("nats://127.0.0.1:9/of-env does not answer"), "{said}");
    let (_, said) = run(&["--metrics-listen", "127.0.0.1:0", "--config", &path], &[]);
    assert!(said.contains("nats://127.0.0.1:9/of-file does not answer"), "{said}");
    let wrong = file("wrong.toml", &format!("queueu = 3\n{nowhere}"));
    let (status, said) = run(&["--config", &wrong], &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("`queueu`, which is not an option"), "{said}");
    let (status, said) = run(&[], &[("TANDEM_EVENT_STREM", "nats://127.0.0.1:9")]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("did you mean TANDEM_EVENT_STREAM?"), "{said}");
    assert!(said.contains("--event-stream <URL>"), "{said}");
    let (_, said) = run(&["--config", &path], &[("TANDEM_STORAGE_WIAT", "5")]);
    assert!(said.contains("did you mean TANDEM_STORAGE_WAIT?"), "{said}");

    let Some(stream) = Stream::new() else { return };
    let url = stream.url();
    let (status, said) = run(&["--check", "--storage", &storage, "--event-stream", &url], &[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(said, "the configuration can be used\n");
    let (status, said) = run(&["--check", "--config", &path], &[]);
    assert_eq!(status, Some(2), "{said}");
}

#[test]
fn a_consumer_has_metrics() {
    let Some(stream) = Stream::new() else { return };
    let served = Served::start(&stream.url());
    assert_eq!(served.send("ann", &["1", "2"]).0, 200);
    assert_eq!(served.send("ann", &["2", "3"]).0, 200);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = consume(&stream.url(), &served.storage);
    command.args(["--metrics-listen", &address.to_string()]);
    let consumer = Consumer(command.spawn().unwrap());
    let metrics = || {
        let mut connection = TcpStream::connect(address).ok()?;
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        connection.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let has = |line: &str| metrics().is_some_and(|text| text.lines().any(|it| it == line));
    wait_until("the events are counted", || has("tandem_consumer_messages_total 2"));
    for line in [
        "tandem_consumer_events_total{result=\"stored\"} 3",
        "tandem_consumer_events_total{result=\"duplicate\"} 1",
        "tandem_consumer_events_total{result=\"forgotten\"} 0",
        "tandem_consumer_refused_messages_total 0",
    ] {
        assert!(has(line), "{line} is not in: {}", metrics().unwrap());
    }
    wait_until("nothing waits", || {
        has("tandem_event_stream_messages 0") && has("tandem_event_stream_ready 1")
    });
    stream.publish("no events");
    wait_until("it is counted", || has("tandem_consumer_refused_messages_total 1"));
    // The address is in use.
    let output = command.output().unwrap();
    check_refusal(&output, &["cannot serve metrics", "--metrics-listen"]);
    consumer.stop();
}

#[test]
fn a_full_stream_refuses_events_and_keeps_what_it_has() {
    let Some(stream) = Stream::new() else { return };
    let served = Served::start(&stream.url());
    assert_eq!(served.send("ann", &["1"]).0, 200);
    let mut config = stream.runtime.block_on(async {
        stream.context.get_stream(&stream.name).await.unwrap().cached_info().config.clone()
    });
    config.max_messages = 1;
    stream.runtime.block_on(stream.context.update_stream(config)).unwrap();
    let (status, problem) = served.send("ann", &["2"]);
    assert_eq!((status, &problem["code"]), (503, &json!("event_log_full")), "{problem}");
    let consumer = Consumer::start(&stream.url(), &served.storage);
    wait_until("events are accepted again", || served.send("ann", &["3"]).0 == 200);
    wait_until("the stream is empty", || stream.messages() == 0);
    assert_eq!(stored(&served.storage()), ["ann 1", "ann 3"]);
    consumer.stop();
}
