//! S3, as the server of the Python package moto simulates it. The tests of the server use this file
//! as well.

use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// moto checks no signature, but without one an object cannot be replaced.
const ANYBODY: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                       SignedHeaders=host, Signature=0";
pub(crate) const BUCKET: &str = "shop";

/// A server of S3 with an empty bucket, which ends with the value.
pub(crate) struct S3 {
    child: Child,
    pub(crate) port: u16,
}

impl S3 {
    /// `None`, with a message, where moto is not installed.
    pub(crate) fn start() -> Option<Self> {
        let program = env::var("MOTO_SERVER").unwrap_or_else(|_| "moto_server".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!(
                "skipped: no `{program}`; install it with `pip install 'moto[server]'` and name it \
                 in MOTO_SERVER"
            );
            return None;
        };
        let server = Self { child, port };
        for _ in 0..1_200 {
            if server.put("", b"") {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{program} does not answer");
    }

    /// Stores an object, or makes the bucket. Returns whether the server has accepted it.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let head = format!(
            "PUT /{BUCKET}/{path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\
             authorization: {ANYBODY}\r\ncontent-length: {}\r\n\r\n",
            self.port,
            bytes.len()
        );
        let mut answer = Vec::new();
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
        sent.is_ok()
            && stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings with which a program finds a server of S3 at this port.
pub(crate) fn settings(port: u16) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "tdm_secret".to_owned()),
    ]
}
