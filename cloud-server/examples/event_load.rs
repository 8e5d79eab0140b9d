//! Load test: acknowledged events per second of a running server, by number of clients.
//!
//! `event_load --url 127.0.0.1:8080 --items 1,2,3 [--clients 1,16,64] [--seconds 5] [--events 1]`
//!
//! Every client keeps one connection and sends the next request when it has the response. A request
//! has `--events` clicks on the items of `--items`, of a visit of its own. Start the server with
//! `--rate-events 0 --rate-requests 0`. The clients run on the same machine and take processor time
//! from the server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let value =
        |name: &str| arguments.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
    let address = value("--url").ok_or("--url is missing")?;
    let items: Vec<String> =
        value("--items").ok_or("--items is missing")?.split(',').map(str::to_owned).collect();
    let seconds: u64 = value("--seconds").map_or(Ok(5), |text| text.parse())?;
    let events: usize = value("--events").map_or(Ok(1), |text| text.parse())?;
    let clients = value("--clients").unwrap_or_else(|| "1,16,64".to_owned());
    println!("clients | acknowledged events/s | p50 ms | p99 ms");
    for clients in clients.split(',') {
        let clients: usize = clients.parse()?;
        let time = Duration::from_secs(seconds);
        let start = Instant::now();
        let mut ms = measure(&address, &items, events, clients, start + time)?;
        let rate = (ms.len() * events) as f64 / start.elapsed().as_secs_f64();
        ms.sort_by(f64::total_cmp);
        let at = |percent: usize| ms.get(ms.len() * percent / 100).unwrap_or(&f64::NAN);
        println!("{clients} | {rate:.0} | {:.2} | {:.2}", at(50), at(99));
    }
    Ok(())
}

/// Latencies of all requests in milliseconds.
fn measure(
    address: &str,
    items: &[String],
    events: usize,
    clients: usize,
    until: Instant,
) -> Result<Vec<f64>, Failure> {
    // Ids that no earlier run has used.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let next = AtomicU64::new(0);
    let client = || -> Result<Vec<f64>, Failure> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut ms = Vec::new();
        while Instant::now() < until {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let body = body(&format!("{run}-{number}"), items, events);
            let request = format!(
                "POST /v1/events HTTP/1.1\r\nhost: {address}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let start = Instant::now();
            stream.write_all(request.as_bytes())?;
            let answer = read_response(&mut reader)?;
            let accepted = answer["accepted"].as_u64();
            if accepted != Some(events as u64) {
                return Err(format!("expected {events} accepted events, found {answer}").into());
            }
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(ms)
    };
    let results = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let joined = clients.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.unwrap_or_else(|_| Err("a client panicked".into())))
            .collect::<Result<Vec<_>, Failure>>()
    })?;
    Ok(results.into_iter().flatten().collect())
}

fn body(session: &str, items: &[String], events: usize) -> String {
    let at = 1_700_000_000_000_u64;
    let event = |number: usize| {
        let item = &items[number % items.len()];
        json!({ "id": number.to_string(), "type": "click", "item": item, "at": at })
    };
    let events: Vec<Value> = (0..events).map(event).collect();
    json!({ "session": session, "events": events }).to_string()
}

/// The body of a response with the status 200 and a known length.
fn read_response(reader: &mut BufReader<TcpStream>) -> Result<Value, Failure> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.trim_end().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !status.contains(" 200 ") {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body)?)
}
