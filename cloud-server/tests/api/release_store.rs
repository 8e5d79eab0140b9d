//! Servers that follow the releases of an object store.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tandem_release_store::{LocalFile, ReleaseStore};

use crate::{
    fixture::{candidate_ids, wait_until},
    process::Process,
    proxy::Proxy,
    releases::{FIRST, SECOND, write_release},
    s3_server::{BUCKET, S3, settings},
};

const THIRD: &str = "0000000000000003";

/// A folder in which releases are made, one that is a store, and those of the servers.
struct Shop {
    home: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.at("store").display())
    }

    fn store(&self) -> ReleaseStore {
        ReleaseStore::open(self.url().parse().unwrap()).unwrap()
    }

    /// Makes a release and uploads it.
    fn upload(&self, name: &str, items: usize) {
        let workshop = self.at("workshop");
        write_release(&workshop, name, items);
        let hash = fs::read_to_string(workshop.join("releases").join(name).join("artifacts"));
        let mut files = Vec::new();
        for folder in [format!("releases/{name}"), format!("artifacts/{}", hash.unwrap())] {
            add_files(&workshop, &folder, &mut files);
        }
        self.store().upload_release(name, &files, &|_| ()).unwrap();
    }

    fn publish(&self, name: &str, items: usize) {
        self.upload(name, items);
        self.store().activate(name).unwrap();
    }

    fn command(&self, url: &str, cache: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command.args(["--release", url, "--release-cache"]).arg(self.at(cache));
        command.args(["--port", "0", "--log-format", "json"]).env("RUST_LOG", "warn");
        command.stdin(Stdio::null()).env_remove("AWS_ACCESS_KEY_ID");
        command
    }

    fn start(&self, cache: &str) -> Process {
        self.start_with(cache, &mut self.command(&self.url(), cache))
    }

    fn start_with(&self, cache: &str, command: &mut Command) -> Process {
        let folder = self.at(&format!("port of {cache}"));
        fs::create_dir_all(&folder).unwrap();
        let _ = fs::remove_file(folder.join("port"));
        Process::start_with(&folder, command).ready()
    }
}

fn add_files(root: &Path, folder: &str, files: &mut Vec<LocalFile>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            add_files(root, &path, files);
        } else {
            let bytes = entry.metadata().unwrap().len();
            files.push(LocalFile { path, file: entry.path(), bytes });
        }
    }
}

/// Number of items of a server, without that of the history.
fn candidates(server: &Process) -> usize {
    candidate_ids(&server.candidates(&json!({"history": ["3"], "k": 50}))).len()
}

fn json_of((status, body): (u16, Vec<u8>)) -> (u16, Value) {
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn metric(server: &Process, name: &str) -> String {
    let text = String::from_utf8(server.get("/metrics").1).unwrap();
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

#[test]
fn two_servers_follow_uploads_and_activations() {
    let shop = Shop::new();
    shop.publish(FIRST, 20);
    let servers = ["one", "other"].map(|cache| shop.start(cache));
    let all_have = |items: usize| {
        wait_until("both servers use the release", || {
            servers.iter().all(|server| candidates(server) == items - 1)
        });
    };
    all_have(20);
    let since = Instant::now();
    shop.publish(SECOND, 25);
    all_have(25);
    println!("both servers use the release after {:.2} s", since.elapsed().as_secs_f64());
    assert_eq!(metric(&servers[0], "tandem_release_store_ready"), "1");

    // One that no server has; and back.
    shop.upload(THIRD, 28);
    let (status, answer) = json_of(servers[0].post(&format!("/v1/releases/{THIRD}/activate"), ""));
    assert_eq!((status, &answer["state"]), (200, &json!("in_use")), "{answer}");
    all_have(28);
    let (status, answer) = json_of(servers[0].post("/v1/releases/rollback", ""));
    assert_eq!((status, &answer["release"]), (200, &json!(SECOND)), "{answer}");
    all_have(25);
    assert_eq!(fs::read_to_string(shop.at("store/current")).unwrap(), SECOND);

    let (status, problem) =
        json_of(servers[1].send("PUT", &format!("/v1/releases/{FIRST}"), "", b"x"));
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("tandem publish --to file://"));
    let (status, problem) =
        json_of(servers[1].send("DELETE", &format!("/v1/releases/{FIRST}"), "", b""));
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    let (status, _) = json_of(servers[1].post("/v1/releases/0000000000000009/activate", ""));
    assert_eq!(status, 404);

    // The first one was not needed any more.
    wait_until("older releases are removed", || {
        fs::read_dir(shop.at("one/releases")).unwrap().count() == 2
    });
    for mut server in servers {
        assert_eq!(server.stop_with("-TERM").code(), Some(0));
    }
}

#[test]
fn a_damaged_upload_is_refused_and_a_repaired_one_is_used() {
    let shop = Shop::new();
    shop.publish(FIRST, 20);
    let mut server = shop.start("one");
    shop.upload(SECOND, 25);
    let model = shop.at(&format!("store/releases/{SECOND}/language-model.gguf"));
    let mut bytes = fs::read(&model).unwrap();
    bytes[200] ^= 1;
    fs::write(&model, &bytes).unwrap();
    shop.store().activate(SECOND).unwrap();
    wait_until("the release is refused", || metric(&server, "tandem_release_refusals") != "0");
    assert_eq!(candidates(&server), 19);
    fs::remove_file(&model).unwrap();
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(candidates(&server), 19);
    // A new start uses the earlier one, too.
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
    let mut server = shop.start("one");
    assert_eq!(candidates(&server), 19);
    shop.publish(SECOND, 25);
    wait_until("the repaired release is used", || candidates(&server) == 24);
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
}

#[test]
fn without_the_store_a_server_goes_on_and_starts_with_what_it_has() {
    let Some(s3) = S3::start() else { return };
    let proxy = Proxy::start(format!("127.0.0.1:{}", s3.port));
    let shop = Shop::new();
    let url = format!("s3://{BUCKET}/eu");
    // Uploaded by another program: the settings of this process are not those of S3.
    let send = || {
        let mut files = Vec::new();
        add_files(&shop.at("store"), ".", &mut files);
        files.sort_by_key(|file| file.path.ends_with("/current"));
        for LocalFile { path, file, .. } in files {
            assert!(s3.put(&format!("eu/{}", &path[2..]), &fs::read(file).unwrap()));
        }
    };
    let command = |cache: &str| {
        let mut command = shop.command(&url, cache);
        command.envs(settings(proxy.port));
        command
    };
    shop.publish(FIRST, 20);
    send();
    let mut server = shop.start_with("one", &mut command("one"));
    assert_eq!(candidates(&server), 19);
    proxy.cut(true);
    wait_until("the outage is known", || metric(&server, "tandem_release_store_ready") == "0");
    assert_eq!((candidates(&server), server.get("/readyz").0), (19, 200));
    shop.publish(SECOND, 25);
    send();
    let (status, problem) = json_of(server.post(&format!("/v1/releases/{SECOND}/activate"), ""));
    assert_eq!((status, &problem["code"]), (503, &json!("overloaded")), "{problem}");
    // At a start, with and without a copy.
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
    let mut server = shop.start_with("one", &mut command("one"));
    assert_eq!(candidates(&server), 19);
    let refused = command("other").args(["--storage-wait", "1"]).output().unwrap();
    check_refusal(&refused, &["s3://shop/eu", "does not answer"]);

    proxy.cut(false);
    wait_until("the new release is used", || candidates(&server) == 24);
    assert_eq!(metric(&server, "tandem_release_store_ready"), "1");
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
}

/// Checks that a start has failed with one sentence that has these parts, and no secret.
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
fn wrong_stores_are_refused_in_one_sentence() {
    let shop = Shop::new();
    let refused = |url: &str, parts: &[&str]| {
        let mut command = shop.command(url, "one");
        // Where nothing answers, so that no machine gives credentials.
        command.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9");
        command.args(["--storage-wait", "0"]);
        check_refusal(&command.output().unwrap(), parts);
    };
    refused(&shop.url(), &["does not answer", "cannot be read", "tandem publish --to file://"]);
    fs::create_dir_all(shop.at("store")).unwrap();
    refused(&shop.url(), &["the folder is empty; mount it", "tandem publish --to file://"]);
    fs::write(shop.at("store/x"), "").unwrap();
    refused(&shop.url(), &["no object `current`", "tandem publish --to file://", "--release"]);
    refused("ftp://host/x", &["s3://BUCKET/PREFIX", "`ftp`"]);
    refused("s3://key:tdm_secret@shop/x", &["AWS_ACCESS_KEY_ID"]);
    refused("s3://", &["no bucket"]);
    refused("s3:/tdm_secret/x", &["s3://BUCKET/PREFIX", "no two slashes after `s3:`"]);
    let mut own = shop.command(&shop.url(), "store");
    check_refusal(&own.output().unwrap(), &["is that of the store file://", "--release"]);
    refused("s3://shop/x", &["no credentials", "AWS_SECRET_ACCESS_KEY"]);
    let program = || Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    let output = program().args(["--release", "s3:/tdm_secret"]).output().unwrap();
    check_refusal(&output, &["no two slashes after `s3:`"]);
    let output = program().args(["--release", "s3://shop"]).output().unwrap();
    check_refusal(&output, &["--release-cache"]);
    let output = program().args(["--release", "shop", "--release-cache", "x"]).output().unwrap();
    check_refusal(&output, &["--release-cache needs --release with the URL"]);
    // Two servers with one folder.
    shop.publish(FIRST, 20);
    let mut server = shop.start("one");
    refused(&shop.url(), &["another process uses the folder"]);
    let checked = shop.command(&shop.url(), "one").arg("--check").output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
}

#[test]
fn a_damaged_copy_is_repaired_at_the_start_and_found_by_a_check() {
    let shop = Shop::new();
    shop.publish(FIRST, 20);
    let mut server = shop.start("one");
    let model = shop.at(&format!("one/releases/{FIRST}/language-model.gguf"));
    let whole = fs::read(&model).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let check = || {
        let output = shop.command(&shop.url(), "one").arg("--check").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // By a rename, so that the running server keeps what it has mapped.
    let replace = |bytes: &[u8]| {
        let draft = shop.at("draft");
        fs::write(&draft, bytes).unwrap();
        fs::rename(&draft, &model).unwrap();
    };
    replace(&flipped);
    let (status, said) = check();
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("language-model.gguf is") || said.contains("is damaged"), "{said}");
    assert!(said.contains("SHA-256") && said.contains("restart the server"), "{said}");
    assert_eq!(fs::read(&model).unwrap(), flipped, "a check beside a server changes nothing");
    assert_eq!(server.stop_with("-TERM").code(), Some(0));

    let (status, said) = check();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("files of a downloaded release were damaged"), "{said}");
    assert_eq!(fs::read(&model).unwrap(), whole);

    replace(&whole[..whole.len() - 10]);
    let mut server = shop.start("one");
    assert_eq!(candidates(&server), 19);
    assert_eq!(fs::read(&model).unwrap(), whole);
    assert_eq!(server.stop_with("-TERM").code(), Some(0));

    // Without the store it is not used.
    replace(&flipped);
    fs::rename(shop.at("store"), shop.at("away")).unwrap();
    let mut command = shop.command(&shop.url(), "one");
    let output = command.args(["--storage-wait", "0"]).output().unwrap();
    check_refusal(&output, &["is damaged", "cannot be downloaded again", "does not answer"]);
}

#[test]
fn a_vanished_folder_is_an_outage_of_the_store() {
    let shop = Shop::new();
    shop.publish(FIRST, 20);
    let mut server = shop.start("one");
    fs::rename(shop.at("store"), shop.at("away")).unwrap();
    wait_until("the outage is known", || metric(&server, "tandem_release_store_ready") == "0");
    assert_eq!((candidates(&server), server.get("/readyz").0), (19, 200));
    assert_eq!(metric(&server, "tandem_release_refusals"), "0");
    fs::rename(shop.at("away"), shop.at("store")).unwrap();
    wait_until("the store answers", || metric(&server, "tandem_release_store_ready") == "1");
    shop.publish(SECOND, 25);
    wait_until("the new release is used", || candidates(&server) == 24);
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
}
