//! What many items cost a server: time of the start, memory, and times of lists with filters.
//!
//! `items [--server FILE] [--items 10000,100000] [--storage URL]`
//!
//! Makes a catalogue with a language model of item tokens (random weights) in a temporary folder
//! and starts the server on it: without a storage, with an empty file of SQLite, and again with the
//! file that then has the catalogue. At the end the server gets as many items again that the catalogue
//! lacks. `--storage` is an empty database of PostgreSQL to use instead of the file, with one number
//! of items. Times are of requests from the same machine, medians of 100.
//! Lists during a change of all items are of one client that sends one request after the other.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence, files::sha256_hex};
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    testing::random_item_tokens,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Dimensions of the rows of the small model.
const DIMS: usize = 64;
const REQUESTS: usize = 100;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let found = arguments.windows(2).find(|pair| pair[0] == name);
        found.map(|pair| pair[1].clone())
    };
    let server = match value("--server") {
        Some(path) => PathBuf::from(path),
        // Beside the folder of the examples.
        None => std::env::current_exe()?
            .parent()
            .and_then(Path::parent)
            .ok_or("give the server with --server")?
            .join("cloud-server"),
    };
    for items in value("--items").unwrap_or_else(|| "10000,100000".to_owned()).split(',') {
        let items = items.parse()?;
        println!("\n{items} items");
        let folder = tempfile::tempdir()?;
        write_release(folder.path(), items)?;
        let storage = value("--storage")
            .unwrap_or_else(|| format!("sqlite:{}", folder.path().join("shop.db").display()));
        measure(&server, folder.path(), items, &storage)?;
    }
    Ok(())
}

fn catalogue(items: usize) -> Result<Catalogue, Failure> {
    let item = |number: usize| Item {
        title: format!("Product {number} of the brand {}", number % 500),
        genres: vec![format!("Category {}", number % 200), format!("Group {}", number % 20)],
        brand: format!("Brand {}", number % 500),
        description: format!("A product for tests, made of {} parts. ", number % 97).repeat(4),
        count: (number % 1_000) as u32,
        ..Item::untitled(format!("sku-{number}").as_str().into())
    };
    Ok(Catalogue::new((0..items).map(item).collect())?)
}

/// Writes dataset, language model and artefacts.
fn write_release(folder: &Path, items: usize) -> Result<(), Failure> {
    let catalogue = catalogue(items)?;
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(DIMS, 2, 2, 50) };
    let model = random_item_tokens(&catalogue, shape, true, 5);
    model.write(&folder.join("model.gguf"), Encoding::F16)?;
    let mut rows = [items as u32, DIMS as u32].map(u32::to_le_bytes).concat();
    for number in 0..items {
        rows.extend(0.01_f32.to_le_bytes());
        rows.extend((0..DIMS).map(|dim| (number * (dim + 3) % 251) as u8));
    }
    let files = [("body", b"weights".to_vec()), ("rows", rows), ("items", b"[]".to_vec())];
    let artifact = |at: usize| {
        let (path, bytes) = &files[at];
        json!({ "path": path, "sha256": sha256_hex(bytes), "bytes": bytes.len() })
    };
    let manifest = serde_json::to_vec(&json!({
        "version": 1,
        "catalogue": { "hash": catalogue.hash(), "items": items },
        "model": { "kind": "sasrec", "dims": DIMS, "blocks": 1, "heads": 1, "max_length": 50 },
        "body": artifact(0), "rows": artifact(1), "items": artifact(2),
        "fusion": { "alpha": 0.5 }, "policy": {}, "learning": {},
    }))?;
    let hash = sha256_hex(&manifest)[..16].to_owned();
    let release = folder.join("artifacts").join(&hash);
    fs::create_dir_all(&release)?;
    for (name, bytes) in &files {
        fs::write(release.join(name), bytes)?;
    }
    fs::write(release.join("manifest.json"), manifest)?;
    fs::write(folder.join("artifacts").join("current"), hash)?;
    let items = (0..3).map(ItemIndex).collect();
    let sequence = Sequence { user: "1".to_owned(), items, times: None };
    Dataset::new("products", catalogue, vec![sequence], None)?.save(&folder.join("data"))?;
    Ok(())
}

fn measure(server: &Path, folder: &Path, items: usize, storage: &str) -> Result<(), Failure> {
    println!("start | s | MiB");
    let started = Server::start(server, folder, "without a storage", None)?;
    let without = started.resident_kib();
    drop(started);
    let storage = Some(storage);
    drop(Server::start(server, folder, "empty storage: the catalogue is copied", storage)?);
    let server = Server::start(server, folder, "storage with the catalogue", storage)?;
    println!("bytes of memory for each item, with the storage | {}", {
        server.resident_kib().saturating_sub(without) * 1024 / items as u64
    });
    let prices = |more: usize| {
        (0..items).map(move |number| {
        let colour = ["red", "blue", "green", "black"][number % 4];
        json!({ "id": format!("sku-{number}"), "title": format!("Product {number}"),
                "categories": [format!("Category {}", number % 200), format!("Group {}", number % 20)],
                "brand": format!("Brand {}", number % 500), "price": number % 100 + more,
                "attributes": { "colour": colour } })
        .to_string()
            + "\n"
    })
    };
    let start = Instant::now();
    server.send("POST", "/v1/items", "application/x-ndjson", &prices(0).collect::<String>())?;
    println!("items with prices and colours, s | {:.2}", start.elapsed().as_secs_f64());

    println!("request | ms");
    let history: Vec<String> =
        (0..20).map(|number| format!("sku-{}", number * 7 % items)).collect();
    let list = |filter: serde_json::Value| {
        let body = json!({ "history": history, "k": 50, "filter": filter }).to_string();
        ("POST", "/v1/candidates", body)
    };
    let requests = [
        ("list", list(json!(null))),
        ("list, one category", list(json!({ "categories": ["Category 7"] }))),
        (
            "list, 10 groups of 20",
            list(json!({ "categories":
            (0..10).map(|group| format!("Group {group}")).collect::<Vec<_>>() })),
        ),
        ("list, half of the prices", list(json!({ "price": { "max": 49 } }))),
        (
            "list, all conditions",
            list(json!({ "categories": ["Group 3", "Group 4"],
            "brands": ["Brand 3", "Brand 4", "Brand 24"], "price": { "min": 2, "max": 60 },
            "attributes": { "colour": ["red", "black"] } })),
        ),
        ("popular", ("GET", "/v1/items/popular", String::new())),
        ("similar", ("GET", "/v1/items/sku-5/similar", String::new())),
    ];
    for (name, (method, path, body)) in &requests {
        println!("{name} | {:.2}", server.median(method, path, body)?);
    }
    println!("lists | number | median, ms | 99 %, ms | slowest, ms");
    let one = requests[0].1.2.as_str();
    let is_over = AtomicBool::new(false);
    let quiet = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(5));
            is_over.store(true, Ordering::Relaxed);
        });
        server.latencies(one, &is_over)
    })?;
    println!("quiet | {quiet}");
    let cheaper = prices(1).collect::<String>();
    let told = |available: bool| {
        let line = |number| format!("{{\"id\":\"sku-{number}\",\"available\":{available}}}\n");
        (0..items).map(line).collect::<String>()
    };
    for (name, method, path, body) in [
        ("new prices of all items", "POST", "/v1/items", cheaper),
        ("every item sold out", "PUT", "/v1/availability", told(false)),
        ("every item in stock", "PUT", "/v1/availability", told(true)),
    ] {
        let is_over = AtomicBool::new(false);
        let start = Instant::now();
        let (seconds, during) = thread::scope(|scope| {
            let write = scope.spawn(|| {
                let sent = server.send(method, path, "application/x-ndjson", &body);
                is_over.store(true, Ordering::Relaxed);
                sent.map(|()| start.elapsed().as_secs_f64())
            });
            let during = server.latencies(one, &is_over)?;
            let seconds = write.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<_, Failure>((seconds, during))
        })?;
        println!("{name}, {seconds:.2} s | {during}");
    }
    for available in [false, true] {
        let lines = (0..items).map(|number| {
            json!({ "id": format!("sku-{number}"), "available": available }).to_string() + "\n"
        });
        let lines = lines.collect::<String>();
        let start = Instant::now();
        server.send("PUT", "/v1/availability", "application/x-ndjson", &lines)?;
        println!("all items available: {available}, s | {:.2}", start.elapsed().as_secs_f64());
    }
    server.add_items(items)
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a server and waits until it makes lists.
    fn start(
        program: &Path,
        folder: &Path,
        name: &str,
        storage: Option<&str>,
    ) -> Result<Self, Failure> {
        let port_file = folder.join("port");
        let mut command = Command::new(program);
        command.args(["--port", "0", "--port-file"]).arg(&port_file).env("RUST_LOG", "warn");
        command.arg("--data").arg(folder.join("data")).stdin(Stdio::null());
        command.arg("--artifacts").arg(folder.join("artifacts"));
        command.arg("--gguf").arg(folder.join("model.gguf"));
        if let Some(storage) = storage {
            command.env("TANDEM_STORAGE", storage);
        }
        let start = Instant::now();
        let mut server = Self { child: command.spawn()?, port: 0 };
        while server.port == 0 {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended with {status}").into());
            }
            thread::sleep(Duration::from_millis(5));
            server.port = fs::read_to_string(&port_file)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0);
        }
        fs::remove_file(port_file)?;
        while server.send("GET", "/readyz", "text/plain", "").is_err() {
            thread::sleep(Duration::from_millis(5));
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{name} | {seconds:.2} | {}", server.resident_kib() / 1024);
        Ok(server)
    }

    /// Stores items that the catalogue lacks and waits until a filter finds all of them, so that lists
    /// may have them.
    fn add_items(&self, items: usize) -> Result<(), Failure> {
        let line = |number| {
            json!({ "id": format!("new-{number}"), "title": format!("New product {number}"),
                    "categories": ["New"], "description": "A product for tests. ".repeat(8) })
            .to_string()
                + "\n"
        };
        let lines: String = (0..items).map(line).collect();
        let start = Instant::now();
        self.send("POST", "/v1/items", "application/x-ndjson", &lines)?;
        let stored = start.elapsed().as_secs_f64();
        let body =
            json!({ "history": [], "k": 1, "filter": { "categories": ["New"] } }).to_string();
        loop {
            let answer = self.ask("POST", "/v1/candidates", "application/json", &body)?;
            let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
            let list: serde_json::Value = serde_json::from_str(body)?;
            if list["total"].as_u64() == Some(items as u64) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let known = start.elapsed().as_secs_f64();
        println!(
            "as many new items: stored after, known to lists after, s | {stored:.2} | {known:.2}"
        );
        Ok(())
    }

    /// Resident memory in KiB; 0 where the system does not tell.
    fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// Median time of a request in milliseconds.
    fn median(&self, method: &str, path: &str, body: &str) -> Result<f64, Failure> {
        let mut times = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let start = Instant::now();
            self.send(method, path, "application/json", body)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[REQUESTS / 2])
    }

    /// Sends one request for a list after the other until `is_over`.
    fn latencies(&self, body: &str, is_over: &AtomicBool) -> Result<String, Failure> {
        let mut times = Vec::new();
        while !is_over.load(Ordering::Relaxed) || times.is_empty() {
            let start = Instant::now();
            self.send("POST", "/v1/candidates", "application/json", body)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let count = times.len();
        Ok(format!("{count} | {:.1} | {:.1} | {:.1}", at(50), at(99), at(100)))
    }

    fn send(&self, method: &str, path: &str, media_type: &str, body: &str) -> Result<(), Failure> {
        self.ask(method, path, media_type, body).map(drop)
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: &str,
    ) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(answer.into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
