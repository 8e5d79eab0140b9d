//! The program with a tiny language model, and with a real one if `TEST_GGUF` is set to its
//! path.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    testing::random_item_tokens,
};
use tandem_storage::{Location, Storage};

use crate::{
    fixture::{candidate_ids, catalogue, wait_until},
    start::Folder,
};

pub(crate) struct Process {
    child: Child,
    port: u16,
}

impl Process {
    /// Starts a server and waits until it listens.
    fn start(folder: &Folder, command: &mut Command) -> Self {
        Self::start_with(folder.root.path(), command)
    }

    /// As [`Process::start`], with the port file in `folder`.
    pub(crate) fn start_with(folder: &Path, command: &mut Command) -> Self {
        Self::try_start(folder, command).unwrap_or_else(|status| panic!("ended with {status}"))
    }

    /// As [`Process::start_with`]; the exit status if the server ends instead of listening.
    pub(crate) fn try_start(folder: &Path, command: &mut Command) -> Result<Self, ExitStatus> {
        let port_file = folder.join("port");
        let mut child = command.arg("--port-file").arg(&port_file).spawn().unwrap();
        let mut ended = None;
        wait_until("the port file is written", || {
            ended = child.try_wait().unwrap();
            ended.is_some() || port_file.exists()
        });
        if let Some(status) = ended {
            return Err(status);
        }
        let port = fs::read_to_string(port_file).unwrap().trim().parse().unwrap();
        Ok(Self { child, port })
    }

    pub(crate) fn ready(self) -> Self {
        wait_until("the server is ready", || self.get("/readyz").0 == 200);
        self
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.exchange(format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        ))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Vec<u8>) {
        self.exchange(post(path, body))
    }

    pub(crate) fn candidates(&self, body: &Value) -> Value {
        let (status, answer) = self.post("/v1/candidates", &body.to_string());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    /// Sends a request with a key and a body of JSON, which may be empty.
    pub(crate) fn send(&self, method: &str, path: &str, key: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\nauthorization: Bearer {key}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.exchange(&request)
    }

    /// Sends JSON lines.
    pub(crate) fn lines(&self, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
        self.exchange(format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn exchange(&self, request: impl AsRef<[u8]>) -> (u16, Vec<u8>) {
        self.try_exchange(request).unwrap()
    }

    /// `None` if there is no whole answer, because the server has ended.
    pub(crate) fn try_exchange(&self, request: impl AsRef<[u8]>) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_mins(2))).ok()?;
        stream.write_all(request.as_ref()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(answer[..end].to_vec()).ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_whole = length.is_none_or(|length| length.parse() == Ok(answer.len() - end));
        let status = head.split(' ').nth(1)?.parse().ok()?;
        is_whole.then(|| (status, answer[end..].to_vec()))
    }

    /// Ends the process at once, as a failure of the machine's power does.
    pub(crate) fn kill(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
        stream
    }

    /// Resident memory in KiB; 0 where the system does not tell.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// Processor time of all threads in seconds; 0 where the system does not tell.
    pub(crate) fn cpu_s(&self) -> f64 {
        /// Linux tells processor time in hundredths of a second.
        const TICK_S: f64 = 0.01;
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(path).unwrap_or_default();
        // The name of the program, in parentheses, may contain spaces.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        // User and system time are the fields 14 and 15 of all.
        fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * TICK_S
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Sends a signal and waits until the process has ended.
    pub(crate) fn stop_with(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let mut status = None;
        wait_until("the server has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process has already ended in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn post(path: &str, body: &str) -> String {
    let request = post_keep_alive(path, body);
    request.replacen("host: localhost\r\n", "host: localhost\r\nconnection: close\r\n", 1)
}

/// A request after which the connection stays open.
pub(crate) fn post_keep_alive(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Checks the properties that every list has. Returns its ids.
fn valid_ids(answer: &Value, catalogue: &HashSet<String>, excluded: &[&str]) -> Vec<String> {
    let ids = candidate_ids(answer);
    let distinct: HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "an item is on the list twice");
    for id in &ids {
        assert!(catalogue.contains(id), "{id} is not in the catalogue");
        assert!(!excluded.contains(&id.as_str()), "{id} is excluded");
    }
    let candidates = answer["candidates"].as_array().unwrap();
    let logprobs: Vec<_> = candidates.iter().map(|c| c["logprob"].as_f64().unwrap()).collect();
    assert!(logprobs.is_sorted_by(|a, b| a >= b), "not best first: {logprobs:?}");
    assert!(logprobs.iter().all(|logprob| *logprob <= 1e-4), "{logprobs:?}");
    ids
}

/// Log-probabilities by id.
fn logprobs(answer: &Value) -> HashMap<String, f64> {
    let candidates = answer["candidates"].as_array().unwrap().iter();
    candidates
        .map(|c| (c["item"].as_str().unwrap().to_owned(), c["logprob"].as_f64().unwrap()))
        .collect()
}

fn films() -> HashSet<String> {
    (1..=crate::fixture::ITEMS).map(|number| number.to_string()).collect()
}

/// Requests that every language model must answer.
fn check_candidates(process: &Process) {
    let films = films();
    let history = ["3", "1", "4", "1", "5"];
    let request = json!({ "history": history, "exclude": ["2"], "k": 10, "rows": true });
    let answer = process.candidates(&request);
    let ids = valid_ids(&answer, &films, &["1", "2", "3", "4", "5"]);
    assert_eq!(ids.len(), 10);
    assert_eq!(answer["ranking"], "language_model");
    assert_eq!(answer["ignored"], json!({ "unknown": 0, "duplicate": 1, "truncated": 0 }));
    assert_eq!(answer["history_rows"].as_array().unwrap().len(), 4);
    assert!(answer["timings"]["decoded_tokens"].as_u64().unwrap() > 0);
    // The prompt is cached now: sums are rounded differently and near ties may swap.
    for (id, before) in logprobs(&process.candidates(&request)) {
        let again = logprobs(&answer).get(&id).copied().unwrap_or(f64::NEG_INFINITY);
        let worst = logprobs(&answer).into_values().fold(f64::INFINITY, f64::min);
        assert!(
            (before - again).abs() < 0.05 || (before - worst).abs() < 0.05,
            "{id}: {before} {again}"
        );
    }

    let answer = process.candidates(&json!({ "history": [] }));
    assert_eq!(valid_ids(&answer, &films, &[]).len(), films.len());
    assert_eq!(answer["ranking"], "popularity");
    assert_eq!(candidate_ids(&answer)[0], "1", "the most popular item");

    let all: Vec<_> = films.iter().collect();
    let answer = process.candidates(&json!({ "history": ["1"], "exclude": all }));
    assert_eq!(candidate_ids(&answer).len(), 0);

    let long: Vec<_> = (0..10_000).map(|n| (n % 25 + 1).to_string()).collect();
    let seen: Vec<_> = (1..=25).map(|n| n.to_string()).collect();
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    let answer = process.candidates(&json!({ "history": long }));
    assert_eq!(valid_ids(&answer, &films, &seen).len(), films.len() - 25);
}

#[test]
fn a_tiny_model_is_served_end_to_end() {
    let folder = Folder::new();
    fs::create_dir(folder.path("site")).unwrap();
    fs::write(folder.path("site").join("index.html"), "<!doctype html>").unwrap();
    let mut command = folder.command();
    let mut process =
        Process::start(&folder, command.arg("--site").arg(folder.path("site"))).ready();
    check_candidates(&process);

    assert_eq!(process.get("/").1, b"<!doctype html>");
    assert_eq!(process.get("/livez").0, 200);
    assert_eq!(process.get("/v1/nothing").0, 404);
    let (_, status) = process.get("/v1/status");
    let status: Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["language_model"]["name"], "model");
    assert_eq!(status["notice"], "Made up for tests.");
    assert_eq!(status["artifacts"], folder.hash);

    assert_eq!(process.stop_with("-TERM").code(), Some(0));
}

/// A text model and an item-token model on one server, with concurrent clients.
#[test]
fn a_text_model_and_an_item_token_model_are_served_with_batches() {
    let folder = Folder::new();
    let shape = DecoderConfig {
        dims: 32,
        blocks: 1,
        heads: 2,
        kv_heads: 2,
        feed_forward: 64,
        max_length: 16,
        rope_base: 10_000.0,
        norm_epsilon: 1e-5,
    };
    let items = folder.path("items.gguf");
    random_item_tokens(&catalogue(), shape, true, 5).write(&items, Encoding::F32).unwrap();
    let mut command = folder.command();
    let process =
        Process::start(&folder, command.arg("--gguf").arg(format!("items={}", items.display())))
            .ready();
    let (_, models) = process.get("/v1/models");
    let models: Value = serde_json::from_slice(&models).unwrap();
    let field_of_all = |field: &str| -> Vec<Value> {
        models["models"].as_array().unwrap().iter().map(|model| model[field].clone()).collect()
    };
    assert_eq!(field_of_all("name"), ["model", "items"]);
    assert_eq!(field_of_all("engine"), ["titles", "item_tokens"]);
    assert_eq!(field_of_all("ready"), [true, true]);

    let request = |first: u32, model: &str| {
        let history: Vec<String> = (first..first + 4).map(|item| item.to_string()).collect();
        json!({ "history": history, "k": 12, "model": model })
    };
    // Sequential and concurrent requests get the same lists.
    let alone: Vec<Value> =
        (1..=12).map(|first| process.candidates(&request(first, "items"))).collect();
    assert_eq!(alone[0]["model"], "items");
    let mut streams: Vec<_> = (1..=12).map(|first| (first, process.connect())).collect();
    for (first, stream) in &mut streams {
        let body = request(*first, "items").to_string();
        stream.write_all(post("/v1/candidates", &body).as_bytes()).unwrap();
    }
    let titles = process.candidates(&request(1, "model"));
    assert_eq!(titles["model"], "model");
    let films = films();
    for ((first, mut stream), alone) in streams.into_iter().zip(&alone) {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let start = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let answer: Value = serde_json::from_slice(&answer[start..]).unwrap();
        let seen: Vec<String> = (first..first + 4).map(|item: u32| item.to_string()).collect();
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        valid_ids(&answer, &films, &seen);
        let (found, expected) = (logprobs(&answer), logprobs(alone));
        for (id, logprob) in found {
            let other = expected.get(&id).copied().unwrap_or(f64::NAN);
            assert!((logprob - other).abs() < 1e-3, "{id}: {logprob} {other}");
        }
    }
}

#[test]
fn a_body_over_the_limit_gets_413_and_not_a_connection_reset() {
    let folder = Folder::new();
    let process = Process::start(&folder, &mut folder.command()).ready();
    for size in [2 << 20, 6 << 20] {
        let body = format!(r#"{{"history":["{}"]}}"#, "x".repeat(size));
        let (status, answer) = process.post("/v1/candidates", &body);
        assert_eq!(status, 413);
        let problem: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(problem["code"], "payload_too_large");
    }
    assert_eq!(process.get("/livez").0, 200);
}

/// Nobody reads the log: requests must be answered nevertheless.
#[test]
fn a_closed_log_does_not_affect_requests() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.env("RUST_LOG", "info").stderr(Stdio::piped());
    let mut process = Process::start(&folder, &mut command);
    drop(process.child.stderr.take());
    let process = process.ready();
    for _ in 0..20 {
        assert_eq!(process.get("/v1/manifest").0, 200);
    }
    let body = json!({ "history": ["1"] }).to_string();
    assert_eq!(process.post("/v1/candidates", &body).0, 200);
}

/// The log is a pipe that is full: requests must not wait for it.
#[test]
fn a_blocked_log_does_not_affect_requests_and_long_paths_are_cut() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.env("RUST_LOG", "info").stderr(Stdio::piped());
    let mut process = Process::start(&folder, &mut command);
    let long = format!("/artifacts/{}/body.bin", "x".repeat(30_000));
    for _ in 0..2_000 {
        assert_eq!(process.get(&long).0, 404);
    }
    let mut log = process.child.stderr.take().unwrap();
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    assert!(text.contains("(30020 bytes)"), "{text}");
    assert!(!text.contains(&"x".repeat(1_000)), "a long path was logged");
}

#[test]
fn listening_beyond_this_machine_is_logged_as_a_warning() {
    let folder = Folder::new();
    for (host, is_warned) in [("127.0.0.1", false), ("0.0.0.0", true)] {
        let mut command = folder.command();
        command.args(["--host", host, "--insecure"]).env("RUST_LOG", "warn").stderr(Stdio::piped());
        let mut process = Process::start(&folder, &mut command);
        let mut log = process.child.stderr.take().unwrap();
        assert_eq!(process.stop_with("-TERM").code(), Some(0));
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        assert_eq!(text.contains("does not authenticate clients"), is_warned, "{host}: {text}");
        fs::remove_file(folder.path("port")).unwrap();
    }
}

#[test]
fn sigterm_answers_everyone_who_waits() {
    let folder = Folder::new();
    let mut process = Process::start(&folder, folder.command().args(["--queue", "1000"])).ready();
    let mut streams: Vec<_> = (0..60).map(|_| process.connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let body = json!({ "history": [(number % 30 + 1).to_string()], "k": 30 });
        stream.write_all(post("/v1/candidates", &body.to_string()).as_bytes()).unwrap();
    }
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = &answer[..answer.len().min(12)];
        assert!(["HTTP/1.1 200", "HTTP/1.1 503"].contains(&status), "{answer}");
    }
}

#[test]
fn sigterm_tells_which_lines_of_a_body_are_stored() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.arg("--storage").arg(folder.path("shop.db")).args(["--shutdown-timeout", "1"]);
    let mut process = Process::start(&folder, &mut command).ready();
    let mut stream = process.connect();
    let mut sending = stream.try_clone().unwrap();
    sending
        .write_all(
            b"POST /v1/items HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
              content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .unwrap();
    // A body that does not end, until the server reads no more of it.
    let sender = thread::spawn(move || {
        for number in 0.. {
            let id = |at: u32| format!("{{\"id\":\"n{}\"}}\n", 500 * number + at);
            let lines: String = (0..500).map(id).collect();
            let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
            if sending.write_all(chunk.as_bytes()).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    wait_until("some of it is stored", || process.get("/v1/items/n0").0 == 200);
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    sender.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (_, rest) = answer.split_once("the lines up to ").unwrap();
    let lines: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    let storage = Storage::open(&Location::Sqlite(folder.path("shop.db"))).unwrap();
    let stored = storage.block_on(storage.sizes()).unwrap().items;
    // With the catalogue.
    assert_eq!(stored, lines + 30, "{answer}");
}

#[cfg(unix)]
#[test]
fn sighup_reads_the_keys_again() {
    let folder = Folder::new();
    let file = folder.path("keys.toml");
    let write = |key: &str| {
        let sha256 = tandem_dataset::files::sha256_hex(key);
        let text =
            format!("[[key]]\nid = \"a\"\nname = \"n\"\nkind = \"admin\"\nsha256 = \"{sha256}\"\n");
        fs::write(&file, text).unwrap();
    };
    write("first");
    let process = Process::start(&folder, folder.command().arg("--keys").arg(&file)).ready();
    let status_with = |key: &str| {
        let request = format!(
            "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             authorization: Bearer {key}\r\n\r\n"
        );
        process.exchange(&request).0
    };
    let reload = || {
        let id = process.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    assert_eq!((status_with("first"), status_with("second")), (200, 401));
    write("second");
    reload();
    wait_until("the new key is valid", || status_with("second") == 200);
    assert_eq!(status_with("first"), 401);
    // A damaged file changes nothing.
    fs::write(&file, "[[key]]").unwrap();
    reload();
    assert_eq!(process.get("/livez").0, 200);
    assert_eq!(status_with("second"), 200);
}

/// An empty file, as an editor leaves it for a moment, would give everyone all rights.
#[cfg(unix)]
#[test]
fn sighup_never_removes_the_keys() {
    let folder = Folder::new();
    let (keys, config) = (folder.path("keys.toml"), folder.path("tandem.toml"));
    let mut new = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    new.args(["keys", "new", "--name", "shop", "--file"]).arg(&keys);
    assert!(new.output().unwrap().status.success());
    fs::write(&config, format!("keys = {keys:?}\n")).unwrap();
    let mut command = folder.command();
    command.arg("--config").arg(&config).env("RUST_LOG", "info").stderr(Stdio::piped());
    let mut process = Process::start(&folder, &mut command).ready();
    let log = process.child.stderr.take().unwrap();
    let mut lines = BufReader::new(log).lines().map(Result::unwrap);
    assert_eq!(process.get("/v1/models").0, 401);
    fs::write(&config, "").unwrap();
    process.signal("-HUP");
    assert!(lines.any(|line| line.contains("names no keys; the old keys")));
    assert_eq!(process.get("/v1/models").0, 401);
    // Another option is named that needs a restart.
    fs::write(&config, format!("keys = {keys:?}\nqueue = 7\n")).unwrap();
    process.signal("-HUP");
    assert!(lines.any(|line| line.contains("need a restart") && line.contains("queue")));
    // The pipe is read to its end, so that no write of the server fails.
    let rest = std::thread::spawn(move || lines.count());
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    rest.join().unwrap();
}

/// The program restarts itself at its start, which no handler of a signal outlasts.
#[cfg(unix)]
#[test]
fn sighup_does_not_end_the_program_before_it_is_handled() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: there is no /proc");
        return;
    }
    // A command that waits for an answer, and handles no signal.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    let mut child =
        command.args(["releases", "list", "--server", &url]).stderr(Stdio::null()).spawn().unwrap();
    let waiting = listener.accept().unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    let ignores = u64::from_str_radix(ignored, 16).unwrap() & 1 == 1;
    drop(waiting);
    child.wait().unwrap();
    assert!(ignores, "SIGHUP ends it: {status}");
}

#[cfg(unix)]
#[test]
fn sighup_while_the_server_starts_does_not_end_it() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.arg("--port-file").arg(folder.path("port")).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let id = child.id().to_string();
    let status = format!("/proc/{id}/status");
    let handles = || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        caught.is_some_and(|mask| u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & 1 == 1))
    };
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: there is no /proc");
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    }
    wait_until("SIGHUP is handled", handles);
    assert!(!folder.path("port").exists(), "it serves already");
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    wait_until("it serves", || folder.path("port").exists());
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A pipe without a writer never answers `open`, as a network disk that has gone.
#[cfg(unix)]
#[test]
fn a_file_system_that_hangs_stalls_no_other_request() {
    let folder = Folder::new();
    fs::create_dir(folder.path("site")).unwrap();
    fs::write(folder.path("site").join("index.html"), "<!doctype html>").unwrap();
    let pipe = folder.path("site").join("pipe.txt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = folder.command();
    let process = Process::start(&folder, command.arg("--site").arg(folder.path("site"))).ready();
    let mut hanging: Vec<_> = (0..12).map(|_| process.connect()).collect();
    for stream in &mut hanging {
        stream.write_all(b"GET /pipe.txt HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    }
    for path in ["/livez", "/", "/v1/models"] {
        assert_eq!(process.get(path).0, 200, "{path}");
    }
    let mut answer = [0; 12];
    hanging[0].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

/// More clients than open files: the oldest connections make room for new ones, and none fails to
/// be accepted.
#[cfg(unix)]
#[test]
fn a_low_limit_of_open_files_limits_connections() {
    let folder = Folder::new();
    let server = folder.command();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 128 && exec \"$0\" \"$@\""]).arg(server.get_program());
    command.args(server.get_args()).env("RUST_LOG", "error").stdin(Stdio::null());
    command.stderr(fs::File::create(folder.path("log")).unwrap());
    let mut process = Process::start(&folder, &mut command).ready();
    let held: Vec<_> = (0..100).map(|_| process.connect()).collect();
    wait_until("a request is served", || {
        let mut stream = process.connect();
        let sent = stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        sent.is_ok() && read.is_ok() && answer.starts_with("HTTP/1.1 200")
    });
    drop(held);
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    assert_eq!(fs::read_to_string(folder.path("log")).unwrap(), "");
}

#[test]
fn sigint_stops_the_server() {
    let folder = Folder::new();
    let mut process = Process::start(&folder, &mut folder.command());
    assert_eq!(process.stop_with("-INT").code(), Some(0));
}

/// OpenMP reads the variable before `main`, so the process must be started with it.
#[cfg(target_os = "linux")]
#[test]
fn openmp_threads_are_passive_unless_the_variable_is_set() {
    let policy = |process: &Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.child.id())).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let mut variables = environment.split('\0');
        variables.find_map(|v| Some(v.strip_prefix("OMP_WAIT_POLICY=")?.to_owned()))
    };
    let folder = Folder::new();
    let process = Process::start(&folder, &mut folder.command());
    assert_eq!(policy(&process).as_deref(), Some("passive"));
    drop(process);
    fs::remove_file(folder.path("port")).unwrap();
    let process = Process::start(&folder, folder.command().env("OMP_WAIT_POLICY", "active"));
    assert_eq!(policy(&process).as_deref(), Some("active"));
}

/// A real model on the small catalogue, stopped during a generation.
#[test]
fn a_real_model_is_served_end_to_end() {
    let Some(gguf) = std::env::var_os("TEST_GGUF") else {
        println!("skipped: TEST_GGUF is not set to the path of a GGUF file");
        return;
    };
    let folder = Folder::new();
    let mut command = folder.command_with(Path::new(&gguf));
    let mut process = Process::start(&folder, &mut command).ready();
    check_candidates(&process);

    let mut streams: Vec<_> = (0..4).map(|_| process.connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let body = json!({ "history": [(number + 1).to_string(), "20", "21", "22"], "k": 20 });
        stream.write_all(post("/v1/candidates", &body.to_string()).as_bytes()).unwrap();
    }
    wait_until("one is decoded and others wait", || {
        let (_, status) = process.get("/v1/status");
        serde_json::from_slice::<Value>(&status).unwrap()["queued"].as_u64() > Some(0)
    });
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 503"),
            "{answer}"
        );
    }
}
