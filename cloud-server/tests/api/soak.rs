//! Overload: four times as many requests for lists as the server can make.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    process::{Process, post_keep_alive},
    start::Folder,
};

/// Requests offered, as a multiple of those that the server can answer.
const OVERLOAD: f64 = 4.0;
/// Connections of the load; one client may have 128.
const CONNECTIONS: usize = 64;
/// Connections that measure what the server can answer.
const CLOSED_LOOP: usize = 4;
/// Time until the memory of the process has its usual size.
const SETTLING: Duration = Duration::from_secs(2);
/// Time after the overload until the server has to be as fast as before.
const RECOVERY: Duration = Duration::from_secs(2);
/// Parts of a measurement.
const SLICES: u32 = 10;
/// Deadline of a request, the default of the server.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the clients saw.
#[derive(Debug, Default)]
struct Answers {
    /// Latencies of the lists in seconds.
    served: Vec<f64>,
    /// Seconds in `Retry-After` of refusals; `None` if it is missing.
    refused: Vec<Option<u64>>,
    /// Other answers.
    wrong: Vec<String>,
}

/// Sends requests for `time` over `connections`, each at most every `pause`.
fn load(process: &Process, time: Duration, connections: usize, pause: Duration) -> Answers {
    let answers = Mutex::new(Answers::default());
    let until = Instant::now() + time;
    let next = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..connections {
            let (answers, next, done) = (&answers, &next, &done);
            scope.spawn(move || {
                // Spreads the connections over the pause.
                thread::sleep(pause.mul_f64(number as f64 / connections as f64));
                let mut due = Instant::now();
                let mut connection = None;
                while Instant::now() < until && !done.load(Ordering::Relaxed) {
                    let request = next.fetch_add(1, Ordering::Relaxed);
                    let answer = exchange(process, &mut connection, request);
                    let mut answers = answers.lock().unwrap();
                    match answer {
                        Ok((200, _, seconds)) => answers.served.push(seconds),
                        Ok((429 | 503, retry, _)) => answers.refused.push(retry),
                        Ok((status, ..)) => answers.wrong.push(format!("status {status}")),
                        Err(error) => {
                            connection = None;
                            answers.wrong.push(error.to_string());
                        }
                    }
                    drop(answers);
                    due += pause;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            });
        }
    });
    answers.into_inner().unwrap()
}

/// Sends a request over a kept connection. Returns status, `Retry-After` and seconds.
fn exchange(
    process: &Process,
    connection: &mut Option<BufReader<TcpStream>>,
    number: usize,
) -> std::io::Result<(u16, Option<u64>, f64)> {
    let stream = connection.get_or_insert_with(|| BufReader::new(process.connect()));
    let history = [number % 30 + 1, number / 30 % 30 + 1, 7].map(|item| item.to_string());
    let body = json!({ "history": history, "k": 20 }).to_string();
    let start = Instant::now();
    stream.get_mut().write_all(post_keep_alive("/v1/candidates", &body).as_bytes())?;
    let (mut status, mut retry, mut length) = (0, None, 0);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "retry-after" => retry = value.parse().ok(),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    Ok((status, retry, start.elapsed().as_secs_f64()))
}

/// What a server can do, measured in slices that alternate with those of another server, so that
/// both see the same machine.
#[derive(Clone, Copy, Debug, Default)]
struct Speed {
    lists: usize,
    /// Time of the clock and processor time of the server, in seconds.
    seconds: f64,
    cpu_s: f64,
}

impl Speed {
    fn per_second(&self) -> f64 {
        self.lists as f64 / self.seconds
    }

    fn cpu_ms(&self) -> f64 {
        self.cpu_s * 1e3 / self.lists.max(1) as f64
    }

    fn add(&mut self, process: &Process, time: Duration) {
        let (start, cpu) = (Instant::now(), process.cpu_s());
        self.lists += load(process, time, CLOSED_LOOP, Duration::ZERO).served.len();
        self.seconds += start.elapsed().as_secs_f64();
        self.cpu_s += process.cpu_s() - cpu;
    }
}

/// Measures two servers in turns, each for `time`.
fn speeds(servers: [&Process; 2], time: Duration) -> [Speed; 2] {
    let mut speeds = [Speed::default(); 2];
    for turn in 0..SLICES {
        // The first of a pair alternates, too.
        for at in [turn % 2, (turn + 1) % 2] {
            speeds[at as usize].add(servers[at as usize], time / SLICES);
        }
    }
    speeds
}

/// The results of an overload.
#[derive(Debug)]
struct Soak {
    /// The server and one without an overload, before and after it.
    before: [Speed; 2],
    after: [Speed; 2],
    answers: Answers,
    /// Resident memory in KiB, after [`SETTLING`] and at the end.
    memory: [u64; 2],
}

impl Soak {
    /// Lists per second and processor time per list after the overload as a share of before, both
    /// relative to the other server.
    fn changes(&self) -> [f64; 2] {
        let relative = |[server, other]: &[Speed; 2]| {
            [server.per_second() / other.per_second(), server.cpu_ms() / other.cpu_ms()]
        };
        let (before, after) = (relative(&self.before), relative(&self.after));
        [after[0] / before[0], after[1] / before[1]]
    }
}

fn soak(time: Duration, measuring: Duration) -> Soak {
    let folders = [Folder::new(), Folder::new()];
    let [mut process, mut other] = folders
        .each_ref()
        .map(|folder| Process::start_with(folder.root.path(), &mut folder.command()).ready());
    // The first lists are slower.
    speeds([&process, &other], measuring / 4);
    let before = speeds([&process, &other], measuring);
    let capacity = before[0].per_second().max(1.0);
    let pause = Duration::from_secs_f64(CONNECTIONS as f64 / (OVERLOAD * capacity));
    let mut first = 0;
    let answers = thread::scope(|scope| {
        let answers = scope.spawn(|| load(&process, time, CONNECTIONS, pause));
        thread::sleep(SETTLING.min(time / 2));
        first = process.resident_kib();
        answers.join().unwrap()
    });
    let last = process.resident_kib();
    thread::sleep(RECOVERY);
    let after = speeds([&process, &other], measuring);
    assert_eq!(process.stop_with("-TERM").code(), Some(0));
    assert_eq!(other.stop_with("-TERM").code(), Some(0));
    Soak { before, after, answers, memory: [first, last] }
}

/// Checks what holds on any machine: the kinds of answers, hints to retry, memory.
fn check(soak: &Soak) {
    let Soak { answers, memory: [first, last], .. } = soak;
    assert!(answers.wrong.is_empty(), "{:?}", &answers.wrong[..answers.wrong.len().min(10)]);
    assert!(!answers.served.is_empty() && !answers.refused.is_empty(), "there was no overload");
    let is_fitting =
        |retry: &Option<u64>| retry.is_some_and(|s| (1..=DEADLINE.as_secs()).contains(&s));
    assert!(answers.refused.iter().all(is_fitting), "a refusal without a fitting Retry-After");
    assert!(*last < first + first / 10 + 8 * 1024, "memory grew from {first} to {last} KiB");
}

#[test]
fn an_overload_is_refused_with_hints_and_without_growing() {
    check(&soak(Duration::from_secs(5), Duration::from_secs(1)));
}

/// The criteria for the long run, which also look at times: `cargo xtask soak`.
#[test]
#[ignore = "takes minutes, and its times depend on the machine"]
fn soak_for_minutes() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(300));
    let mut soak = soak(time, Duration::from_secs(10));
    let [speed, cpu] = soak.changes();
    let Soak { before, after, answers, memory: [first, last] } = &mut soak;
    answers.served.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        answers.served[(answers.served.len() * percent / 100).min(answers.served.len() - 1)]
    };
    let offered = answers.served.len() + answers.refused.len() + answers.wrong.len();
    let retry = answers.refused.iter().flatten();
    println!(
        "soak: {} s, {:.1} requests/s offered | {} served, p50 {:.0} ms, p99 {:.0} ms | {} refused, \
         Retry-After {} to {} s | {} other answers | memory {first} to {last} KiB",
        time.as_secs(),
        offered as f64 / time.as_secs_f64(),
        answers.served.len(),
        at(50) * 1e3,
        at(99) * 1e3,
        answers.refused.len(),
        retry.clone().min().unwrap_or(&0),
        retry.max().unwrap_or(&0),
        answers.wrong.len(),
    );
    for (name, [server, other]) in [("before", *before), ("after", *after)] {
        println!(
            "soak, {name}: {:.1} lists/s with {:.2} ms of processor time each | a server without \
             overload: {:.1} lists/s, {:.2} ms",
            server.per_second(),
            server.cpu_ms(),
            other.per_second(),
            other.cpu_ms(),
        );
    }
    println!("soak, change beside the other server: speed × {speed:.3}, processor time × {cpu:.3}");
    let p99 = at(99);
    check(&soak);
    assert!(p99 < DEADLINE.as_secs_f64(), "p99 of the lists is {p99} s");
    assert!(speed > 0.8, "the speed after the overload is {speed:.2} of that before");
    assert!(cpu < 1.2, "a list takes {cpu:.2} times the processor time after the overload");
}
