//! Writes a case to compare backends, with the results of the native CPU:
//! `cargo run --release -p wasm-client --features cpu --example parity_case -- FOLDER`.
//!
//! Files: `body.safetensors`, `rows.bin`, `config.json` (the arguments of `parity` in
//! JavaScript) and `case.json` (`history`, `candidates`, `expected`). The weights are random
//! with a fixed seed.

use std::{collections::HashMap, env, error::Error, fs, path::PathBuf};

use futures_lite::future::block_on;
use serde_json::json;
use tandem_model::{Body, Device, ItemTable, LearningConfig, Scorer};
use tandem_protocol::{ModelConfig, ModelKind};
use wasm_client::parity::{Setup, run};

const ITEMS: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or("expected a folder to write to")?;
    fs::create_dir_all(&folder)?;
    let model =
        ModelConfig { kind: ModelKind::Sasrec, dims: 64, blocks: 2, heads: 2, max_length: 50 };
    let device = Device::flex();
    device.seed(7);
    let body = Body::new(&model, 0.0, &device)?.to_bytes(&HashMap::new())?;
    let values: Vec<f32> =
        (0..ITEMS * model.dims).map(|at| ((at * 7919 % 2003) as f32) / 4000.0 - 0.25).collect();
    let rows = ItemTable::quantise(&values, model.dims)?.as_bytes().to_vec();
    let history: Vec<u32> = (0..30).map(|at| at * 7 % 300).collect();
    let candidates: Vec<u32> = (0..50).map(|at| (at * 5 + 1) % 300).collect();
    let scorer = Scorer::new(&model, &body)?;
    let setup = Setup { model, learning: LearningConfig::default() };
    let expected = block_on(run(&scorer, &setup.learning, rows.clone(), &history, &candidates))?;

    fs::write(folder.join("body.safetensors"), body)?;
    fs::write(folder.join("rows.bin"), rows)?;
    fs::write(folder.join("config.json"), serde_json::to_vec(&setup)?)?;
    let case = json!({ "history": history, "candidates": candidates, "expected": expected });
    fs::write(folder.join("case.json"), serde_json::to_vec(&case)?)?;
    Ok(())
}
