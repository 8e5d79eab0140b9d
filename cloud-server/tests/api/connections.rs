//! Clients that are slow, silent or many must not close the server to others.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use cloud_server::{ConnectionLimits, Limits};
use serde_json::Value;

use crate::fixture::{Fixture, Options, wait_until};

/// A server with short limits, on a thread of its own.
struct Server {
    fixture: Fixture,
    address: SocketAddr,
    thread: Option<(cloud_server::ServerHandle, JoinHandle<()>)>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let fixture = Fixture::with(Options { limits, ..Options::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (started, handle) = mpsc::channel();
        let state = fixture.state.clone();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let server = cloud_server::serve(listener, state).unwrap();
                started.send(server.handle()).unwrap();
                server.run().await.unwrap();
            });
        });
        let handle = handle.recv().unwrap();
        Self { fixture, address, thread: Some((handle, thread)) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    /// A request on a connection of its own, which must be served.
    fn is_open(&self) -> bool {
        let mut stream = self.connect();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .is_ok()
            && read_all(&mut stream).starts_with("HTTP/1.1 200")
    }

    fn open_connections(&self) -> usize {
        self.fixture.state.open_connections()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.fixture.script.open();
        if let Some((handle, thread)) = self.thread.take() {
            actix_rt::System::new().block_on(handle.stop(None));
            let _ = thread.join();
        }
    }
}

fn limits() -> Limits {
    Limits {
        body_timeout: Duration::from_millis(300),
        connections: ConnectionLimits {
            // The framework's clock for the first head has a resolution of half a second.
            head: Duration::from_secs(1),
            keep_alive: Duration::from_mins(1),
            write: Duration::from_millis(300),
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    }
}

/// Reads until the server closes the connection, with or without a reset.
fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&block[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server did not close the connection: {error}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Writes a byte at a time until the server has closed the connection.
fn drip(stream: &mut TcpStream, byte: &[u8]) {
    for _ in 0..1_000 {
        if stream.write_all(byte).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server kept a dripping connection");
}

fn read_response(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 65_536];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[test]
fn a_dripped_head_is_closed_also_on_a_connection_that_was_used() {
    let server = Server::start(limits());
    let mut first = server.connect();
    drip(&mut first, b"G");

    let mut second = server.connect();
    second.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert!(read_response(&mut second).starts_with("HTTP/1.1 200"));
    second.write_all(b"GET /livez HTTP/1.1\r\nx-drip: ").unwrap();
    drip(&mut second, b"a");
    wait_until("both are closed", || server.open_connections() == 0);
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Server::start(limits());
    let mut silent = server.connect();
    // The framework answers the first time-out, unless the connection is closed before.
    let answer = read_all(&mut silent);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut used = server.connect();
    used.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert!(read_all(&mut used).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_dripped_body_is_closed_also_after_its_refusal() {
    let server = Server::start(limits());
    let mut stream = server.connect();
    stream
        .write_all(
            b"POST /v1/candidates HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
              transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        )
        .unwrap();
    drip(&mut stream, b"1\r\n \r\n");
    wait_until("it is closed", || server.open_connections() == 0);
}

/// A client that sends gigabytes after a refusal would keep the network busy.
#[test]
fn a_refused_body_is_discarded_only_to_a_limit() {
    // Far above what the buffers of both sides take beside the limit.
    const SENT: usize = 256 << 20;
    let server = Server::start(Limits::default());
    let part = vec![b'x'; 64 << 10];
    for framing in ["transfer-encoding: chunked".to_owned(), format!("content-length: {SENT}")] {
        let mut stream = server.connect();
        write!(
            stream,
            "POST /v1/candidates HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\
             {framing}\r\n\r\n"
        )
        .unwrap();
        let mut sent = 0;
        while sent < SENT {
            let written = if framing.starts_with("transfer") {
                write!(stream, "{:x}\r\n", part.len())
                    .and_then(|()| stream.write_all(&part))
                    .and_then(|()| stream.write_all(b"\r\n"))
            } else {
                stream.write_all(&part)
            };
            if written.is_err() {
                break;
            }
            sent += part.len();
        }
        assert!(sent < SENT / 2, "{framing}: the server has read {sent} bytes");
    }
    wait_until("both are closed", || server.open_connections() == 0);
}

/// Within the limit, the client sees why, and its connection is not reset before.
#[test]
fn a_refused_body_within_the_limit_gets_its_answer() {
    let server = Server::start(Limits::default());
    let body = vec![b'x'; 4 << 20];
    for path in ["/v1/candidates", "/v1/items"] {
        let mut stream = server.connect();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(&body).unwrap();
        let answer = read_all(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let server = Server::start(limits());
    let folder = server.fixture.artifacts.join(&server.fixture.hash);
    let mut stream = server.connect();
    // Many responses fill the buffers of both sides.
    let request = format!(
        "GET /artifacts/{}/items.json HTTP/1.1\r\nhost: localhost\r\n\r\n",
        folder.file_name().unwrap().to_str().unwrap()
    );
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while stream.write_all(request.as_bytes()).is_ok() {}
    wait_until("it is closed", || server.open_connections() == 0);
}

#[test]
fn a_request_that_waits_for_the_model_is_not_closed() {
    let server = Server::start(limits());
    server.fixture.script.close();
    let mut stream = server.connect();
    let body = r#"{"history":["1"]}"#;
    write!(
        stream,
        "POST /v1/candidates HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    // Longer than the limits of head, body and write.
    std::thread::sleep(Duration::from_millis(1_500));
    server.fixture.script.open();
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 200"));
}

#[test]
fn connections_are_limited_by_client_and_places_are_free_again() {
    let connections = ConnectionLimits { per_address: 3, ..ConnectionLimits::default() };
    let server = Server::start(Limits { connections, ..Limits::default() });
    let held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    wait_until("three are open", || server.open_connections() == 3);
    let refused = read_all(&mut server.connect());
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\"code\":\"overloaded\""), "{refused}");
    drop(held);
    wait_until("the places are free", || server.open_connections() == 0);
    assert!(server.is_open());
}

#[test]
fn more_silent_clients_than_the_total_do_not_close_the_server() {
    let mut limits = limits();
    limits.connections.total = 50;
    let server = Server::start(limits);
    let _silent: Vec<_> = (0..200).map(|_| server.connect()).collect();
    wait_until("it serves again", || server.is_open());
}

/// Limits of `total` connections, none of which is closed because of its deadlines.
fn patient(total: usize) -> Limits {
    let hour = Duration::from_hours(1);
    Limits {
        body_timeout: hour,
        connections: ConnectionLimits {
            total,
            head: hour,
            keep_alive: hour,
            write: hour,
            stalled: hour,
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    }
}

#[test]
fn connections_that_wait_for_their_clients_make_room() {
    let server = Server::start(patient(10));
    let fill = |request: &[u8]| {
        let open = |_| {
            let mut stream = server.connect();
            stream.write_all(request).unwrap();
            stream
        };
        let streams: Vec<_> = (0..10).map(open).collect();
        wait_until("all places are taken", || server.open_connections() >= 10);
        streams
    };
    let heads = fill(b"GET /livez HTTP/1.1\r\nx-drip: ");
    wait_until("a head makes room", || server.is_open());
    let idle = fill(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    for mut stream in &idle {
        let mut start = [0; 12];
        // Those that have made room for others were reset, before or after the response.
        let _ = stream.read_exact(&mut start);
    }
    wait_until("an idle one makes room", || server.is_open());
    let bodies = fill(
        b"POST /v1/candidates HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
          content-length: 100\r\n\r\n{",
    );
    // Not before two seconds.
    wait_until("a slow body makes room", || server.is_open());
    drop((heads, idle, bodies));
    wait_until("all are closed", || server.open_connections() == 0);
}

#[test]
fn a_connection_that_the_server_works_for_keeps_its_place() {
    let server = Server::start(patient(3));
    server.fixture.script.close();
    let body = r#"{"history":["1"]}"#;
    let ask = |_| {
        let mut stream = server.connect();
        write!(
            stream,
            "POST /v1/candidates HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream
    };
    let asking: Vec<_> = (0..3).map(ask).collect();
    wait_until("two wait for the model", || server.fixture.worker().queued() == 2);
    let refused = read_all(&mut server.connect());
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    server.fixture.script.open();
    for mut stream in asking {
        assert!(read_all(&mut stream).starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn refusals_of_the_parser_are_problems() {
    let server = Server::start(limits());
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n".to_owned(), 400),
        (
            "POST /v1/rows HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: \
             chunked\r\n\r\n"
                .to_owned(),
            400,
        ),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000)), 431),
    ] {
        let mut stream = server.connect();
        // The server may close before all was written.
        let _ = stream.write_all(request.as_bytes());
        let answer = read_all(&mut stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], status);
    }
}
