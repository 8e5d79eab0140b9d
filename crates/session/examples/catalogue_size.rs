//! Cost of a click on the device: a whole table of 20,000 rows, and cells of 1,000,000 rows.
//!
//! `cargo run --release -p tandem-session --example catalogue_size` with the features that
//! `xtask` builds with. Synthetic rows, 64 dimensions, in clusters; SASRec with two blocks and
//! random weights; lists of 50; one thread. Times are medians over the clicks, in
//! microseconds. "rank" encodes the click, searches, fuses and decides with a learnt rule.

#![allow(clippy::unwrap_used, reason = "an example")]

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_lite::future::block_on;
use tandem_collaboration::{Policy, Trigger, UpliftModel};
use tandem_model::{
    Body, Device, ItemTable, QuantisedRow, Scorer,
    cells::{Cell, CellEntry, CellId, CellIndex},
};
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, ItemRow, ModelConfig,
    ModelKind, Ranking, RowsResponse, Timings,
};
use tandem_session::{Connection, DEFAULT_CELL_MEMORY, RowStore, Session, Settings, encode_row};

const DIMS: usize = 64;
const CLICKS: usize = 200;
/// Items of a cell: about 64 KB.
const PER_CELL: usize = 800;

fn main() {
    println!(
        "| items | search | rank, µs | learn, µs | cells accepted a click | of it, µs | rows here | memory of cells, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let table = whole(20_000);
    for (search, k) in [("none", 0), ("whole", 100)] {
        Run::new(table.clone(), 20_000, k).report(20_000, search);
    }
    let (index, files) = cells(1_000_000);
    let store = RowStore::with_cells(index, DEFAULT_CELL_MEMORY);
    let mut run = Run::new(store, 1_000_000, 100);
    run.files = files;
    run.report(1_000_000, "cells");
}

/// Pseudo-random numbers between -1 and 1.
struct Noise(u32);

impl Noise {
    fn row(&mut self) -> [f32; DIMS] {
        std::array::from_fn(|_| {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
        })
    }
}

/// The rows of a cluster, `[items, DIMS]`, and its centre.
fn cluster(items: usize, noise: &mut Noise) -> (Vec<f32>, [f32; DIMS]) {
    let centre = noise.row();
    let rows = (0..items).flat_map(|_| {
        let own = noise.row();
        std::array::from_fn::<f32, DIMS, _>(|dim| 0.5 * centre[dim] + 0.5 * own[dim])
    });
    (rows.collect(), centre)
}

fn whole(items: usize) -> RowStore {
    let mut noise = Noise(7);
    let rows: Vec<f32> =
        (0..items / PER_CELL).flat_map(|_| cluster(PER_CELL, &mut noise).0).collect();
    let table = ItemTable::quantise(&rows, DIMS).unwrap();
    RowStore::whole(table, (0..items).map(id)).unwrap()
}

fn cells(items: usize) -> (CellIndex, Vec<Vec<u8>>) {
    let mut noise = Noise(7);
    let cell = |number: usize| {
        let (rows, centre) = cluster(PER_CELL, &mut noise);
        let ids = (number * PER_CELL..(number + 1) * PER_CELL).map(id).collect();
        let file = Cell::new(ids, ItemTable::quantise(&rows, DIMS).unwrap()).unwrap().to_bytes();
        let centroid = QuantisedRow::quantise(&centre.map(|value| 0.5 * value)).unwrap();
        (CellEntry::new(centroid, PER_CELL as u32, &file), file)
    };
    let (entries, files) = (0..items / PER_CELL).map(cell).unzip();
    (CellIndex::new(DIMS, entries).unwrap(), files)
}

fn id(item: usize) -> ItemId {
    ItemId::new(format!("sku-{item}"))
}

struct Run {
    session: Session,
    items: usize,
    /// Cells by number; empty with a whole table.
    files: Vec<Vec<u8>>,
}

impl Run {
    fn new(rows: RowStore, items: usize, search_k: usize) -> Self {
        let config = ModelConfig {
            kind: ModelKind::Sasrec,
            dims: DIMS,
            blocks: 2,
            heads: 2,
            max_length: 50,
        };
        let device = Device::flex();
        device.seed(7);
        let body = Body::new(&config, 0.0, &device).unwrap().to_bytes(&HashMap::new()).unwrap();
        let trigger = Trigger::Uplift { threshold: 1.0, model: UpliftModel::default() };
        let settings = Settings { policy: Policy::bare(trigger), search_k, ..Settings::default() };
        let scorer = Scorer::new(&config, &body).unwrap();
        let session = Session::new(scorer, rows, settings).unwrap();
        Self { session, items, files: Vec::new() }
    }

    /// Plays a session and prints a row of the table.
    fn report(mut self, items: usize, search: &str) {
        self.begin();
        let (mut ranking, mut learning, mut accepting) = (Vec::new(), Vec::new(), Vec::new());
        let mut accepted = 0;
        for at in 100..100 + CLICKS {
            self.click(at);
            let started = Instant::now();
            let ranked = block_on(self.session.rank()).unwrap();
            let _ = self.session.decide(&ranked, Connection::default(), 0.0);
            ranking.push(started.elapsed());
            self.session.record_shown(&ranked);
            let wanted = self.session.next_cells();
            for cell in wanted.unwrap() {
                let started = Instant::now();
                self.accept(cell);
                accepting.push(started.elapsed());
                accepted += 1;
            }
            let started = Instant::now();
            block_on(self.session.learn()).unwrap().unwrap();
            learning.push(started.elapsed());
        }
        let (held, memory) = self.session.cell_usage();
        let rows = if self.files.is_empty() { items } else { held * PER_CELL };
        println!(
            "| {items} | {search} | {} | {} | {:.2} | {} | {rows} | {:.1} |",
            median(&mut ranking),
            median(&mut learning),
            f64::from(accepted) / CLICKS as f64,
            median(&mut accepting),
            memory as f64 / 1e6,
        );
    }

    /// A history of 50 items and a list of 50.
    fn begin(&mut self) {
        let history: Vec<ItemId> = (0..50).map(|at| id(self.item(at))).collect();
        self.session.prepend_history(history);
        self.accept_missing_rows(0..50);
        let (_, ticket) = self.session.begin_request(None, 0.0);
        let candidates = (50..100)
            .map(|at| Candidate {
                item: id(self.item(at)),
                logprob: -(at as f32) / 10.0,
                row: self.row(at).map(|row| row.row),
                explanation: None,
            })
            .collect();
        let response = CandidatesResponse {
            model: "synthetic".into(),
            catalogue_hash: String::new(),
            ranking: Ranking::LanguageModel,
            candidates,
            total: None,
            history_rows: Vec::new(),
            ignored: Ignored::default(),
            timings: Timings::default(),
        };
        self.session.accept(ticket, response, 0.0).unwrap();
    }

    fn click(&mut self, at: usize) {
        self.session.track(&Event { kind: EventKind::Click, item: id(self.item(at)) });
        self.accept_missing_rows(at..at + 1);
    }

    /// Answers a request for the rows of these clicks that are not here.
    fn accept_missing_rows(&mut self, clicks: std::ops::Range<usize>) {
        let missing = self.session.missing_rows();
        if !missing.is_empty() {
            let rows = clicks.filter_map(|at| self.row(at)).collect();
            let response = RowsResponse { rows, ..RowsResponse::default() };
            self.session.accept_rows(&missing, &response).unwrap();
        }
    }

    /// Clicks that stay in few clusters, as a visitor's do.
    fn item(&self, at: usize) -> usize {
        let clusters = self.items / PER_CELL;
        (at / 20 * 7 % clusters) * PER_CELL + at * 13 % PER_CELL
    }

    /// The row of an item as the server sends it; `None` with a whole table, which has it.
    fn row(&self, at: usize) -> Option<ItemRow> {
        let item = self.item(at);
        let cell = Cell::from_bytes(self.files.get(item / PER_CELL)?).unwrap();
        let row = cell.rows().row(item % PER_CELL).unwrap().unwrap();
        Some(encode_row(id(item), &row))
    }

    fn accept(&mut self, cell: CellId) {
        self.session.accept_cell(cell, &self.files[cell.0 as usize]).unwrap();
    }
}

/// Median in microseconds; 0 for none.
fn median(times: &mut [Duration]) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, Duration::as_micros)
}
