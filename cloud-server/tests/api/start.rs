//! A server that cannot start prints the reason as one sentence and exits with status 2.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tandem_generator::testing::write_tiny_gguf;
use tempfile::TempDir;

use crate::fixture::{catalogue, write_artifacts, write_dataset};

/// A folder with everything that a server needs.
pub(crate) struct Folder {
    pub(crate) root: TempDir,
    pub(crate) hash: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        write_dataset(&root.path().join("data"));
        let hash = write_artifacts(&root.path().join("artifacts"), &catalogue(), 0);
        write_tiny_gguf(&root.path().join("model.gguf"), 7).unwrap();
        Self { root, hash }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A command that starts the server on a free port.
    pub(crate) fn command(&self) -> Command {
        self.command_with(&self.path("model.gguf"))
    }

    /// As [`Folder::command`], with another language model.
    pub(crate) fn command_with(&self, gguf: &Path) -> Command {
        let mut command = self.command_on_port("0");
        command.arg("--gguf").arg(gguf);
        command
    }

    /// As [`Folder::command`], without a language model.
    pub(crate) fn command_on_port(&self, port: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        command
            .args(["--port", port])
            .arg("--data")
            .arg(self.path("data"))
            .arg("--artifacts")
            .arg(self.path("artifacts"))
            .args(["--threads", "1"])
            .env("RUST_LOG", "off")
            .env_remove("OMP_WAIT_POLICY")
            .stdin(Stdio::null());
        command
    }
}

/// Runs a server that cannot start. Returns the reason that it prints.
pub(crate) fn sentence(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1, "more than one sentence: {text}");
    let sentence = lines[0].strip_prefix("cloud-server: ").unwrap().to_owned();
    // Signs of a `Debug` dump or a backtrace.
    for dump in ["{ ", "Err(", "Error(", "panicked", "stack backtrace"] {
        assert!(!sentence.contains(dump), "{sentence}");
    }
    sentence
}

pub(crate) fn assert_mentions(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
    }
}

#[test]
fn a_missing_gguf_is_named() {
    let folder = Folder::new();
    let sentence = sentence(&mut folder.command_with(&folder.path("none.gguf")));
    assert_mentions(&sentence, &["none.gguf", "--gguf"]);
}

#[test]
fn a_file_that_is_no_gguf_is_named() {
    let folder = Folder::new();
    for bytes in [&b"<html>not found</html>"[..], b"", b"GG"] {
        fs::write(folder.path("page.gguf"), bytes).unwrap();
        let sentence = sentence(&mut folder.command_with(&folder.path("page.gguf")));
        assert_mentions(&sentence, &["page.gguf", "not a GGUF file"]);
    }
    let sentence = sentence(&mut folder.command_with(folder.root.path()));
    assert_mentions(&sentence, &["--gguf"]);
}

/// The fault is found while loading in the background, after the server listens.
#[test]
fn a_damaged_gguf_is_named() {
    let folder = Folder::new();
    let whole = fs::read(folder.path("model.gguf")).unwrap();
    let truncated = &whole[..whole.len() / 2];
    let garbage = [b"GGUF".to_vec(), vec![0xff; 1000]].concat();
    for bytes in [truncated, &garbage] {
        fs::write(folder.path("damaged.gguf"), bytes).unwrap();
        let sentence = sentence(&mut folder.command_with(&folder.path("damaged.gguf")));
        assert_mentions(&sentence, &["language model", "damaged.gguf"]);
    }
}

#[test]
fn a_malformed_dataset_is_named_with_its_line() {
    let folder = Folder::new();
    let file = folder.path("data").join("catalogue.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines[4] = "{\"id\": 5";
    fs::write(&file, lines.join("\n")).unwrap();
    let sentence = sentence(&mut folder.command());
    assert_mentions(&sentence, &["catalogue.jsonl", "line 5"]);
}

#[test]
fn a_missing_dataset_is_named() {
    let folder = Folder::new();
    fs::remove_dir_all(folder.path("data")).unwrap();
    assert_mentions(&sentence(&mut folder.command()), &["dataset", "data"]);
}

#[test]
fn missing_artifacts_are_named() {
    let folder = Folder::new();
    fs::remove_file(folder.path("artifacts").join("current")).unwrap();
    let sentence = sentence(&mut folder.command());
    assert_mentions(&sentence, &["current", "tandem export"]);
}

#[test]
fn incomplete_and_damaged_artifacts_are_named() {
    let folder = Folder::new();
    let rows = folder.path("artifacts").join(&folder.hash).join("rows.bin");
    let mut bytes = fs::read(&rows).unwrap();
    bytes[10] ^= 1;
    fs::write(&rows, bytes).unwrap();
    let damaged = sentence(&mut folder.command());
    assert_mentions(&damaged, &["rows.bin", "damaged", "expected SHA-256", "found"]);
    fs::remove_file(&rows).unwrap();
    assert_mentions(&sentence(&mut folder.command()), &["rows.bin", "tandem export"]);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = Folder::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let mut command = folder.command_on_port(&port);
    let sentence = sentence(command.arg("--gguf").arg(folder.path("model.gguf")));
    assert_mentions(&sentence, &[&port, "in use", "--port"]);
}

#[test]
fn an_address_of_another_machine_is_named() {
    let folder = Folder::new();
    let sentence = sentence(folder.command().args(["--host", "192.0.2.1"]));
    assert_mentions(&sentence, &["192.0.2.1"]);
}

#[test]
fn two_models_of_one_name_are_named() {
    let folder = Folder::new();
    let same = folder.path("model.gguf");
    let message = sentence(folder.command().arg("--gguf").arg(&same));
    assert_mentions(&message, &["two language models", "`model`", "NAME=FILE"]);
    // All files are checked before the server listens.
    let missing = format!("other={}", folder.path("none.gguf").display());
    assert_mentions(&sentence(folder.command().args(["--gguf", &missing])), &["none.gguf"]);
}

#[test]
fn a_site_that_is_not_built_is_named() {
    let folder = Folder::new();
    let sentence = sentence(folder.command().arg("--site").arg(folder.path("nothing")));
    assert_mentions(&sentence, &["nothing", "index.html"]);
}

#[test]
fn an_event_log_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("log").join("interactions.jsonl")).unwrap();
    let sentence = sentence(folder.command().arg("--events").arg(folder.path("log")));
    assert_mentions(&sentence, &["interactions.jsonl", "--events"]);
}

#[test]
fn an_address_of_other_machines_needs_keys_or_consent() {
    let folder = Folder::new();
    let message = sentence(folder.command().args(["--host", "0.0.0.0"]));
    assert_mentions(&message, &["0.0.0.0", "--keys", "--insecure"]);
    let message = sentence(folder.command().arg("--keys").arg(folder.path("none.toml")));
    assert_mentions(&message, &["none.toml", "cloud-server keys new"]);
}

#[test]
fn options_of_file_and_environment_are_checked_and_printed() {
    let folder = Folder::new();
    fs::write(folder.path("tandem.toml"), "queue = 5\ntimeout = 7\n").unwrap();
    let with_file = || {
        let mut command = folder.command();
        command.arg("--config").arg(folder.path("tandem.toml")).env("TANDEM_QUEUE", "6");
        command
    };
    let output = with_file().arg("--print-config").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["queue = 6  # environment", "timeout = 7  # file", "port = 0  # command line"] {
        assert!(text.contains(line), "{line} is not in: {text}");
    }
    let output = with_file().arg("--check").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(folder.path("artifacts").join("current")).unwrap();
    assert_mentions(&sentence(with_file().arg("--check")), &["current", "tandem export"]);
    fs::write(folder.path("tandem.toml"), "qeueu = 5\n").unwrap();
    assert_mentions(&sentence(&mut with_file()), &["tandem.toml", "`qeueu`"]);
}

/// Reading a named pipe would wait for another process.
#[cfg(unix)]
#[test]
fn named_pipes_are_refused() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let message = sentence(folder.command_with(&pipe).arg("--check"));
    assert_mentions(&message, &["pipe", "--gguf", "expected a regular file"]);
    let message = sentence(folder.command().arg("--check").arg("--keys").arg(&pipe));
    assert_mentions(&message, &["pipe", "key file", "expected a regular file"]);
}

#[test]
fn variables_without_effect_are_warnings() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.arg("--check").env("TANDEM_MAX_CONECTIONS", "3").env("RUST_LOG", "cloud_server=loud");
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert_mentions(&log, &["TANDEM_MAX_CONECTIONS", "did you mean TANDEM_MAX_CONNECTIONS?"]);
    assert_mentions(&log, &["RUST_LOG cannot be used"]);
    // Where there is no log yet, it is said, too.
    let output = command.arg("--quue=3").env("TANDEM_QUEU", "3").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_mentions(&text, &["TANDEM_QUEU, which", "did you mean TANDEM_QUEUE?"]);
}

#[test]
fn a_password_of_a_refused_value_is_not_printed() {
    let folder = Folder::new();
    for value in [
        "postgres://u:pa/ss@tdm_secret@h/x",
        "mysql://u:tdm_secret@h/x",
        "host=h user=u password=tdm_secret",
    ] {
        let mut backup = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
        backup.args(["backup", "--out", "backup.zst"]);
        let mut by_variable = folder.command();
        by_variable.arg("--check").env("TANDEM_STORAGE", value);
        let mut by_option = folder.command();
        by_option.args(["--check", "--storage", value]);
        for command in [backup.args(["--storage", value]), &mut by_variable, &mut by_option] {
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{text}");
            assert_mentions(&text, &["--storage", "expected"]);
            assert!(!text.contains("tdm_secret"), "{text}");
        }
    }
}

#[test]
fn a_port_file_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    let path = folder.path("nowhere").join("port");
    let sentence = sentence(folder.command().arg("--port-file").arg(path));
    assert_mentions(&sentence, &["port file", "nowhere"]);
}

#[test]
fn invalid_arguments_exit_with_status_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloud-server")).arg("--gguf").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
