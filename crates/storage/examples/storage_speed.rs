//! Speed of a storage: items and durable events per second, and the time of changes to many items.
//!
//! `storage_speed [--storage URL] [--items 100000] [--events 20000] [--writers 1,16,64]`
//!
//! The storage must be empty; by default it is a file of SQLite in a temporary folder. Each event
//! is a request of its own, as from a page, and is on the disk when it is counted. Writers send the
//! next one when they have the answer.

use std::time::Instant;

use tandem_protocol::{ItemId, LoggedEvent};
use tandem_storage::{AttributeValue, ChangesRead, Location, NewItem, Storage};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Number of items in a transaction, as in the server.
const BATCH: usize = 5_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let found = arguments.windows(2).find(|pair| pair[0] == name);
        found.map(|pair| pair[1].clone())
    };
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let (items, events) = (number("--items", 100_000)?, number("--events", 20_000)?);
    let writers: Vec<usize> = value("--writers")
        .unwrap_or_else(|| "1,16,64".to_owned())
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    let location = match value("--storage") {
        Some(url) => url.parse()?,
        None => Location::Sqlite(folder.path().join("shop.db")),
    };
    let storage = Storage::open(&location)?;
    if storage.block_on(storage.sizes())?.items > 0 {
        return Err("expected an empty storage".into());
    }
    println!("storage | {location}");
    storage.block_on(measure_items(&storage, items))?;
    for writers in writers {
        let count = storage.block_on(append(&storage, events, writers))?;
        println!("durable events/s, {writers} writers | {count:.0}");
    }
    Ok(())
}

fn item(number: usize, price: f64) -> NewItem {
    let colour = ["red", "blue", "green", "black"][number % 4];
    NewItem {
        title: format!("Product {number} of the brand {}", number % 500),
        categories: vec![format!("Category {}", number % 200), format!("Group {}", number % 20)],
        brand: format!("Brand {}", number % 500),
        description: format!("A {colour} product for tests, made of {} parts. ", number % 97)
            .repeat(4),
        price: Some(price),
        attributes: [("colour".to_owned(), AttributeValue::Text(colour.to_owned()))].into(),
        ..NewItem::new(ItemId::new(format!("sku-{number}")))
    }
}

async fn measure_items(storage: &Storage, items: usize) -> Result<(), Failure> {
    let per_second = |start: Instant| items as f64 / start.elapsed().as_secs_f64();
    for (name, price) in [("new items/s", 5.0), ("changed items/s", 6.0), ("equal items/s", 6.0)] {
        let new: Vec<NewItem> = (0..items).map(|number| item(number, price)).collect();
        let start = Instant::now();
        for batch in new.chunks(BATCH) {
            storage.upsert_items(batch.to_vec()).await?;
        }
        println!("{name} | {:.0}", per_second(start));
    }
    let start = Instant::now();
    let (read, mut after) = changes(storage, ChangesRead::default()).await?;
    println!("read the fields of {read} items, s | {:.2}", start.elapsed().as_secs_f64());
    let ids = || (0..items).map(|number| ItemId::new(format!("sku-{number}")));
    for available in [false, true] {
        let told = ids().map(|id| (id, available)).collect();
        let start = Instant::now();
        storage.set_availability(told).await?;
        println!(
            "availability {available} of {items} items, s | {:.2}",
            start.elapsed().as_secs_f64()
        );
        let start = Instant::now();
        let read;
        (read, after) = changes(storage, after).await?;
        println!("read it of {read} items, s | {:.2}", start.elapsed().as_secs_f64());
    }
    let bytes = storage.sizes().await?.bytes;
    println!("bytes on the disk for each item | {}", bytes / items.max(1) as u64);
    Ok(())
}

/// Reads all changes after `after`, as a server does. Returns their number.
async fn changes(
    storage: &Storage,
    mut after: ChangesRead,
) -> Result<(usize, ChangesRead), Failure> {
    let mut read = 0;
    loop {
        let changes = storage.item_changes(after).await?;
        if changes.is_empty() {
            return Ok((read, changes.next));
        }
        (after, read) = (changes.next, read + changes.items.len() + changes.availability.len());
    }
}

/// Stores events one by one; returns their number per second.
async fn append(storage: &Storage, events: usize, writers: usize) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let storage = storage.clone();
        tasks.spawn(async move {
            for number in 0..events / writers {
                let event: LoggedEvent = serde_json::from_value(serde_json::json!({
                    "id": number.to_string(), "type": "click", "item": "sku-1",
                    "at": 1_700_000_000_000_u64,
                }))?;
                storage.append_events(&format!("s-{writers}-{writer}"), vec![event]).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok((events / writers * writers) as f64 / start.elapsed().as_secs_f64())
}
