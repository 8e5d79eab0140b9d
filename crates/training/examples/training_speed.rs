//! Speed and memory of training a decoder on synthetic histories:
//!
//! `cargo run --release -p tandem-training --example training_speed -- ITEMS DIMS BATCH LENGTH LOSS STEPS`
//!
//! with `LOSS` 0 for full softmax, else the number of negatives that are sampled. The last
//! line is one JSON object. A catalogue of a million items:
//! `training_speed 1000000 64 128 50 256 20`.

use std::{error::Error, fs, time::Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tandem_generator::item_tokens::DecoderConfig;
use tandem_model::Device;
use tandem_training::{Decoder, Objective, Rates, Trainer, TrainingConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [items, dims, batch, length, negatives, steps] = arguments[..] else {
        return Err("expected ITEMS DIMS BATCH LENGTH LOSS STEPS, see the top of the file".into());
    };
    let objective = match negatives {
        0 => Objective::FullSoftmax,
        negatives => Objective::SampledSoftmax { negatives },
    };
    let config = DecoderConfig::usual(dims, 2, 2, length);
    let mut trainer = Trainer::new(
        |device| Decoder::new(&config, 0.2, device),
        (items, dims),
        length,
        TrainingConfig { objective, ..TrainingConfig::default() },
        &Device::flex(),
    )?;
    // Values, two moments, and a counter a row.
    let table_mb = (items * (3 * dims + 1) * 4) as f64 / 1e6;
    eprintln!("table and optimiser {table_mb:.0} MB, peak so far {:.0} MB", peak_mb()?);

    let mut rng = StdRng::seed_from_u64(1);
    let mut seconds = Vec::with_capacity(steps);
    for number in 0..=steps {
        let histories: Vec<Vec<u32>> = (0..batch)
            .map(|_| (0..=length).map(|_| rng.random_range(0..items as u32)).collect())
            .collect();
        let windows: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        let began = Instant::now();
        let loss = trainer.step(&windows, Rates { network: 1e-3, rows: 1e-3 })?;
        // The first step is not counted: it allocates what later ones use again.
        if number > 0 {
            seconds.push(began.elapsed().as_secs_f64());
        }
        eprintln!("step {number}: loss {loss:.3}");
    }
    let after_steps = peak_mb()?;
    let began = Instant::now();
    let scores = trainer.snapshot().score(&[&[1, 2, 3], &[4, 5]])?;
    let scoring = began.elapsed().as_secs_f64();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(steps / 2).ok_or("give at least one step")?;
    let tokens = (batch * length) as f64;
    let result = json!({
        "items": items,
        "tokens_per_second": tokens / median,
        "steps_per_second": 1.0 / median,
        "table_and_optimiser_mb": table_mb,
        "peak_mb": after_steps,
        "peak_with_scoring_mb": peak_mb()?,
        "seconds_to_score_two": scoring,
        "scored": scores.len(),
    });
    println!("{result}");
    Ok(())
}

/// Most memory this process ever had, in MB, as Linux counts it.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(kilobytes.parse::<f64>()? * 1.024e-3)
}
