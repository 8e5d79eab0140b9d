//! Attacks on a running server, and what other clients notice of them.
//!
//! `attack KIND --url 127.0.0.1:8080 [--clients N] [--seconds 10] [--pid PID] [--body FILE]`
//!
//! | kind | what each client does |
//! |---|---|
//! | `none` | nothing |
//! | `silent` | sends nothing |
//! | `byte` | sends one byte |
//! | `first-head` | drips the first request head |
//! | `head` | drips a second request head on a connection that was used |
//! | `large-head` | drips a header beyond the size limit |
//! | `length` | drips a body with `Content-Length` |
//! | `body` | drips a chunked body, also after its refusal |
//! | `trailer` | drips the trailer of a chunked body |
//! | `last-byte` | sends a body of 1 MiB except its last byte, and waits |
//! | `deaf` | sends requests with large responses and never reads |
//! | `pipeline` | sends requests with small responses and never reads |
//! | `deaf-once` | sends 200 requests at once and never reads |
//! | `sip` | sends 200 requests at once and reads one byte per second |
//! | `half-closed` | sends a part of a head and closes its side |
//! | `reset` | sends a part of a head and resets the connection |
//! | `old` | sends a request of HTTP/1.0 with `Connection: keep-alive` and waits |
//! | `expect` | sends `Expect: 100-continue` and no body |
//! | `upgrade` | requests an upgrade to WebSocket and waits |
//! | `slow` | all kinds above, one after the other |
//! | `hang-up` | sends a request for candidates every half second and hangs up |
//! | `rows` | requests as many rows as one request may have |
//! | `events` | logs 500 events per request, as fast as it is allowed |
//!
//! Attackers have the addresses 127.1.0.0 and up, one each with `--addresses many`. Meanwhile a
//! client at 127.0.0.1 sends `--body` to `/v1/candidates` (or `GET /livez` without it), one request
//! after the other, on new connections. Its latencies, its failures, the largest memory of the process
//! `--pid`, and the longest time that a connection of an attacker was open are printed. Loopback addresses beyond 127.0.0.1 are a feature of Linux.

mod slow;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let pair = arguments.windows(2).rfind(|pair| pair[0] == name);
        pair.map(|pair| pair[1].clone())
    };
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let kind = arguments.first().ok_or("the kind of attack is missing")?.as_str();
    let address: SocketAddr = value("--url").ok_or("--url is missing")?.parse()?;
    let clients = number("--clients", 1000)?;
    let time = Duration::from_secs(number("--seconds", 10)? as u64);
    let body = value("--body").map(fs::read_to_string).transpose()?;
    let run = Run {
        address,
        clients,
        time,
        pid: value("--pid"),
        body,
        many: value("--addresses").is_some_and(|addresses| addresses == "many"),
    };
    let others = ["none", "slow", "hang-up", "rows", "events"];
    if !slow::KINDS.iter().any(|(name, _)| *name == kind) && !others.contains(&kind) {
        return Err(format!("`{kind}` is no kind of attack").into());
    }
    if kind == "slow" {
        for (kind, _) in slow::KINDS {
            run.attack(kind);
        }
    } else {
        run.attack(kind);
    }
    Ok(())
}

struct Run {
    address: SocketAddr,
    clients: usize,
    time: Duration,
    pid: Option<String>,
    body: Option<String>,
    /// Whether each attacker has an address of its own.
    many: bool,
}

impl Run {
    fn attack(&self, kind: &str) {
        let end = Instant::now() + self.time;
        let (done, held) = (AtomicUsize::new(0), AtomicU64::new(0));
        let (latencies, failures, memory) = thread::scope(|scope| {
            for number in 0..if kind == "none" { 0 } else { self.clients } {
                let source = if self.many { number as u32 + 1 } else { 1 };
                let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + source);
                let (done, held) = (&done, &held);
                let attack = move || {
                    while Instant::now() < end {
                        // A refused or closed connection is tried again.
                        if let Ok(mut stream) = connect(self.address, source, end) {
                            let start = Instant::now();
                            let _ = attack(kind, &mut stream, number, end, done);
                            let ms = start.elapsed().as_millis() as u64;
                            held.fetch_max(ms, Ordering::Relaxed);
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                };
                let thread = thread::Builder::new().stack_size(64 << 10);
                if let Err(error) = thread.spawn_scoped(scope, attack) {
                    eprintln!("client {number} could not start: {error}");
                }
            }
            observe(self.address, self.body.as_deref(), end, self.pid.as_deref())
        });
        let mut latencies = latencies;
        latencies.sort_by(f64::total_cmp);
        let at =
            |percent: usize| latencies.get(latencies.len() * percent / 100).unwrap_or(&f64::NAN);
        println!(
            "{kind}: {} clients, {} done, open for at most {:.1} s | others: {} served, {failures} \
             failed, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms | memory {memory} MiB",
            self.clients,
            done.load(Ordering::Relaxed),
            held.load(Ordering::Relaxed) as f64 / 1e3,
            latencies.len(),
            at(50),
            at(99),
            latencies.last().unwrap_or(&f64::NAN),
        );
    }
}

/// What an ordinary client notices: latencies in milliseconds and the number of failures.
fn observe(
    address: SocketAddr,
    body: Option<&str>,
    end: Instant,
    pid: Option<&str>,
) -> (Vec<f64>, usize, usize) {
    let (mut latencies, mut failures, mut memory) = (Vec::new(), 0, 0);
    // The attack is under way.
    thread::sleep(Duration::from_secs(1));
    while Instant::now() < end {
        let start = Instant::now();
        let request = match body {
            Some(body) => post("/v1/candidates", body, "connection: close\r\n"),
            None => "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
        };
        match exchange(address, &request) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
                latencies.push(start.elapsed().as_secs_f64() * 1e3);
            }
            _ => failures += 1,
        }
        memory = memory.max(pid.map_or(0, resident_mib));
        thread::sleep(Duration::from_millis(20));
    }
    (latencies, failures, memory)
}

fn attack(
    kind: &str,
    stream: &mut TcpStream,
    number: usize,
    end: Instant,
    done: &AtomicUsize,
) -> Result<(), Failure> {
    let list = |id: usize| format!(r#"{{"history":["{id}"],"k":50}}"#);
    // Marks the client as one from elsewhere: a caller on this machine has all rights.
    let elsewhere = "x-forwarded-for: 192.0.2.1\r\n";
    if let Some((_, slow)) = slow::KINDS.iter().find(|(name, _)| *name == kind) {
        return slow(stream, end);
    }
    match kind {
        "hang-up" => {
            stream.write_all(post("/v1/candidates", &list(number + 1), "").as_bytes())?;
            thread::sleep(Duration::from_millis(500));
            done.fetch_add(1, Ordering::Relaxed);
        }
        "rows" => {
            let items: Vec<String> =
                (0..1_000).map(|id| format!("\"{}\"", id % 1_600 + 1)).collect();
            let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
            stream.write_all(post("/v1/rows", &body, "connection: close\r\n").as_bytes())?;
            if read_all(stream)?.starts_with("HTTP/1.1 200") {
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
        "events" => {
            let request = done.load(Ordering::Relaxed);
            let events = (0..500).map(|event| {
                format!(r#"{{"id":"{number}-{request}-{event}","type":"click","item":"1","at":1}}"#)
            });
            let events: Vec<String> = events.collect();
            let body = format!(r#"{{"session":"{number}","events":[{}]}}"#, events.join(","));
            let headers = format!("connection: close\r\n{elsewhere}");
            stream.write_all(post("/v1/events", &body, &headers).as_bytes())?;
            if read_all(stream)?.starts_with("HTTP/1.1 200") {
                done.fetch_add(500, Ordering::Relaxed);
            }
        }
        other => return Err(format!("`{other}` is no kind of attack").into()),
    }
    Ok(())
}

/// A connection of an attacker, which waits for nothing longer than until `end`.
fn connect(address: SocketAddr, source: Ipv4Addr, end: Instant) -> Result<TcpStream, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(source, 0)).into())?;
    socket.connect_timeout(&address.into(), Duration::from_secs(10))?;
    let stream = TcpStream::from(socket);
    let rest = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(rest))?;
    stream.set_write_timeout(Some(rest))?;
    Ok(stream)
}

fn post(path: &str, body: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn exchange(address: SocketAddr, request: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    read_all(&mut stream)
}

fn read_all(stream: &mut TcpStream) -> Result<String, Failure> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Resident memory of a process.
fn resident_mib(pid: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}
