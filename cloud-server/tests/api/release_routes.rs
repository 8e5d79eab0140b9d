//! Releases over HTTP: upload, activation, roll-back, deletion, and what is refused.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};
use tandem_storage::Storage;
use tempfile::TempDir;

use crate::{
    fixture::{Fixture, candidate_ids, wait_until},
    http::{app, get},
    process::Process,
    releases::{FIRST, SECOND, use_release, write_release},
};

/// A server with a folder of releases and a key, and a second folder in which releases are made.
struct Served {
    server: Process,
    key: String,
    key_id: String,
    folder: PathBuf,
    workshop: PathBuf,
    _home: TempDir,
}

impl Served {
    fn start(options: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (folder, workshop) = (home.path().join("shop"), home.path().join("workshop"));
        write_release(&folder, FIRST, 20);
        use_release(&folder, FIRST);
        let program = env!("CARGO_BIN_EXE_cloud-server");
        let keys = home.path().join("keys.toml");
        let new = ["keys", "new", "--name", "ops", "--kind", "admin", "--file"];
        let made = Command::new(program).args(new).arg(&keys).output().unwrap();
        let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let key_id = key.split('_').nth(2).unwrap().to_owned();
        let mut command = Command::new(program);
        command.arg("--release").arg(&folder).arg("--keys").arg(&keys).args(options);
        command.args(["--port", "0"]).env("RUST_LOG", "off").stdin(Stdio::null());
        let server = Process::start_with(home.path(), &mut command).ready();
        Self { server, key, key_id, folder, workshop, _home: home }
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (status, body) = self.server.send(method, path, &self.key, body);
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn list(&self) -> Value {
        let (status, list) = self.send("GET", "/v1/releases", b"");
        assert_eq!(status, 200, "{list}");
        list
    }

    /// Makes the release `name` elsewhere. Returns its archive.
    fn make(&self, name: &str, items: usize) -> Vec<u8> {
        write_release(&self.workshop, name, items);
        archive(&self.workshop, name)
    }

    fn upload(&self, name: &str, archive: &[u8]) -> (u16, Value) {
        self.send("PUT", &format!("/v1/releases/{name}"), archive)
    }

    fn activate(&self, name: &str) -> (u16, Value) {
        self.send("POST", &format!("/v1/releases/{name}/activate"), b"")
    }

    /// Number of candidates without the history of one item.
    fn candidates(&self) -> usize {
        let body = json!({"history": ["3"], "k": 50}).to_string();
        let (status, list) = self.server.send("POST", "/v1/candidates", &self.key, body.as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&list));
        candidate_ids(&serde_json::from_slice(&list).unwrap()).len()
    }

    fn current(&self) -> String {
        fs::read_to_string(self.folder.join("current")).unwrap().trim().to_owned()
    }

    /// Names of everything in the folder but releases in use.
    fn entries(&self) -> Vec<String> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
        };
        let mut all = names(&self.folder);
        all.extend(names(&self.folder.join("releases")));
        all.sort();
        all
    }
}

/// A release and its artefacts as a tar archive, with the paths of the folder of releases.
fn archive(folder: &Path, name: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let release = Path::new("releases").join(name);
    builder.append_dir_all(&release, folder.join(&release)).unwrap();
    let hash = fs::read_to_string(folder.join(&release).join("artifacts")).unwrap();
    let artifacts = Path::new("artifacts").join(hash.trim());
    builder.append_dir_all(&artifacts, folder.join(&artifacts)).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn the_command_does_what_the_routes_do() {
    let served = Served::start(&[]);
    let url = format!("http://127.0.0.1:{}", served.server.port());
    let run_with = |key: &str, server: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command.arg("releases").args(args).args(["--server", server]).env("TANDEM_KEY", key);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        (output.status.code(), out.unwrap(), err.unwrap())
    };
    let run = |args: &[&str]| run_with(&served.key, &url, args);
    let done = |args: &[&str]| {
        let (status, out, err) = run(args);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{args:?}");
        out
    };
    let refused = |args: &[&str], reason: &str| {
        let (status, out, err) = run(args);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.starts_with("cloud-server: ") && err.contains(reason), "{args:?}: {err}");
    };
    let state = |name: &str| {
        let list = done(&["list"]);
        list.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
    };
    refused(&["rollback"], "no earlier release is known");
    refused(&["activate", SECOND], SECOND);
    refused(&["activate", "../releases"], "16 hexadecimal digits");
    refused(&["delete", FIRST], "in use");

    served.make(SECOND, 25);
    use_release(&served.workshop, SECOND);
    let workshop = served.workshop.to_str().unwrap();
    refused(&["upload", workshop, "--release", FIRST], "a folder of this name");
    assert!(done(&["upload", workshop]).contains("is on the server\n"));
    assert!(done(&["upload", workshop]).contains("already"));
    assert!(state(FIRST).contains("in use") && !state(SECOND).contains("in use"));
    assert!(state(SECOND).contains("25"), "{}", state(SECOND));
    let activated = done(&["activate", SECOND]);
    assert!(activated.contains(SECOND) && activated.contains(FIRST), "{activated}");
    assert_eq!(served.candidates(), 24);
    assert!(state(SECOND).contains("in use") && state(FIRST).contains("previous"));
    done(&["rollback"]);
    assert_eq!((served.candidates(), served.current()), (19, FIRST.to_owned()));
    done(&["delete", SECOND]);
    assert_eq!(state(SECOND), "");
    assert!(done(&["upload", workshop, "--activate"]).contains("in place of"));
    assert_eq!(served.candidates(), 24);

    // A damaged release is listed as refused, with the reason.
    let third = "0000000000000003";
    write_release(&served.folder, third, 25);
    let model = served.folder.join("releases").join(third).join("language-model.gguf");
    fs::write(model, b"GGUF").unwrap();
    refused(&["activate", third], "the release in use stays");
    assert!(state(third).contains("refused") && done(&["list"]).contains("refused: "));

    let (status, _, err) = run_with("wrong", &url, &["list"]);
    assert!(status == Some(2) && err.contains("refused the key"), "{err}");
    let (status, _, err) = run_with("", "rec.example.com", &["list"]);
    assert!(status == Some(2) && err.contains("expected one such as https"), "{err}");
    for server in ["http://anna:secret@127.0.0.1:1", "anna:secret@shop", "http://x/?key=secret"] {
        let (status, _, err) = run_with("", server, &["list"]);
        assert!(status == Some(2) && err.contains("without user"), "{err}");
        assert!(!err.contains("secret"), "{err}");
    }
    let (status, _, err) = run_with("", "http://127.0.0.1:1", &["list"]);
    assert!(status == Some(2) && err.contains("cannot be reached"), "{err}");
}

#[test]
fn a_release_is_uploaded_activated_rolled_back_and_deleted() {
    let served = Served::start(&[]);
    let list = served.list();
    assert_eq!((&list["in_use"], &list["previous"]), (&json!(FIRST), &Value::Null));
    let (status, problem) = served.send("POST", "/v1/releases/rollback", b"");
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");

    let second = served.make(SECOND, 25);
    let (status, answer) = served.upload(SECOND, &second);
    assert_eq!((status, &answer["release"]), (201, &json!(SECOND)), "{answer}");
    assert_eq!(served.candidates(), 19, "an upload changes nothing");
    let list = served.list();
    let listed = list["releases"].as_array().unwrap();
    let uploaded = listed.iter().find(|release| release["name"] == SECOND).unwrap();
    assert_eq!((&uploaded["dataset"], &uploaded["items"]), (&json!("shop"), &json!(25)));
    assert_eq!((&uploaded["in_use"], &uploaded["refused"]), (&json!(false), &Value::Null));
    assert!(uploaded["bytes"].as_u64() > uploaded["language_model_bytes"].as_u64(), "{uploaded}");
    let (status, problem) = served.upload(SECOND, &second);
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");

    let (status, answer) = served.activate(SECOND);
    assert_eq!((status, &answer["state"]), (200, &json!("in_use")), "{answer}");
    assert_eq!(answer["previous"], FIRST);
    assert_eq!((served.candidates(), served.current()), (24, SECOND.to_owned()));
    // Again: it is in use already.
    assert_eq!(served.activate(SECOND).1["previous"], Value::Null);

    for expected in [FIRST, SECOND, FIRST] {
        let (status, answer) = served.send("POST", "/v1/releases/rollback", b"");
        assert_eq!((status, &answer["release"]), (200, &json!(expected)), "{answer}");
        assert_eq!(served.current(), expected);
    }
    assert_eq!(served.candidates(), 19);
    let list = served.list();
    let callers: Vec<&Value> =
        list["activations"].as_array().unwrap().iter().map(|it| &it["caller"]).collect();
    assert_eq!(callers, [&served.key_id; 4]);

    let delete = |name: &str| served.send("DELETE", &format!("/v1/releases/{name}"), b"");
    let (status, problem) = delete(FIRST);
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    assert_eq!(served.list()["previous"], SECOND);
    assert_eq!(delete(SECOND).0, 204);
    assert_eq!(served.list()["previous"], Value::Null, "it cannot be rolled back to");
    assert_eq!(served.entries(), [FIRST, "artifacts", "current", "releases"]);
    for (status, problem) in [delete(SECOND), served.activate(SECOND)] {
        assert_eq!((status, &problem["code"]), (404, &json!("not_found")), "{problem}");
    }
    let (status, problem) = served.send("POST", "/v1/releases/rollback", b"");
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")), "{problem}");
    for name in ["x", "0000000000000001.", "..%2f..%2fetc"] {
        let (status, problem) = served.activate(name);
        assert_eq!((status, &problem["field"]), (400, &json!("name")), "{name}: {problem}");
    }
}

#[test]
fn a_broken_model_is_refused_under_load_and_the_earlier_one_goes_on() {
    let served = Served::start(&[]);
    write_release(&served.workshop, SECOND, 25);
    let gguf = served.workshop.join("releases").join(SECOND).join("language-model.gguf");
    let mut bytes = fs::read(&gguf).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&gguf, bytes).unwrap();
    // The upload has all files: only an attempt to load the model shows that it is broken.
    assert_eq!(served.upload(SECOND, &archive(&served.workshop, SECOND)).0, 201);
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Fails for any other status than 200.
                    assert_eq!(served.candidates(), 19);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("requests are answered", || answered.load(Ordering::Relaxed) > 3);
        let (status, problem) = served.activate(SECOND);
        assert_eq!((status, &problem["code"]), (422, &json!("release_refused")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("language-model.gguf"), "{problem}");
        let before = answered.load(Ordering::Relaxed);
        wait_until("requests go on", || answered.load(Ordering::Relaxed) > before + 3);
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(served.current(), FIRST, "a restart would use the broken release");
    let list = served.list();
    assert_eq!((&list["in_use"], &list["loading"]), (&json!(FIRST), &Value::Null));
    let listed = list["releases"].as_array().unwrap();
    let broken = listed.iter().find(|release| release["name"] == SECOND).unwrap();
    assert!(broken["refused"]["reason"].as_str().unwrap().contains("language model"), "{broken}");
    let (_, metrics) = served.server.send("GET", "/metrics", &served.key, b"");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("tandem_release_refusals_total 1\n"), "{metrics}");
    // A release that another program names and that is not there.
    let missing = "0000000000000009";
    use_release(&served.folder, missing);
    wait_until("the missing release is refused", || {
        let refused = served.list()["refused"].as_array().unwrap().clone();
        refused.iter().any(|refusal| refusal["release"] == missing)
    });
    assert_eq!(served.activate(FIRST).0, 200, "the release in use is written to `current` again");
    assert_eq!((served.current(), served.candidates()), (FIRST.to_owned(), 19));
}

#[test]
fn an_upload_that_is_refused_leaves_nothing_behind() {
    let served = Served::start(&["--release-max-size", "1"]);
    let before = served.entries();
    let good = served.make(SECOND, 25);
    let with = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        let mut archive = header.as_bytes().to_vec();
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
        [archive, good.clone()].concat()
    };
    let huge = with(&format!("releases/{SECOND}/small-model.safetensors"), &vec![0; 3 << 19]);
    for (archive, expected, detail) in [
        (with("../escaped", b"x"), 422, "`../escaped`"),
        (with("/etc/escaped", b"x"), 422, "`/etc/escaped`"),
        (with("releases/0000000000000009/x", b"x"), 422, "0000000000000009"),
        (good[..good.len() / 2].to_vec(), 422, "not a tar archive"),
        (b"hello".to_vec(), 422, "not a tar archive"),
        (Vec::new(), 422, "the upload has no files"),
        (huge, 413, "larger than 1048576 bytes"),
        (archive_without(&served, "data/catalogue.jsonl"), 422, "catalogue.jsonl"),
    ] {
        let (status, problem) = served.upload(SECOND, &archive);
        assert_eq!(status, expected, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        assert_eq!(served.entries(), before, "{detail}");
    }
    // A client that disconnects.
    let mut stream = served.server.connect();
    let head = format!(
        "PUT /v1/releases/{SECOND} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n",
        served.key,
        good.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&good[..good.len() / 2]).unwrap();
    wait_until("the upload has begun", || served.entries().len() > before.len());
    drop(stream);
    wait_until("the upload is removed", || served.entries() == before);
    assert_eq!(served.upload(SECOND, &good).0, 201);
    assert!(!served.folder.with_file_name("escaped").exists());
}

/// The archive of a release that lacks a file.
fn archive_without(served: &Served, file: &str) -> Vec<u8> {
    let folder = served.workshop.with_file_name("incomplete");
    write_release(&folder, SECOND, 25);
    fs::remove_file(folder.join("releases").join(SECOND).join(file)).unwrap();
    archive(&folder, SECOND)
}

#[test]
fn activations_are_in_the_database_with_the_key() {
    let database = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", database.path().join("shop.db").display());
    let mut served = Served::start(&["--storage", &url]);
    let second = served.make(SECOND, 25);
    assert_eq!(served.upload(SECOND, &second).0, 201);
    assert_eq!(served.activate(SECOND).0, 200);
    // What another program writes to `current` is recorded, too.
    use_release(&served.folder, FIRST);
    wait_until("the first release is used", || served.list()["in_use"] == FIRST);
    assert_eq!(served.server.stop_with("-TERM").code(), Some(0));
    let storage = Storage::open(&url.parse().unwrap()).unwrap();
    let stored = storage.block_on(storage.activations(10)).unwrap();
    let stored: Vec<(&str, Option<&str>, &str)> = stored
        .iter()
        .map(|it| (it.release.as_str(), it.previous.as_deref(), it.caller.as_str()))
        .collect();
    assert_eq!(
        stored,
        [
            (FIRST, Some(SECOND), "server"),
            (SECOND, Some(FIRST), served.key_id.as_str()),
            (FIRST, None, "server"),
        ]
    );
}

#[actix_rt::test]
async fn without_a_folder_of_releases_there_are_none() {
    let app = app(&Fixture::new()).await;
    let reply = get(&app, "/v1/releases").await;
    assert_eq!(reply.refusal(), "404 not_found");
    assert!(reply.problem().detail.contains("--release"));
}
