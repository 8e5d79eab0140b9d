//! SASRec, the learning step and training, through the crate's public face.
#![allow(clippy::unwrap_used, reason = "tests")]

use burn::tensor::Device;
use futures_lite::future::block_on;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_model::{
    Body, LearningConfig, LearningExample, ModelError, PersonalDelta, Scorer,
    training::{Rates, Trainer, TrainingConfig, batches, windows},
};
use tandem_protocol::{ModelConfig, ModelKind};

fn config(dims: usize, blocks: usize, heads: usize) -> ModelConfig {
    ModelConfig { kind: ModelKind::Sasrec, dims, blocks, heads, max_length: 6 }
}

fn scorer(config: &ModelConfig, seed: u64) -> Scorer {
    let device = Device::flex();
    device.seed(seed);
    let bytes = Body::new(config, 0.0, &device)
        .unwrap()
        .to_bytes(&std::collections::HashMap::new())
        .unwrap();
    Scorer::new(config, &bytes, &device).unwrap()
}

fn trainer(config: &ModelConfig, items: usize, seed: u64) -> Trainer<Body> {
    Trainer::new(
        |device| Body::new(config, 0.0, device),
        (items, config.dims),
        config.max_length,
        TrainingConfig { seed, ..TrainingConfig::default() },
        &Device::flex(),
    )
    .unwrap()
}

fn random_rows(count: usize, dims: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count * dims).map(|_| rng.random_range(-1.0..1.0)).collect()
}

mod reference {
    //! SASRec in plain loops over `f64`, written from the paper's equations and sharing
    //! nothing with the model but the names in the weight file.

    use safetensors::SafeTensors;
    use tandem_protocol::ModelConfig;

    struct Weights<'a>(SafeTensors<'a>);

    impl Weights<'_> {
        fn get(&self, name: &str) -> Vec<f64> {
            let view = self.0.tensor(name).unwrap_or_else(|_| panic!("no tensor {name}"));
            let (words, _) = view.data().as_chunks::<4>();
            words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect()
        }

        fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
            let (weight, bias) =
                (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
            let width = bias.len();
            (0..width)
                .map(|o| {
                    bias[o]
                        + x.iter().enumerate().map(|(i, x)| x * weight[i * width + o]).sum::<f64>()
                })
                .collect()
        }

        fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
            let (gamma, beta) =
                (self.get(&format!("{name}.gamma")), self.get(&format!("{name}.beta")));
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
            x.iter()
                .enumerate()
                .map(|(i, v)| (v - mean) / (variance + 1e-5).sqrt() * gamma[i] + beta[i])
                .collect()
        }
    }

    pub(super) fn score(
        bytes: &[u8],
        config: &ModelConfig,
        history: &[f32],
        candidates: &[f32],
    ) -> Vec<f64> {
        let weights = Weights(SafeTensors::deserialize(bytes).unwrap());
        let dims = config.dims;
        let positions = weights.get("Sasrec.positions");
        let mut hidden: Vec<Vec<f64>> = history
            .chunks(dims)
            .enumerate()
            .map(|(t, row)| {
                (0..dims)
                    .map(|i| f64::from(row[i]) * (dims as f64).sqrt() + positions[t * dims + i])
                    .collect()
            })
            .collect();
        let width = dims / config.heads;
        for block in 0..config.blocks {
            let name = |part: &str| format!("Sasrec.blocks.{block}.{part}");
            let normed: Vec<Vec<f64>> =
                hidden.iter().map(|x| weights.norm(&name("attention_norm"), x)).collect();
            let project = |part: &str| -> Vec<Vec<f64>> {
                normed
                    .iter()
                    .map(|x| weights.linear(&name(&format!("attention.{part}")), x))
                    .collect()
            };
            let (query, key, value) = (project("query"), project("key"), project("value"));
            for t in 0..hidden.len() {
                let mut context = vec![0.0; dims];
                for head in 0..config.heads {
                    let range = head * width..(head + 1) * width;
                    let scores: Vec<f64> = (0..=t)
                        .map(|s| {
                            let dot: f64 = range.clone().map(|i| query[t][i] * key[s][i]).sum();
                            (dot / (width as f64).sqrt()).exp()
                        })
                        .collect();
                    let sum: f64 = scores.iter().sum();
                    for (s, score) in scores.iter().enumerate() {
                        for i in range.clone() {
                            context[i] += score / sum * value[s][i];
                        }
                    }
                }
                let attended = weights.linear(&name("attention.output"), &context);
                hidden[t].iter_mut().zip(attended).for_each(|(x, a)| *x += a);
            }
            for x in &mut hidden {
                let inner = weights.norm(&name("feed_forward_norm"), x);
                let inner: Vec<f64> = weights
                    .linear(&name("feed_forward_in"), &inner)
                    .into_iter()
                    .map(|v| v.max(0.0))
                    .collect();
                let out = weights.linear(&name("feed_forward_out"), &inner);
                x.iter_mut().zip(out).for_each(|(x, o)| *x += o);
            }
        }
        let last = weights.norm("Sasrec.output_norm", hidden.last().unwrap());
        candidates
            .chunks(dims)
            .map(|row| row.iter().zip(&last).map(|(v, h)| f64::from(*v) * h).sum())
            .collect()
    }
}

#[test]
fn scores_agree_with_plain_loops() {
    for (dims, blocks, heads) in [(4, 1, 1), (8, 2, 2), (6, 1, 3)] {
        let config = config(dims, blocks, heads);
        let device = Device::flex();
        device.seed(3);
        let body = Body::new(&config, 0.0, &device).unwrap();
        let bytes = body.to_bytes(&std::collections::HashMap::new()).unwrap();
        let scorer = Scorer::new(&config, &bytes, &device).unwrap();
        let (history, candidates) = (random_rows(5, dims, 1), random_rows(7, dims, 2));
        let scores = block_on(scorer.score(&history, &candidates)).unwrap();
        let expected = reference::score(&bytes, &config, &history, &candidates);
        assert_eq!(scores.len(), 7);
        for (score, expected) in scores.iter().zip(expected) {
            assert!((f64::from(*score) - expected).abs() < 1e-4, "{score} {expected}");
        }
    }
}

#[test]
fn a_padded_batch_scores_as_each_history_alone() {
    let config = config(8, 2, 2);
    let trainer = trainer(&config, 9, 5);
    let long: &[u32] = &[1, 2, 3, 4, 5];
    let short: &[u32] = &[7];
    let together = trainer.score(&[long, short]).unwrap();
    let alone = trainer.score(&[short]).unwrap();
    for (a, b) in together[1].iter().zip(&alone[0]) {
        assert!((a - b).abs() < 1e-5);
    }
}

#[test]
fn only_the_newest_items_are_read() {
    let config = config(8, 1, 2);
    let scorer = scorer(&config, 1);
    let (history, candidates) = (random_rows(9, 8, 1), random_rows(3, 8, 2));
    let all = block_on(scorer.score(&history, &candidates)).unwrap();
    let newest = block_on(scorer.score(&history[3 * 8..], &candidates)).unwrap();
    assert_eq!(all, newest);
}

#[test]
fn bad_input_is_refused_by_name() {
    let config = config(8, 1, 2);
    let scorer = scorer(&config, 1);
    let rows = random_rows(2, 8, 1);
    assert_eq!(block_on(scorer.score(&[], &rows)), Err(ModelError::Empty("the history")));
    assert_eq!(block_on(scorer.score(&rows, &[])), Ok(vec![]));
    assert!(matches!(
        block_on(scorer.score(&rows, &rows[..9])),
        Err(ModelError::Length { expected: 16, found: 9, .. })
    ));
}

#[test]
fn damaged_and_foreign_weights_are_refused() {
    let device = Device::flex();
    let config = config(8, 1, 2);
    let body = Body::new(&config, 0.0, &device).unwrap();
    let bytes = body.to_bytes(&std::collections::HashMap::new()).unwrap();
    let load = |config: &ModelConfig, bytes: &[u8]| Scorer::new(config, bytes, &device).map(|_| ());

    assert_eq!(load(&config, &bytes), Ok(()));
    assert!(matches!(load(&config, &bytes[..bytes.len() - 3]), Err(ModelError::Format(_))));
    assert!(matches!(load(&config, b"<html>"), Err(ModelError::Format(_))));
    let deeper = ModelConfig { blocks: 2, ..config.clone() };
    assert!(matches!(load(&deeper, &bytes), Err(ModelError::MissingTensor { .. })));
    let wider = ModelConfig { dims: 16, ..config.clone() };
    assert!(matches!(load(&wider, &bytes), Err(ModelError::TensorShape { .. })));
    let uneven = ModelConfig { heads: 3, ..config.clone() };
    assert!(matches!(load(&uneven, &bytes), Err(ModelError::Config(_))));

    let mut nan = bytes.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(load(&config, &nan), Err(ModelError::NotFinite { .. })));
}

fn example(dims: usize) -> LearningExample<u32> {
    LearningExample {
        keys: vec![10, 11, 12, 13, 14, 15],
        rows: random_rows(6, dims, 4),
        history: vec![0, 1, 2],
        candidates: vec![3, 4, 5],
        target: 1,
    }
}

#[test]
fn a_learning_step_lowers_the_loss_and_touches_only_the_batch() {
    let config = config(8, 1, 2);
    let scorer = scorer(&config, 1);
    let mut delta = PersonalDelta::new("base", 8, 2);
    let before = delta.clone();
    let learning = LearningConfig::default();
    let mut losses = Vec::new();
    for _ in 0..5 {
        let outcome = block_on(scorer.learn(&mut delta, &example(8), &learning)).unwrap();
        assert!(outcome.loss_after < outcome.loss_before, "{outcome:?}");
        losses.push(outcome.loss_before);
    }
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    assert_eq!(delta.touched(), 6);
    assert!(delta.row(&99).is_none());
    // The loss of a new delta is that of the shared weights: nothing else has changed.
    let untouched = block_on(scorer.loss(&before, &example(8))).unwrap();
    assert!((untouched - losses[0]).abs() < 1e-5, "{untouched} {losses:?}");
}

#[test]
fn gradients_agree_with_finite_differences() {
    let config = config(4, 1, 2);
    let scorer = scorer(&config, 2);
    let example = example(4);
    let rate = 1e-3;
    let learning = LearningConfig {
        rank: 0,
        row_rate: rate,
        adapter_rate: 0.0,
        decay: 0.0,
        max_norm: f32::INFINITY,
        ..LearningConfig::default()
    };
    let mut delta = PersonalDelta::new("base", 4, 0);
    block_on(scorer.learn(&mut delta, &example, &learning)).unwrap();
    for (at, key) in example.keys.iter().enumerate() {
        for i in 0..4 {
            let gradient = -delta.row(key).unwrap()[i] / rate;
            let moved = |by: f32| {
                let mut example = example.clone();
                example.rows[at * 4 + i] += by;
                block_on(scorer.loss(&PersonalDelta::new("base", 4, 0), &example)).unwrap()
            };
            let difference = (moved(5e-3) - moved(-5e-3)) / 1e-2;
            assert!((gradient - difference).abs() < 3e-3, "{key} {i}: {gradient} {difference}");
        }
    }
}

#[test]
fn malformed_examples_are_refused() {
    let scorer = scorer(&config(8, 1, 2), 1);
    let mut delta = PersonalDelta::new("base", 8, 2);
    let mut learn = |example: &LearningExample<u32>| {
        block_on(scorer.learn(&mut delta, example, &LearningConfig::default())).unwrap_err()
    };
    let good = example(8);
    assert!(matches!(
        learn(&LearningExample { target: 3, ..good.clone() }),
        ModelError::Length { .. }
    ));
    assert!(matches!(
        learn(&LearningExample { history: vec![], ..good.clone() }),
        ModelError::Empty(_)
    ));
    assert!(matches!(
        learn(&LearningExample { candidates: vec![9, 1], ..good.clone() }),
        ModelError::Length { .. }
    ));
    let nan = LearningExample { rows: vec![f32::NAN; 48], ..good };
    assert!(matches!(learn(&nan), ModelError::NotFinite { .. }));
    assert_eq!(delta, PersonalDelta::new("base", 8, 2), "a failed step leaves no trace");
}

#[test]
fn training_learns_a_cycle() {
    // Users walk around a ring of 8 items: the next item is certain.
    let config = config(16, 1, 2);
    let sequences: Vec<Vec<u32>> =
        (0..8).map(|start| (0..20).map(|step| (start + step) % 8).collect()).collect();
    let mut trainer = trainer(&config, 8, 1);
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..30 {
        let cut = sequences.iter().flat_map(|items| windows(items, 6, &mut rng)).collect();
        for batch in batches(cut, 8, &mut rng) {
            trainer.step(&batch, Rates { encoder: 0.01, rows: 0.01 }).unwrap();
        }
    }
    let scores = trainer.score(&[&[3, 4, 5]]).unwrap();
    let best = (0..8).max_by(|&a, &b| scores[0][a].total_cmp(&scores[0][b])).unwrap();
    assert_eq!(best, 6);

    // What is exported scores as what was trained, up to the rounding of rows.
    let table = trainer.item_table().unwrap();
    let bytes = trainer.encoder().to_bytes(&std::collections::HashMap::new()).unwrap();
    let scorer = Scorer::new(&config, &bytes, &Device::flex()).unwrap();
    let rows = |items: &[usize]| -> Vec<f32> {
        items
            .iter()
            .flat_map(|&i| table.row(i).unwrap().unwrap().values().collect::<Vec<_>>())
            .collect()
    };
    let exported =
        block_on(scorer.score(&rows(&[3, 4, 5]), &rows(&(0..8).collect::<Vec<_>>()))).unwrap();
    for (a, b) in exported.iter().zip(&scores[0]) {
        assert!((a - b).abs() < 0.2, "{exported:?} {scores:?}");
    }
}

proptest! {
    #[test]
    fn windows_make_every_item_but_the_first_a_target_once(
        length in 0_u32..60, max_length in 1_usize..12, seed in 0_u64..50,
    ) {
        let items: Vec<u32> = (0..length).collect();
        let mut rng = StdRng::seed_from_u64(seed);
        let cut = windows(&items, max_length, &mut rng);
        prop_assert!(cut.iter().all(|w| w.len() >= 2 && w.len() <= max_length + 1));
        let targets: Vec<u32> = cut.iter().flat_map(|w| w[1..].to_vec()).collect();
        let expected: Vec<u32> = (1..length).collect();
        prop_assert_eq!(targets, expected);
    }
}
