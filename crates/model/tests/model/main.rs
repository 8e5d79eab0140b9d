//! The small models through the crate's public face, all kinds alike.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fuzz;
mod learning;
mod reference;
mod scoring;
mod text_part;
mod weights;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use burn::tensor::Device;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_model::{Body, Scorer};
use tandem_protocol::{ModelConfig, ModelKind};

const KINDS: [ModelKind; 3] = [ModelKind::Sasrec, ModelKind::Gru4rec, ModelKind::Din];

fn config(kind: ModelKind, dims: usize, blocks: usize, heads: usize) -> ModelConfig {
    ModelConfig { kind, dims, blocks, heads, max_length: 6 }
}

/// A weight file with random weights. All tests of the process share one generator, so each seeds
/// it and draws from it alone.
fn weights_of(config: &ModelConfig, seed: u64) -> Vec<u8> {
    static SEEDING: Mutex<()> = Mutex::new(());
    let _alone = SEEDING.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    device.seed(seed);
    Body::new(config, 0.0, &device).unwrap().to_bytes(&HashMap::new()).unwrap()
}

fn scorer(config: &ModelConfig, seed: u64) -> Scorer {
    Scorer::new(config, &weights_of(config, seed)).unwrap()
}

fn random_rows(count: usize, dims: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count * dims).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn within(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{found:?} is not {expected:?}");
    }
}
