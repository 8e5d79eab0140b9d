//! Faults of the database under a running server: kill -9, locks, a full disk, a connection that
//! is cut. `docs/reliability.md` has the results.

use std::{
    collections::HashSet,
    fs,
    io::Write,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};
use tandem_storage::{Location, Storage};

use crate::{
    fixture::{candidate_ids, wait_until},
    process::Process,
    proxy::Proxy,
    releases::{FIRST, SECOND, use_release, write_release},
    start::Folder,
};

/// Starts a server that stores events in the database `url`.
fn serve(folder: &Folder, url: &str) -> Process {
    let _ = fs::remove_file(folder.path("port"));
    let mut command = folder.command();
    command.args(["--storage", url, "--store-events", "--rate-requests", "0"]);
    command.args(["--rate-candidates", "0", "--rate-events", "0"]);
    Process::start_with(folder.root.path(), &mut command).ready()
}

fn file(folder: &Folder) -> String {
    format!("sqlite:{}", folder.path("shop.db").display())
}

fn request(method: &str, path: &str, media_type: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: {media_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn click(session: &str, id: &str) -> String {
    let event = json!({ "id": id, "type": "click", "item": "1", "at": 1_700_000_000_000_u64 });
    let body = json!({ "session": session, "events": [event] }).to_string();
    request("POST", "/v1/events", "application/json", &body)
}

/// Sends a request whose answer is JSON.
fn send(server: &Process, request: &str) -> Option<(u16, Value)> {
    let (status, body) = server.try_exchange(request)?;
    Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// The ids of a visitor's events, with repetitions.
fn stored(server: &Process, session: &str) -> Vec<String> {
    let (status, body) = server.get(&format!("/v1/users/{session}"));
    assert_eq!(status, 200);
    let export: Value = serde_json::from_slice(&body).unwrap();
    let events = export["events"].as_array().unwrap().iter();
    events.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn items(range: std::ops::Range<usize>) -> String {
    let line = |number| {
        format!(
            "{{\"id\":\"sku-{number}\",\"title\":\"Product {number}\",\"categories\":[\"Group {}\"]}}\n",
            number % 20
        )
    };
    range.map(line).collect()
}

fn upsert(lines: &str) -> String {
    request("POST", "/v1/items", "application/x-ndjson", lines)
}

fn candidates(server: &Process) -> Vec<String> {
    candidate_ids(&server.candidates(&json!({ "history": ["9"], "k": 50 })))
}

fn run<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

/// A connection of another program to the file.
async fn other_program(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

#[test]
fn killed_while_events_arrive_nothing_acknowledged_is_lost_or_doubled() {
    let folder = Folder::new();
    let acknowledged = Mutex::new(Vec::new());
    let number = AtomicUsize::new(0);
    let mut cut_off = 0;
    for _ in 0..3 {
        let server = serve(&folder, &file(&folder));
        let before = acknowledged.lock().unwrap().len();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            let id = number.fetch_add(1, Ordering::Relaxed).to_string();
                            let Some((status, _)) = send(&server, &click("ann", &id)) else {
                                return id;
                            };
                            assert_eq!(status, 200);
                            acknowledged.lock().unwrap().push(id);
                        }
                    })
                })
                .collect();
            wait_until("events arrive", || acknowledged.lock().unwrap().len() > before + 100);
            server.kill();
            // Each client sends again what was not acknowledged, as a device does.
            let unanswered: Vec<String> =
                clients.into_iter().map(|client| client.join().unwrap()).collect();
            cut_off += unanswered.len();
            let server = serve(&folder, &file(&folder));
            for id in unanswered {
                assert_eq!(send(&server, &click("ann", &id)).unwrap().0, 200);
                acknowledged.lock().unwrap().push(id);
            }
        });
    }
    assert_eq!(cut_off, 24);
    let server = serve(&folder, &file(&folder));
    let stored = stored(&server, "ann");
    let distinct: HashSet<&String> = stored.iter().collect();
    assert_eq!(distinct.len(), stored.len(), "an event is stored twice");
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(distinct, acknowledged.iter().collect::<HashSet<_>>());
}

#[test]
fn killed_within_a_bulk_upsert_whole_transactions_stay_and_the_body_is_sent_again() {
    const ITEMS: usize = 20_000;
    let folder = Folder::new();
    let server = serve(&folder, &file(&folder));
    let path = folder.path("shop.db");
    let known = || {
        let storage = Storage::open(&Location::Sqlite(path.clone())).unwrap();
        storage.block_on(storage.sizes()).unwrap().items
    };
    wait_until("the catalogue is copied", || known() > 0);
    let catalogue = known();
    let body = upsert(&items(0..ITEMS));
    // The rest of the body never arrives.
    let mut stream = server.connect();
    stream.write_all(&body.as_bytes()[..body.len() / 2]).unwrap();
    wait_until("a transaction is written", || known() > catalogue);
    server.kill();
    drop(server);
    let kept = known() - catalogue;
    assert!((5_000..ITEMS as u64).contains(&kept), "{kept}");

    let server = serve(&folder, &file(&folder));
    let (status, answer) = send(&server, &body).unwrap();
    assert_eq!((status, &answer["added"]), (200, &json!(ITEMS as u64 - kept)), "{answer}");
    assert_eq!((&answer["unchanged"], &answer["refused"]), (&json!(kept), &json!(0)));
    let found: Value = serde_json::from_slice(&server.get("/v1/items?q=Product%20777").1).unwrap();
    assert!(found["items"].as_array().unwrap().iter().any(|item| item["id"] == "sku-777"));
}

#[test]
fn one_bad_line_among_many_is_refused_alone() {
    let folder = Folder::new();
    let server = serve(&folder, &file(&folder));
    let lines = items(0..12_000) + "{\"id\":\"sku-x\",\"price\":-1}\n" + &items(12_000..20_000);
    let (status, answer) = send(&server, &upsert(&lines)).unwrap();
    assert_eq!((status, &answer["added"]), (200, &json!(20_000)), "{answer}");
    assert_eq!(answer["refused"], 1);
    assert_eq!(answer["errors"][0]["line"], 12_001);
    assert_eq!(server.get("/v1/items/sku-x").0, 404);
}

#[test]
fn killed_within_an_activation_one_whole_release_is_in_use() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("shop");
    write_release(&folder, FIRST, 20);
    write_release(&folder, SECOND, 25);
    use_release(&folder, FIRST);
    let start = || {
        let _ = fs::remove_file(home.path().join("port"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command.arg("--release").arg(&folder).args(["--port", "0"]).env("RUST_LOG", "off");
        command.arg("--storage").arg(home.path().join("shop.db"));
        Process::start_with(home.path(), &mut command).ready()
    };
    for milliseconds in [0, 5, 20, 80, 200] {
        let server = start();
        let activate = |name: &str| {
            let path = format!("/v1/releases/{name}/activate");
            send(&server, &request("POST", &path, "application/json", ""))
        };
        let used = fs::read_to_string(folder.join("current")).unwrap().trim().to_owned();
        let next = if used == FIRST { SECOND } else { FIRST };
        thread::scope(|scope| {
            let client = scope.spawn(|| activate(next));
            thread::sleep(Duration::from_millis(milliseconds));
            server.kill();
            client.join().unwrap();
        });
        let server = start();
        let used = fs::read_to_string(folder.join("current")).unwrap().trim().to_owned();
        let expected = if used == FIRST { 19 } else { 24 };
        assert!([FIRST, SECOND].contains(&&*used), "{used}");
        assert_eq!(candidates(&server).len(), expected, "{used}");
        let list: Value = serde_json::from_slice(&server.get("/v1/releases").1).unwrap();
        assert_eq!(list["in_use"], used);
    }
}

/// The items of a database of version 1, half of them not available.
async fn write_version_1(path: &Path, items: u32) {
    let mut connection = other_program(path).await;
    connection.execute("PRAGMA journal_mode = WAL").await.unwrap();
    let text = include_str!("../../../crates/storage/migrations/sqlite/1.sql");
    let first = Migration::new(
        1,
        "items, events, activations".into(),
        MigrationType::Simple,
        sqlx::SqlStr::from_static(text),
        false,
    );
    Migrator::with_migrations(vec![first]).run(&mut connection).await.unwrap();
    let fill = format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {items}) \
         INSERT INTO items (id, title, categories, brand, description, attributes, available, \
         created, updated, revision, search_text) SELECT 'sku-' || i, 'Product', '[]', '', \
         hex(zeroblob(200)), '{{}}', i % 2, 1, 1, 1, 'product' FROM n; \
         UPDATE counters SET value = 1 WHERE name = 'items'"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(fill))).await.unwrap();
    connection.close().await.unwrap();
}

#[test]
fn killed_within_a_migration_the_next_start_migrates_and_nothing_is_lost() {
    const ITEMS: u32 = 60_000;
    let folder = Folder::new();
    let path = folder.path("shop.db");
    run(write_version_1(&path, ITEMS));
    for milliseconds in [5, 20, 40, 80, 160, 320] {
        let mut command = folder.command();
        let mut server = command.args(["--storage", &file(&folder)]).spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        server.kill().unwrap();
        server.wait().unwrap();
    }
    let server = serve(&folder, &file(&folder));
    let storage = Storage::open(&Location::Sqlite(path)).unwrap();
    let items = || storage.block_on(storage.sizes()).unwrap().items;
    wait_until("the catalogue is copied", || items() > u64::from(ITEMS));
    let of = |id: &str| -> Value {
        serde_json::from_slice(&server.get(&format!("/v1/items/{id}")).1).unwrap()
    };
    assert_eq!(of("sku-0")["available"], false);
    assert_eq!(of("sku-59999")["available"], true);
    let body = "{\"id\":\"sku-0\",\"available\":false}\n{\"id\":\"sku-1\",\"available\":false}\n";
    let told = request("PUT", "/v1/availability", "application/x-ndjson", body);
    let answer = send(&server, &told).unwrap().1;
    assert_eq!((&answer["changed"], &answer["unchanged"]), (&json!(1), &json!(1)), "{answer}");
}

#[test]
fn while_another_program_locks_the_file_lists_go_on_and_events_are_refused() {
    let folder = Folder::new();
    let server = serve(&folder, &file(&folder));
    let path = folder.path("shop.db");
    assert_eq!(send(&server, &click("ann", "1")).unwrap().0, 200);
    let lists = candidates(&server);
    run(async {
        let mut other = other_program(&path).await;
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let (status, problem) = send(&server, &click("ann", "2")).unwrap();
        assert_eq!((status, &problem["code"]), (503, &json!("overloaded")), "{problem}");
        assert_eq!(candidates(&server), lists);
        assert_eq!(server.get("/v1/items?limit=1").0, 200, "reading goes on");
        other.execute("ROLLBACK").await.unwrap();
    });
    for id in ["1", "2"] {
        assert_eq!(send(&server, &click("ann", id)).unwrap().0, 200);
    }
    assert_eq!(stored(&server, "ann"), ["1", "2"]);
}

#[test]
fn two_servers_on_one_file_store_each_event_once_and_follow_each_other() {
    let folder = Folder::new();
    let servers = [serve(&folder, &file(&folder)), serve(&folder, &file(&folder))];
    thread::scope(|scope| {
        for server in servers.iter().chain(&servers) {
            scope.spawn(move || {
                for number in 0..100 {
                    let answer = send(server, &click("ann", &number.to_string())).unwrap();
                    assert_eq!(answer.0, 200, "{}", answer.1);
                }
            });
        }
    });
    let stored = stored(&servers[0], "ann");
    assert_eq!((stored.len(), stored.iter().collect::<HashSet<_>>().len()), (100, 100));
    let hide = request("PUT", "/v1/availability", "text/csv", "id,available\n2,false\n");
    wait_until("the catalogue is copied", || send(&servers[0], &hide).unwrap().1["unknown"] == 0);
    wait_until("the other server follows", || !candidates(&servers[1]).contains(&"2".to_owned()));
    assert_eq!(candidates(&servers[0]), candidates(&servers[1]));
}

/// A file system of its own, which is removed with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where it cannot be mounted.
    fn mount(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(path)
            .output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_refused_with_its_reason_and_half_a_batch_never_stays() {
    let folder = Folder::new();
    let path = folder.path("disk");
    let Some(_disk) = SmallDisk::mount(&path) else {
        eprintln!("skipped: no small file system can be mounted here, which needs root");
        return;
    };
    let reserve = path.join("reserve");
    // SQLite first moves its write-ahead log into the database: it needs as much space as the log.
    fs::write(&reserve, vec![0; 14 << 20]).unwrap();
    let url = format!("sqlite:{}", path.join("shop.db").display());
    let server = serve(&folder, &url);
    let known = || {
        let storage = Storage::open(&url.parse().unwrap()).unwrap();
        storage.block_on(storage.sizes()).unwrap().items
    };
    wait_until("the catalogue is copied", || known() > 0);
    let catalogue = known();
    let batch = |from: usize| -> (u16, Value) {
        send(&server, &upsert(&items(from..from + 5_000))).unwrap()
    };
    let mut written = 0;
    let refusal = loop {
        let (status, answer) = batch(written);
        if status != 200 {
            break (status, answer["code"].clone());
        }
        written += 5_000;
    };
    assert_eq!(refusal, (503, json!("storage_full")));
    assert!(written > 0);
    // What is left of the disk.
    let filler = path.join("filler");
    let full = vec![0; 24 << 20];
    assert!(fs::write(&filler, &full).is_err());
    let many = |session: u32| {
        let event = |number| {
            let id = format!("{number}-{}", "x".repeat(50));
            json!({ "id": id, "type": "click", "item": "1", "at": 1 })
        };
        let events: Vec<Value> = (0..500).map(event).collect();
        let body = json!({ "session": format!("a{session}"), "events": events }).to_string();
        request("POST", "/v1/events", "application/json", &body)
    };
    let (mut accepted, mut refused) = (0, None);
    for number in 0..200 {
        let (status, answer) = send(&server, &many(number)).unwrap();
        if status != 200 {
            refused = Some((number, status, answer["code"].clone()));
            break;
        }
        accepted += 1;
    }
    let (session, status, code) = refused.unwrap();
    assert_eq!((status, code), (503, json!("storage_full")));
    assert_eq!(stored(&server, &format!("a{session}")), [""; 0], "of {accepted} before");
    // With the stored items: a model of titles ranks them at once.
    assert!(!candidates(&server).is_empty(), "lists go on");
    let sizes = send(&server, &request("GET", "/v1/admin/storage", "text/plain", "")).unwrap().1;
    let items = sizes["database"]["sizes"]["items"].as_u64();
    let expected = Some(catalogue + written as u64);
    assert_eq!(items, expected, "nothing of the refused batch is stored");
    fs::remove_file(&filler).unwrap();
    fs::remove_file(&reserve).unwrap();
    wait_until("with space it continues", || send(&server, &many(session)).unwrap().0 == 200);
    assert_eq!(stored(&server, &format!("a{session}")).len(), 500);
}

/// PostgreSQL is cut off for as many seconds as `TANDEM_TEST_CUT_S` says, or 3.
#[test]
fn while_postgresql_is_gone_lists_go_on_and_no_acknowledged_event_is_lost_or_doubled() {
    const SERVER: &str = "postgres://postgres@127.0.0.1:5432/test";
    if run(PgConnection::connect(SERVER)).is_err() {
        eprintln!("skipped: no PostgreSQL answers at {SERVER}");
        return;
    }
    let cut_s = std::env::var("TANDEM_TEST_CUT_S").map_or(3, |text| text.parse().unwrap());
    let schema = format!("tandem_server_{}", std::process::id());
    let execute = |statement: String| {
        run(async {
            let mut connection = PgConnection::connect(SERVER).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
        });
    };
    execute(format!("CREATE SCHEMA {schema}"));
    let folder = Folder::new();
    let proxy = Proxy::start("127.0.0.1:5432");
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/test?options=-c%20search_path%3D{schema}",
        proxy.port
    );
    let server = serve(&folder, &url);
    let lists = candidates(&server);
    let (is_over, acknowledged, refused) =
        (AtomicBool::new(false), Mutex::new(Vec::new()), AtomicUsize::new(0));
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        for client in 0..4 {
            let (server, is_over, acknowledged, refused) =
                (&server, &is_over, &acknowledged, &refused);
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("{client}-{number}");
                    // A refused event is sent again, as a device does.
                    while let (status, problem) = send(server, &click("ann", &id)).unwrap()
                        && status != 200
                    {
                        assert_eq!((status, &problem["code"]), (503, &json!("overloaded")));
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    acknowledged.lock().unwrap().push(id);
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        wait_until("events arrive", || acknowledged.lock().unwrap().len() > 40);
        proxy.cut(true);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(cut_s) || refused.load(Ordering::Relaxed) == 0 {
            let start = Instant::now();
            assert_eq!(candidates(&server), lists);
            longest = longest.max(start.elapsed());
        }
        proxy.cut(false);
        let before = acknowledged.lock().unwrap().len();
        wait_until("events arrive again", || acknowledged.lock().unwrap().len() > before + 40);
        is_over.store(true, Ordering::Relaxed);
    });
    let stored = stored(&server, "ann");
    let distinct: HashSet<&String> = stored.iter().collect();
    let acknowledged = acknowledged.into_inner().unwrap();
    println!(
        "{} acknowledged, {} refused with 503, the slowest list took {} ms",
        acknowledged.len(),
        refused.into_inner(),
        longest.as_millis()
    );
    assert_eq!(distinct.len(), stored.len(), "an event is stored twice");
    assert_eq!(distinct, acknowledged.iter().collect::<HashSet<_>>());
    drop(server);
    execute(format!("DROP SCHEMA {schema} CASCADE"));
}
