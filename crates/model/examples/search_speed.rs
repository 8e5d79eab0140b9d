//! Prints the median duration of a search for the best 100 rows of 64 dimensions:
//! `cargo run --release -p tandem-model --example search_speed`.

use std::{hint::black_box, time::Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_model::{ItemTable, ModelError};

const DIMS: usize = 64;
const K: usize = 100;
const RUNS: usize = 51;

fn main() -> Result<(), ModelError> {
    let mut rng = StdRng::seed_from_u64(1);
    // The sum of three uniform numbers is close to normally distributed.
    let mut value = move || (0..3).map(|_| rng.random_range(-1.0_f32..1.0)).sum::<f32>();
    for items in [12_000, 200_000, 1_000_000] {
        let rows: Vec<f32> = (0..items * DIMS).map(|_| value()).collect();
        let table = ItemTable::quantise(&rows, DIMS)?;
        let mut microseconds = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let query: Vec<f32> = (0..DIMS).map(|_| value()).collect();
            let start = Instant::now();
            black_box(table.top_k(&query, K, |_| true)?);
            microseconds.push(start.elapsed().as_secs_f64() * 1e6);
        }
        microseconds.sort_by(f64::total_cmp);
        println!("{items:>9} rows: median {:>8.0} µs", microseconds[RUNS / 2]);
    }
    Ok(())
}
