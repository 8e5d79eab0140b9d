//! What a click costs on the device, with a catalogue of 10,000 and of 1,000,000 items.
//!
//! `cargo run --release -p tandem-session --example catalogue_size` with the features that
//! `xtask` builds with. Synthetic rows, 64 wide, the whole table on the device; SASRec with
//! two blocks and random weights; lists of 50; one thread. Medians over the clicks.

#![allow(clippy::unwrap_used, reason = "an example")]

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_lite::future::block_on;
use tandem_collaboration::{Fusion, Policy, Trigger, UpliftModel};
use tandem_model::{Body, Device, ItemTable, LearningConfig, QuantisedRow, Scorer};
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, ModelConfig, ModelKind,
    Ranking, Timings,
};
use tandem_session::{Connection, RowStore, Session, Settings};

const DIMS: usize = 64;
const CLICKS: usize = 200;

fn main() {
    println!("| items | rank, µs | with a learnt decision, µs | learn, µs |");
    println!("|---|---|---|---|");
    for items in [10_000, 1_000_000] {
        let rows = rows(items);
        let plain = click(&rows, items, Trigger::Disagreement);
        let model = UpliftModel::default();
        let learnt = click(&rows, items, Trigger::Uplift { threshold: 1.0, model });
        let micros = |time: Duration| time.as_micros();
        let (rank, decide, learn) = (micros(plain.0), micros(learnt.0), micros(plain.1));
        println!("| {items} | {rank} | {decide} | {learn} |");
    }
}

/// Rows that look random, in the layout of the artefact.
fn rows(items: usize) -> RowStore {
    let mut bytes = Vec::with_capacity(8 + items * (4 + DIMS));
    bytes.extend_from_slice(&(items as u32).to_le_bytes());
    bytes.extend_from_slice(&(DIMS as u32).to_le_bytes());
    let mut state = 7_u32;
    let mut row = [0.0; DIMS];
    for _ in 0..items {
        for value in &mut row {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 8) as f32 / 8_388_608.0 - 1.0;
        }
        QuantisedRow::quantise(&row).unwrap().write(&mut bytes);
    }
    let table = ItemTable::from_bytes(bytes).unwrap();
    RowStore::whole(table, (0..items).map(id)).unwrap()
}

fn id(item: usize) -> ItemId {
    ItemId::new(format!("sku-{item}"))
}

/// Median times of a ranking with its decision and of a learning step.
fn click(rows: &RowStore, items: usize, trigger: Trigger) -> (Duration, Duration) {
    let config =
        ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 2, heads: 2, max_length: 50 };
    let device = Device::flex();
    device.seed(7);
    let body = Body::new(&config, 0.0, &device).unwrap().to_bytes(&HashMap::new()).unwrap();
    let settings = Settings {
        fusion: Fusion::default(),
        policy: Policy::bare(trigger),
        learning: LearningConfig::default(),
        base: String::new(),
        catalogue_hash: String::new(),
        search_k: 0,
        popular: Vec::new(),
        repeats: false,
    };
    let scorer = Scorer::new(&config, &body, &device).unwrap();
    let mut session = Session::new(scorer, rows.clone(), settings).unwrap();
    let item = |at: usize| id((at * 7_919) % items);
    session.prepend_history((0..50).map(item));
    let (_, ticket) = session.begin_request(None, 0.0);
    let candidates = (50..100)
        .map(|at| Candidate { item: item(at), logprob: -(at as f32) / 10.0, row: None })
        .collect();
    let response = CandidatesResponse {
        model: "synthetic".into(),
        catalogue_hash: String::new(),
        ranking: Ranking::LanguageModel,
        candidates,
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: Timings::default(),
    };
    session.accept(ticket, response, 0.0).unwrap();

    let (mut ranking, mut learning) = (Vec::new(), Vec::new());
    for at in 100..100 + CLICKS {
        session.track(&Event { kind: EventKind::Click, item: item(at) });
        let started = Instant::now();
        let ranked = block_on(session.rank()).unwrap();
        let _ = session.decide(&ranked, Connection::default(), 0.0);
        ranking.push(started.elapsed());
        let started = Instant::now();
        block_on(session.learn()).unwrap().unwrap();
        learning.push(started.elapsed());
    }
    (median(ranking), median(learning))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
