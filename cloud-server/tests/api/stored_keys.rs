//! Keys in the database: they count on running servers within a second, whatever command or server has
//! changed them, and an outage changes nothing.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    fixture::wait_until,
    postgres::Schema,
    process::Process,
    proxy::Proxy,
    start::{Folder, assert_mentions, sentence},
};

/// Time in which a change reaches a server: a second, and some more on a busy machine.
const REACHES: Duration = Duration::from_secs(5);

/// `cloud-server keys`.
fn command(line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    command.arg("keys").args(line).env_remove("TANDEM_STORAGE").stdin(Stdio::null());
    command
}

/// What a command prints that succeeds.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn new_key(database: &str, options: &[&str]) -> String {
    output(&mut command(&[&["new", "--storage", database], options].concat()))
}

/// The id in the text of a key.
fn id(key: &str) -> &str {
    key.split('_').nth(2).unwrap()
}

fn revoke(database: &str, key: &str) {
    let said = output(&mut command(&["revoke", "--storage", database, id(key)]));
    assert_mentions(&said, &[id(key), "within a second"]);
}

fn start(folder: &Folder, database: &str, options: &[&str]) -> Process {
    let _ = fs::remove_file(folder.path("port"));
    let mut command = folder.command();
    command.args(["--storage", database, "--stored-keys"]).args(options);
    Process::start_with(folder.root.path(), &mut command).ready()
}

/// The status of a route that every key may use.
fn status_with(server: &Process, key: &str) -> u16 {
    server.send("GET", "/v1/models", key, b"").0
}

/// Waits until a server answers a key so, and checks that it does not take long.
#[track_caller]
fn soon(server: &Process, key: &str, status: u16) {
    let start = Instant::now();
    wait_until("the server follows", || status_with(server, key) == status);
    assert!(start.elapsed() < REACHES, "after {:?}", start.elapsed());
}

fn listed(server: &Process, key: &str) -> Value {
    let (status, body) = server.send("GET", "/v1/admin/keys", key, b"");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice::<Value>(&body).unwrap()["keys"].clone()
}

/// Runs a statement of another program on a file of SQLite.
fn execute(path: &Path, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        connection.execute(statement).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn new_and_revoked_keys_count_on_a_running_server() {
    let folder = Folder::new();
    let path = folder.path("shop.db");
    let database = path.to_str().unwrap();
    let admin = new_key(database, &["--name", "operator", "--kind", "admin"]);
    let server = start(&folder, database, &[]);
    assert_eq!(server.get("/v1/models").0, 401, "a program on this machine has no key");
    assert_eq!((status_with(&server, &admin), status_with(&server, "another")), (200, 401));
    let shop = new_key(database, &["--name", "shop", "--origin", "https://shop.example"]);
    soon(&server, &shop, 200);
    assert_eq!(server.send("GET", "/v1/status", &shop, b"").0, 403, "it is a public key");
    // As those of a file.
    let keys = listed(&server, &admin);
    let key = |number: usize, name: &str| keys[number][name].clone();
    assert_eq!((key(0, "id"), key(1, "id")), (json!(id(&admin)), json!(id(&shop))));
    assert_eq!((key(1, "name"), key(1, "kind")), (json!("shop"), json!("public")));
    assert_eq!(key(1, "origins"), json!(["https://shop.example"]));
    assert_eq!(key(1, "created").as_str().unwrap().len(), "2026-11-27".len());
    revoke(database, &shop);
    soon(&server, &shop, 401);
    assert_eq!(status_with(&server, &admin), 200);
    // Without any key the server is open to nobody, and not to everybody.
    revoke(database, &admin);
    soon(&server, &admin, 401);
    assert_eq!(server.get("/v1/models").0, 401);
    let next = new_key(database, &["--name", "operator"]);
    soon(&server, &next, 200);
}

#[test]
fn a_key_counts_on_both_servers_of_a_postgresql_until_it_is_revoked() {
    let Some(schema) = Schema::new() else { return };
    let database = schema.url(5432);
    let first = new_key(&database, &["--name", "shop"]);
    let folder = Folder::new();
    let servers = [(); 2].map(|()| start(&folder, &database, &[]));
    let second = new_key(&database, &["--name", "shop"]);
    for server in &servers {
        soon(server, &second, 200);
        assert_eq!(status_with(server, &first), 200, "the pages that have the old key");
    }
    let third = command(&["new", "--storage", &database, "--name", "shop"]).output().unwrap();
    assert_eq!(third.status.code(), Some(2));
    let said = String::from_utf8(third.stderr).unwrap();
    assert_mentions(&said, &[id(&first), id(&second), "keys revoke"]);
    revoke(&database, &first);
    for server in &servers {
        soon(server, &first, 401);
        assert_eq!(status_with(server, &second), 200);
    }
    let list = output(command(&["list"]).env("TANDEM_STORAGE", &database));
    assert_eq!(list, format!("{}  public  shop", id(&second)));
    drop(servers);
}

#[test]
fn the_keys_read_last_stay_in_use_while_the_database_is_gone() {
    let Some(schema) = Schema::new() else { return };
    let database = schema.url(5432);
    let [revoked, stays] = [(); 2].map(|()| new_key(&database, &["--name", "shop"]));
    let proxy = Proxy::start("127.0.0.1:5432");
    let folder = Folder::new();
    let server = start(&folder, &schema.url(proxy.port), &[]);
    proxy.cut(true);
    wait_until("the outage is known", || {
        let ready: Value = serde_json::from_slice(&server.get("/readyz").1).unwrap();
        ready["storage"] == "unavailable"
    });
    revoke(&database, &revoked);
    let late = new_key(&database, &["--name", "shop"]);
    server.signal("-HUP");
    // Several looks of the server.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let statuses = [&revoked, &stays, &late, "another"].map(|key| status_with(&server, key));
        assert_eq!(statuses, [200, 200, 401, 401]);
        assert_eq!(server.get("/v1/models").0, 401, "nobody without a key");
        thread::sleep(Duration::from_millis(50));
    }
    proxy.cut(false);
    soon(&server, &revoked, 401);
    assert_eq!((status_with(&server, &stays), status_with(&server, &late)), (200, 200));
    drop(server);
}

/// A change of the keys of others is no reason to begin the rates anew.
#[test]
fn rates_go_on_when_keys_change() {
    let folder = Folder::new();
    let path = folder.path("shop.db");
    let database = path.to_str().unwrap();
    let limited =
        new_key(database, &["--name", "a", "--kind", "admin", "--requests-per-minute", "1"]);
    let public = new_key(database, &["--name", "b"]);
    let server = start(&folder, database, &["--rate-requests", "1"]);
    for key in [&limited, &public] {
        assert_eq!((status_with(&server, key), status_with(&server, key)), (200, 429));
    }
    let admin = new_key(database, &["--name", "c", "--kind", "admin"]);
    soon(&server, &admin, 200);
    assert_eq!((status_with(&server, &limited), status_with(&server, &public)), (429, 429));
}

#[cfg(unix)]
#[test]
fn sighup_reads_the_keys_whatever_their_number_of_changes_says() {
    let folder = Folder::new();
    let (path, config) = (folder.path("shop.db"), folder.path("tandem.toml"));
    let database = path.to_str().unwrap();
    let options = |more: &str| {
        fs::write(&config, format!("storage = {database:?}\n{more}")).unwrap();
    };
    options("stored-keys = true\n");
    let [edited, key] = [(); 2].map(|()| new_key(database, &["--name", "shop"]));
    let mut start = folder.command();
    start.arg("--config").arg(&config);
    let server = Process::start_with(folder.root.path(), &mut start).ready();
    let allows_shop = || {
        let mut stream = server.connect();
        let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                       origin: https://shop.example\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.contains("access-control-allow-origin: https://shop.example")
    };
    // By another program, which does not count its change.
    execute(&path, "DELETE FROM keys WHERE number = 1");
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(status_with(&server, &edited), 200);
    server.signal("-HUP");
    soon(&server, &edited, 401);
    assert_eq!(status_with(&server, &key), 200);
    // The keys stay when the options say that there are none, or that they are elsewhere.
    let file = folder.path("keys.toml");
    let filed = output(&mut command(&["new", "--file", file.to_str().unwrap(), "--name", "n"]));
    for other in ["", &format!("keys = {file:?}\n")] {
        options(other);
        server.signal("-HUP");
        thread::sleep(Duration::from_millis(500));
        assert_eq!(server.get("/v1/models").0, 401);
        assert_eq!((status_with(&server, &key), status_with(&server, &filed)), (200, 401));
    }
    // And they are followed afterwards.
    options("stored-keys = true\nallow-origin = [\"https://shop.example\"]\n");
    assert!(!allows_shop());
    server.signal("-HUP");
    wait_until("the options are read again", allows_shop);
    revoke(database, &key);
    soon(&server, &key, 401);
}

#[test]
fn a_server_does_not_start_without_keys_that_it_was_told_to_use() {
    let folder = Folder::new();
    let path = folder.path("shop.db");
    let database = path.to_str().unwrap();
    let with = |options: &[&str]| {
        let mut command = folder.command();
        command.args(["--storage", database, "--stored-keys"]).args(options);
        command
    };
    for options in [&[][..], &["--check"], &["--insecure"], &["--host", "0.0.0.0"]] {
        let said = sentence(&mut with(options));
        assert_mentions(&said, &["shop.db", "no keys", "keys new --storage", "--stored-keys"]);
    }
    // A key that this version does not know admits nobody, so it is none.
    let key = new_key(database, &["--name", "shop"]);
    execute(&path, "UPDATE keys SET kind = 'reader'");
    assert_mentions(&sentence(&mut with(&["--check"])), &["no keys that this server can use"]);
    execute(&path, "UPDATE keys SET kind = 'public'");
    let checked = with(&["--check", "--host", "0.0.0.0"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
    let server = start(&folder, database, &[]);
    assert_eq!((status_with(&server, &key), server.get("/v1/models").0), (200, 401));
}

#[test]
fn options_that_name_no_place_of_keys_or_two_are_refused() {
    let folder = Folder::new();
    let said = sentence(folder.command().arg("--stored-keys"));
    assert_mentions(&said, &["--stored-keys needs --storage"]);
    let (file, path) = (folder.path("keys.toml"), folder.path("shop.db"));
    let (file, database) = (file.to_str().unwrap(), path.to_str().unwrap());
    let both = ["--keys", file, "--stored-keys", "--storage", database];
    assert_mentions(&sentence(folder.command().args(both)), &["--keys and --stored-keys", "leave"]);

    for line in [&["new", "--name", "shop"][..], &["list"], &["revoke", "0"]] {
        assert_mentions(&sentence(&mut command(line)), &["--file", "--storage", "neither"]);
        let two = command(line).args(["--file", file, "--storage", database]).output().unwrap();
        assert_eq!(two.status.code(), Some(2));
        let said = String::from_utf8(two.stderr).unwrap();
        assert_mentions(&said, &["--file", "cannot be used with", "--storage"]);
    }
    for line in [&["list"][..], &["revoke", "0"]] {
        let said = sentence(command(line).args(["--storage", database]));
        assert_mentions(&said, &["there is no file", "shop.db", "--storage"]);
        assert!(!path.exists());
    }
    let said = sentence(command(&["list"]).env("TANDEM_STORAGE", "mysql://u:tdm_secret@h/x"));
    assert_mentions(&said, &["TANDEM_STORAGE", "mysql:"]);
    assert!(!said.contains("tdm_secret"), "{said}");
    // The command line says it clearly, also where the variable is set for other commands.
    output(command(&["new", "--name", "a", "--file", file]).env("TANDEM_STORAGE", database));
    assert!(!path.exists());
    output(command(&["new", "--name", "b"]).env("TANDEM_STORAGE", database));
    let list = output(&mut command(&["list", "--storage", database]));
    assert!(list.ends_with("  public  b"), "{list}");
    let said = sentence(&mut command(&["revoke", "--storage", database, "0"]));
    assert_mentions(&said, &["there is no key `0`"]);
}
