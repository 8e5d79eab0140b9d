//! Recall of the search in cells against bytes loaded, along real user histories:
//!
//! `cargo run --release -p tandem-training --example cells_recall -- SRM DATA ITEMS NOISE BITS
//! PROBES CELL_BYTES…`
//!
//! `BITS` is the precision of the rows in cells, 5 or 8, and `PROBES` and `CELL_BYTES` are
//! settings of the cells (`CellsConfig`). `SRM` is a trained small model and `DATA` its dataset folder. The catalogue is enlarged to
//! `ITEMS` by noisy copies: each value of a row is multiplied by `1 + NOISE·ε` with `ε` from
//! `N(0, 1)`. Queries are the states of users after each of their newest clicks. The index is
//! trained on queries of other users.
//!
//! At the first click the measurement loads the index and the nearest cells within a number of
//! bytes (`first_limit`); at each later click those of the nearest `later_cells` that it lacks. A
//! device first loads the nearest four, or 192 KB of cells, then those of the nearest two, or of
//! 64 KB, that it lacks. Recall is the share of the true ten best items that are in loaded cells; `found` is the share that the
//! search of these cells has among its own ten best, which the precision of their rows limits.
//! One line of JSON per measurement.

use std::{collections::HashSet, error::Error, path::Path};

use futures_lite::future::block_on;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use serde_json::json;
use tandem_dataset::{Dataset, ItemIndex};
use tandem_model::{
    Checkpoint, ItemTable, PersonalDelta, Scorer,
    cells::{Cell, CellId},
    search::Search,
};
use tandem_protocol::ItemId;
use tandem_training::cells::{CellRows, Cells, CellsConfig, build_cells};

/// Clicks of a session that are measured.
const CLICKS: usize = 5;
/// Sessions that are measured.
const SESSIONS: usize = 200;
/// Users whose queries the index is trained on.
const QUERIES: usize = 6_000;
/// Bytes of the index and the cells at the first click.
const FIRST_BYTES: [usize; 3] = [250_000, 350_000, 500_000];
/// Number of nearest cells that a later click needs.
const LATER_CELLS: [usize; 4] = [1, 2, 3, 4];
/// Items whose recall is measured.
const BEST: usize = 10;

type Failure = Box<dyn Error + Send + Sync>;

/// A user's queries, one per click, each with the positions of its true best items.
type Session = Vec<(Vec<f32>, Vec<usize>)>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [srm, data, items, noise, bits, probes, sizes @ ..] = &arguments[..] else {
        return Err(
            "expected SRM DATA ITEMS NOISE BITS PROBES CELL_BYTES…, see the top of the file".into(),
        );
    };
    let dataset = Dataset::load(Path::new(data))?;
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(srm)?)?;
    let encoder = Encoder {
        scorer: Scorer::new(&checkpoint.config, &checkpoint.body)?,
        rows: checkpoint.items.values()?,
    };
    let dims = checkpoint.items.dims();
    let table = enlarged(&encoder.rows, dims, items.parse()?, noise.parse()?)?;
    let ids: Vec<ItemId> = (0..table.len()).map(|at| at.to_string().as_str().into()).collect();

    let long = dataset.sequences.iter().filter(|sequence| sequence.items.len() > CLICKS + 2);
    let others = dataset.sequences.iter().filter(|sequence| sequence.items.len() <= CLICKS + 2);
    let queries = others.take(QUERIES).map(|sequence| encoder.query(&sequence.items));
    let queries = queries.collect::<Result<Vec<_>, _>>()?.concat();
    let sessions = long
        .take(SESSIONS)
        .map(|sequence| {
            let start = sequence.items.len() - CLICKS;
            (start..sequence.items.len())
                .map(|end| {
                    let query = encoder.query(&sequence.items[..end])?;
                    let best = table.top_k(&query, BEST, |_| true)?;
                    Ok((query, best.into_iter().map(|hit| hit.position).collect()))
                })
                .collect()
        })
        .collect::<Result<Vec<Session>, Failure>>()?;
    for size in sizes {
        let config = CellsConfig {
            max_bytes: size.parse()?,
            probes: probes.parse()?,
            rows: if bits == "5" { CellRows::FiveBits } else { CellRows::EightBits },
            ..CellsConfig::default()
        };
        let cells = build_cells(&ids, &table, &queries, &config)?;
        let opened = cells.files.iter().map(|file| Cell::from_bytes(file));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        for first_bytes in FIRST_BYTES {
            for later_cells in LATER_CELLS {
                let curve = measure(&cells, &opened, &sessions, first_bytes, later_cells)?;
                println!(
                    "{}",
                    json!({
                        "items": table.len(),
                        "bits": bits,
                        "probes": config.probes,
                        "cell_bytes": config.max_bytes,
                        "cells": cells.files.len(),
                        "index_bytes": cells.index.to_bytes().len(),
                        "first_limit": first_bytes,
                        "later_cells": later_cells,
                        "first_bytes": curve.first_bytes.round(),
                        "first_recall": curve.first_recall,
                        "first_found": curve.first_found,
                        "later_bytes": curve.later_bytes.round(),
                        "later_recall": curve.later_recall,
                        "later_found": curve.later_found,
                    })
                );
            }
        }
    }
    Ok(())
}

/// Makes search queries of histories, as a device does that has learnt nothing.
struct Encoder {
    scorer: Scorer,
    rows: Vec<f32>, // [items, dims]
}

impl Encoder {
    fn query(&self, history: &[ItemIndex]) -> Result<Vec<f32>, Failure> {
        let dims = self.scorer.config().dims;
        let rows: Vec<f32> = history
            .iter()
            .flat_map(|item| &self.rows[item.position() * dims..][..dims])
            .copied()
            .collect();
        let delta = PersonalDelta::<u32>::new("", dims, 1);
        Ok(self.scorer.search_query(block_on(self.scorer.encode(&rows))?.user(), &delta))
    }
}

/// The rows themselves, then noisy copies of them in turn.
fn enlarged(rows: &[f32], dims: usize, items: usize, noise: f32) -> Result<ItemTable, Failure> {
    let count = rows.len() / dims;
    let copies: Vec<f32> = (0..items)
        .into_par_iter()
        .flat_map_iter(|at| {
            let mut rng = StdRng::seed_from_u64(at as u64);
            let noise = if at < count { 0.0 } else { noise };
            rows[at % count * dims..][..dims]
                .iter()
                .map(move |value| value * (1.0 + noise * normal(&mut rng)))
                .collect::<Vec<_>>()
        })
        .collect();
    Ok(ItemTable::quantise(&copies, dims)?)
}

/// `N(0, 1)` by Box & Muller 1958.
fn normal(rng: &mut StdRng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}

/// Means over the sessions, or over their later clicks.
#[derive(Default)]
struct Curve {
    first_bytes: f64,
    first_recall: f64,
    first_found: f64,
    later_bytes: f64,
    later_recall: f64,
    later_found: f64,
}

fn measure(
    cells: &Cells,
    opened: &[Cell],
    sessions: &[Session],
    first_bytes: usize,
    later_cells: usize,
) -> Result<Curve, Failure> {
    let count = cells.items.iter().map(Vec::len).sum();
    let mut cell_of = vec![CellId(0); count];
    for (cell, items) in (0..).zip(&cells.items) {
        for &item in items {
            cell_of[item as usize] = CellId(cell);
        }
    }
    let size = |cell: CellId| cells.files[cell.0 as usize].len();
    let index_bytes = cells.index.to_bytes().len();
    let mut curve = Curve::default();
    let later = (sessions.len() * (CLICKS - 1)) as f64;
    for session in sessions {
        let mut loaded = HashSet::new();
        for (click, (query, best)) in session.iter().enumerate() {
            let mut bytes = 0;
            if click == 0 {
                bytes = index_bytes;
                for cell in cells.index.nearest(query, 64)? {
                    if loaded.is_empty() || bytes + size(cell) <= first_bytes {
                        bytes += size(cell);
                        loaded.insert(cell);
                    }
                }
            } else {
                for cell in cells.index.nearest(query, later_cells)? {
                    if loaded.insert(cell) {
                        bytes += size(cell);
                    }
                }
            }
            let found = best.iter().filter(|&&item| loaded.contains(&cell_of[item])).count();
            let recall = found as f64 / best.len() as f64;
            let found = found_by_search(cells, opened, &loaded, query, best)?;
            if click == 0 {
                curve.first_bytes += bytes as f64 / sessions.len() as f64;
                curve.first_recall += recall / sessions.len() as f64;
                curve.first_found += found / sessions.len() as f64;
            } else {
                curve.later_bytes += bytes as f64 / later;
                curve.later_recall += recall / later;
                curve.later_found += found / later;
            }
        }
    }
    Ok(curve)
}

/// Share of the best items that a search of the loaded cells has among its own best.
fn found_by_search(
    cells: &Cells,
    opened: &[Cell],
    loaded: &HashSet<CellId>,
    query: &[f32],
    best: &[usize],
) -> Result<f64, Failure> {
    let loaded: Vec<usize> = loaded.iter().map(|cell| cell.0 as usize).collect();
    let mut search = Search::new(query, BEST)?;
    for &cell in &loaded {
        search.scan(opened[cell].rows(), |_| true)?;
    }
    let hits = search.finish();
    let items = hits.iter().map(|hit| cells.items[loaded[hit.table]][hit.position] as usize);
    Ok(items.filter(|item| best.contains(item)).count() as f64 / best.len() as f64)
}
