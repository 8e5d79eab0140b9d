//! Prints the median duration of encoding a history of 30 items and of one more click, for each
//! model of 64 dimensions with two blocks:
//! `cargo run --release -p tandem-model --example encode_speed`.

use std::{collections::HashMap, hint::black_box, time::Instant};

use futures_lite::future::block_on;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_model::{Body, Device, ModelError, Scorer};
use tandem_protocol::{ModelConfig, ModelKind};

const DIMS: usize = 64;
const LENGTH: usize = 30;
const RUNS: usize = 501;

fn main() -> Result<(), ModelError> {
    let device = Device::flex();
    let mut rng = StdRng::seed_from_u64(1);
    let history: Vec<f32> = (0..LENGTH * DIMS).map(|_| rng.random_range(-0.3_f32..0.3)).collect();
    let (earlier, newest) = history.split_at((LENGTH - 1) * DIMS);
    for kind in [ModelKind::Sasrec, ModelKind::Gru4rec] {
        let config = ModelConfig { kind, dims: DIMS, blocks: 2, heads: 1, max_length: 50 };
        let weights = Body::new(&config, 0.0, &device)?.to_bytes(&HashMap::new())?;
        let scorer = Scorer::new(&config, &weights)?;
        let before = block_on(scorer.encode(earlier))?;
        let whole = median(|| block_on(scorer.encode(&history)).map(|_| ()))?;
        let click = median(|| block_on(scorer.encode_next(&before, newest)).map(|_| ()))?;
        println!("{kind:?}: {LENGTH} items {whole:.0} µs, one more click {click:.0} µs");
    }
    Ok(())
}

/// Median duration in microseconds.
fn median(mut run: impl FnMut() -> Result<(), ModelError>) -> Result<f64, ModelError> {
    let mut microseconds = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        black_box(run()?);
        microseconds.push(start.elapsed().as_secs_f64() * 1e6);
    }
    microseconds.sort_by(f64::total_cmp);
    Ok(microseconds[RUNS / 2])
}
