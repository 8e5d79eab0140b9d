//! Clients that keep a connection and give the server as little to do as possible.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::Failure;

/// Time between two pieces of what a client drips.
const PAUSE: Duration = Duration::from_millis(500);
const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
const LARGE: &[u8] = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
const CHUNKED: &[u8] = b"POST /v1/candidates HTTP/1.1\r\nhost: x\r\n\
    content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// A kind of client: its name, and what it does with a new connection until `end` or until the
/// server closes the connection.
type Kind = (&'static str, fn(&mut TcpStream, Instant) -> Result<(), Failure>);

pub(crate) const KINDS: [Kind; 18] = [
    ("silent", |stream, _| wait(stream)),
    ("byte", |stream, _| {
        stream.write_all(b"G")?;
        wait(stream)
    }),
    ("first-head", |stream, end| {
        stream.write_all(b"GET /livez HTTP/1.1\r\nx-drip: ")?;
        drip(stream, b"a", end)
    }),
    ("head", |stream, end| {
        stream.write_all(LIVEZ)?;
        let _ = stream.read(&mut [0; 4096])?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nx-drip: ")?;
        drip(stream, b"a", end)
    }),
    ("large-head", |stream, end| {
        stream.write_all(b"GET /livez HTTP/1.1\r\nx-drip: ")?;
        drip(stream, &[b'a'; 16 << 10], end)
    }),
    ("length", |stream, end| {
        stream.write_all(&head_of_body(100_000, ""))?;
        drip(stream, b" ", end)
    }),
    ("body", |stream, end| {
        stream.write_all(CHUNKED)?;
        drip(stream, b"1\r\n \r\n", end)
    }),
    ("trailer", |stream, end| {
        stream.write_all(CHUNKED)?;
        stream.write_all(b"10\r\n{\"history\":[\"1\"]\r\n1\r\n}\r\n0\r\nx-drip: ")?;
        drip(stream, b"a", end)
    }),
    ("last-byte", |stream, _| {
        let mut request = head_of_body(1 << 20, "");
        request.resize(request.len() + (1 << 20) - 1, b'1');
        stream.write_all(&request)?;
        wait(stream)
    }),
    ("deaf", |stream, end| pour(stream, LARGE, end)),
    ("pipeline", |stream, end| pour(stream, &LIVEZ.repeat(100), end)),
    ("deaf-once", |stream, end| {
        stream.write_all(&LARGE.repeat(200))?;
        until_closed(stream, end)
    }),
    ("sip", |stream, end| {
        stream.write_all(&LARGE.repeat(200))?;
        while Instant::now() < end && stream.read(&mut [0; 1])? > 0 {
            thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }),
    ("half-closed", |stream, _| {
        stream.write_all(b"GET /livez HTTP/1.1\r\n")?;
        stream.shutdown(Shutdown::Write)?;
        wait(stream)
    }),
    ("reset", |stream, _| {
        stream.write_all(b"GET /livez HTTP/1.1\r\n")?;
        // Closes with a reset.
        SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
        Ok(())
    }),
    ("old", |stream, _| {
        stream.write_all(b"GET /livez HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")?;
        wait(stream)
    }),
    ("expect", |stream, _| {
        stream.write_all(&head_of_body(1000, "expect: 100-continue\r\n"))?;
        wait(stream)
    }),
    ("upgrade", |stream, _| {
        stream.write_all(
            b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        wait(stream)
    }),
];

fn head_of_body(length: usize, headers: &str) -> Vec<u8> {
    format!(
        "POST /v1/candidates HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.1\r\n{headers}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Reads all answers until the server closes the connection.
fn wait(stream: &mut TcpStream) -> Result<(), Failure> {
    while stream.read(&mut [0; 4096])? > 0 {}
    Ok(())
}

/// Writes a piece twice a second until the server closes the connection.
fn drip(stream: &mut TcpStream, piece: &[u8], end: Instant) -> Result<(), Failure> {
    while Instant::now() < end {
        stream.write_all(piece)?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Writes requests as fast as the server reads them, and reads no response.
fn pour(stream: &mut TcpStream, requests: &[u8], end: Instant) -> Result<(), Failure> {
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    while Instant::now() < end {
        match stream.write_all(requests) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            other => other?,
        }
    }
    Ok(())
}

/// Reads nothing until the server has reset the connection.
fn until_closed(stream: &mut TcpStream, end: Instant) -> Result<(), Failure> {
    while Instant::now() < end {
        if let Some(error) = stream.take_error()? {
            return Err(error.into());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
