//! The cases on Azure Blob Storage, as the npm package azurite simulates it.

use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tandem_release_store::{ReleaseStore, ReleaseStoreError};

use crate::cases;

/// Creates the container `shop`. The account and its key are those that every simulation has, and
/// azurite does not compare the date with the clock, so the signature is always the same.
const CREATE: &str = "PUT /devstoreaccount1/shop?restype=container HTTP/1.1\r\nhost: localhost\r\n\
    connection: close\r\ncontent-length: 0\r\nx-ms-date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    x-ms-version: 2020-04-08\r\nauthorization: SharedKey \
    devstoreaccount1:Eau7qXKp4f601LwgaDV+wve0ViouDw5bobfD4c6dyvI=\r\n\r\n";

/// A server with the empty container `shop`, which ends with the value.
struct Azurite {
    child: Child,
    port: u16,
}

impl Azurite {
    /// `None`, with a message, where azurite is not installed.
    fn start() -> Option<Self> {
        let program = env::var("AZURITE_BLOB").unwrap_or_else(|_| "azurite-blob".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Command::new(&program)
            .args(["--silent", "--inMemoryPersistence", "--skipApiVersionCheck"])
            .args(["--disableTelemetry", "--blobHost", "127.0.0.1"])
            .args(["--blobPort", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!(
                "skipped: no `{program}`; install it with `npm install azurite` and name it in \
                 AZURITE_BLOB, or run `cargo xtask test --services`"
            );
            return None;
        };
        let server = Self { child, port };
        for _ in 0..1_200 {
            if server.create() {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{program} does not answer");
    }

    fn create(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = Vec::new();
        stream.write_all(CREATE.as_bytes()).is_ok()
            && stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 201")
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings are those of the environment, so the cases run in a process of their own.
#[test]
fn on_azure() {
    let Some(server) = Azurite::start() else { return };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "azure::with_settings", "--nocapture"])
        .env("AZURE_STORAGE_USE_EMULATOR", "true")
        .env("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{}", server.port))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in a process with the settings of Azure"]
fn with_settings() {
    cases::all("az://shop/eu");
    let store = ReleaseStore::open("az://no-such-container".parse().unwrap()).unwrap();
    let error = store.activate("0000000000000001").unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Missing { .. }), "{error}");
}
