//! Load test: requests per second and latencies of a running server by number of clients.
//!
//! `load --url 127.0.0.1:8080 --data DIR [--model NAME]… [--clients 1,4,16] [--seconds 5]
//! [--history 50] [--k 50] [--server 127.0.0.1:8081]… [--zipf EXPONENT] [--public]`
//!
//! Every client keeps one connection and sends the next request when it has the response.
//! Consecutive requests use the newest items of different users, so that no history is
//! cached. With `--zipf` each request draws its history instead, the one of rank n with a probability
//! proportional to n to the power of minus EXPONENT: some histories come again and again. With
//! `--public` each client has the rates of a visitor, by the header of a proxy. Latencies are measured by the client, from the first byte sent to the last byte
//! read. The clients run on the same machine and take processor time from the server.
//!
//! The last column is the share of the time in which the server was not within `llama_decode`,
//! from `tandem_llama_decode_seconds_total` of `/metrics` before and after. If `--url` is a balancer,
//! name each server behind it with `--server`: the share is their mean.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tandem_dataset::Dataset;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let values = |name: &str| -> Vec<String> {
        arguments.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].clone()).collect()
    };
    let value = |name: &str| values(name).pop();
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let address = value("--url").ok_or("--url is missing")?;
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let data = value("--data").ok_or("--data is missing")?;
    let mut servers = values("--server");
    if servers.is_empty() {
        servers.push(address.to_owned());
    }
    let decode_seconds =
        || servers.iter().map(|server| decode_seconds(server)).sum::<Result<f64, Failure>>();
    let time = Duration::from_secs(number("--seconds", 5)? as u64);
    let (length, k) = (number("--history", 50)?, number("--k", 50)?);
    let clients: Vec<usize> = value("--clients")
        .unwrap_or_else(|| "1,4,16".to_owned())
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let mut models: Vec<Option<String>> = values("--model").into_iter().map(Some).collect();
    if models.is_empty() {
        models.push(None);
    }

    let exponent = value("--zipf").map(|text| text.parse::<f64>()).transpose()?;
    let is_public = arguments.iter().any(|argument| argument == "--public");

    let dataset = Dataset::load(Path::new(&data))?;
    println!(
        "model | clients | requests/s | p50 ms | p95 ms | p99 ms | refused | outside llama_decode"
    );
    for model in models {
        let bodies = bodies(&dataset, model.as_deref(), length, k);
        let load =
            Load { address, ranks: exponent.map(|it| ranks(bodies.len(), it)), bodies, is_public };
        let name = model.as_deref().unwrap_or("default");
        // A warm-up that is not reported.
        measure(&load, 1, time / 10)?;
        for &clients in &clients {
            let before = decode_seconds()?;
            let Measured { mut ms, refused, seconds } = measure(&load, clients, time)?;
            let within = (decode_seconds()? - before) / servers.len() as f64;
            let outside = 1.0 - within / seconds;
            ms.sort_by(f64::total_cmp);
            let at = |percent: usize| ms.get(ms.len() * percent / 100).unwrap_or(&f64::NAN);
            println!(
                "{name} | {clients} | {:.1} | {:.2} | {:.2} | {:.2} | {refused} | {:.1} %",
                ms.len() as f64 / seconds,
                at(50),
                at(95),
                at(99),
                outside * 1e2
            );
        }
    }
    Ok(())
}

/// The bodies of the requests, one per user.
fn bodies(dataset: &Dataset, model: Option<&str>, length: usize, k: usize) -> Vec<String> {
    let histories = dataset.sequences.iter().map(|sequence| {
        let newest = &sequence.items[sequence.items.len().saturating_sub(length)..];
        newest.iter().map(|&item| dataset.catalogue.get(item).id.clone()).collect::<Vec<_>>()
    });
    histories
        .map(|history| json!({ "history": history, "k": k, "model": model }).to_string())
        .collect()
}

/// What the clients send.
struct Load<'a> {
    address: &'a str,
    bodies: Vec<String>,
    /// The probability that a body or one before it is drawn; `None` if they take turns.
    ranks: Option<Vec<f64>>,
    /// Whether the server is to see visitors instead of a program on its machine.
    is_public: bool,
}

/// Cumulative probabilities of Zipf's law.
fn ranks(len: usize, exponent: f64) -> Vec<f64> {
    let weights = (1..=len).map(|rank| (rank as f64).powf(-exponent));
    let sum: f64 = weights.clone().sum();
    let add = |total: &mut f64, weight: f64| {
        *total += weight / sum;
        Some(*total)
    };
    weights.scan(0.0, add).collect()
}

/// The results of all clients.
struct Measured {
    /// Latency of each successful request in milliseconds.
    ms: Vec<f64>,
    /// Number of responses with status 503 or 504.
    refused: usize,
    /// Duration of the measurement.
    seconds: f64,
}

fn measure(load: &Load<'_>, clients: usize, time: Duration) -> Result<Measured, Failure> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let results = thread::scope(|scope| {
        let next = &next;
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(load, number, next, start + time)))
            .collect();
        let joined = clients.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.unwrap_or_else(|_| Err("a client panicked".into())))
            .collect::<Result<Vec<_>, Failure>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let refused = results.iter().map(|(_, refused)| refused).sum();
    Ok(Measured { ms: results.into_iter().flat_map(|(ms, _)| ms).collect(), refused, seconds })
}

/// Sends requests until the given time. Returns latencies and the number of refusals.
fn client(
    load: &Load<'_>,
    number: usize,
    next: &AtomicUsize,
    until: Instant,
) -> Result<(Vec<f64>, usize), Failure> {
    let Load { address, bodies, ranks, is_public } = load;
    let mut random = StdRng::seed_from_u64(number as u64);
    let visitor = if *is_public {
        format!("x-forwarded-for: 192.0.2.{}\r\n", number % 256)
    } else {
        String::new()
    };
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut ms, mut refused) = (Vec::new(), 0);
    while Instant::now() < until {
        let at = match ranks {
            None => next.fetch_add(1, Ordering::Relaxed) % bodies.len(),
            Some(ranks) => {
                let drawn = random.random::<f64>();
                ranks.partition_point(|total| *total < drawn).min(bodies.len() - 1)
            }
        };
        let body = &bodies[at];
        let request = format!(
            "POST /v1/candidates HTTP/1.1\r\nhost: {address}\r\n{visitor}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let start = Instant::now();
        stream.write_all(request.as_bytes())?;
        let (status, answer) = read_response(&mut reader)?;
        match status {
            200 => ms.push(start.elapsed().as_secs_f64() * 1e3),
            // The queue is full or the deadline has passed.
            503 | 504 => {
                refused += 1;
                thread::sleep(Duration::from_millis(10));
            }
            other => {
                return Err(format!("{other}: {}", String::from_utf8_lossy(&answer)).into());
            }
        }
    }
    Ok((ms, refused))
}

/// Seconds that the server was within `llama_decode`, for all models.
fn decode_seconds(address: &str) -> Result<f64, Failure> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let (status, body) = read_response(&mut BufReader::new(stream))?;
    if status != 200 {
        return Err(format!("/metrics: {status}").into());
    }
    let text = String::from_utf8(body)?;
    let lines = text.lines().filter(|line| line.starts_with("tandem_llama_decode_seconds_total"));
    lines.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
}

/// Reads a response with a known length. Returns status and body.
fn read_response(reader: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>), Failure> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or("the server closed the connection")?.parse()?;
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse()?);
        }
    }
    let mut body = vec![0; length.ok_or("expected a response with content-length")?];
    reader.read_exact(&mut body)?;
    Ok((status, body))
}
