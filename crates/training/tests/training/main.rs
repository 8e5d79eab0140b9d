//! Training of the small models through the public API; every test runs on all kinds.
#![allow(clippy::unwrap_used, reason = "tests")]

mod checkpoint;
mod lists;
mod training;

use tandem_model::{Body, Device};
use tandem_protocol::{ModelConfig, ModelKind};
use tandem_training::{Objective, Trainer, TrainingConfig};

const KINDS: [ModelKind; 3] = [ModelKind::Sasrec, ModelKind::Gru4rec, ModelKind::Din];

fn config(kind: ModelKind, dims: usize, blocks: usize, heads: usize) -> ModelConfig {
    ModelConfig { kind, dims, blocks, heads, max_length: 6 }
}

/// The objective of each kind in these tests.
fn objective(kind: ModelKind) -> Objective {
    match kind {
        ModelKind::Sasrec | ModelKind::Gru4rec => Objective::FullSoftmax,
        ModelKind::Din => Objective::SampledSoftmax { negatives: 8 },
    }
}

fn trainer(config: &ModelConfig, items: usize, training: TrainingConfig) -> Trainer<Body> {
    Trainer::new(
        |device| Body::new(config, 0.0, device),
        (items, config.dims),
        config.max_length,
        training,
        &Device::flex(),
    )
    .unwrap()
}

fn usual_training(kind: ModelKind, seed: u64) -> TrainingConfig {
    TrainingConfig { objective: objective(kind), seed, ..TrainingConfig::default() }
}

fn within(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{found:?} is not {expected:?}");
    }
}
