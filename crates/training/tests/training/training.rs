//! Training on windows of histories.

use std::collections::HashMap;

use futures_lite::future::block_on;
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use tandem_model::{Body, Device, ModelError, Scorer};
use tandem_protocol::ModelKind;
use tandem_training::{Objective, Rates, Trainer, TrainingConfig, batches, windows};

use super::{KINDS, config, trainer, usual_training, within};

const RATES: Rates = Rates { network: 0.01, rows: 0.01 };

/// Users walk around a ring of 8 items: the next item is certain.
fn ring() -> Vec<Vec<u32>> {
    (0..8).map(|start| (0..20).map(|step| (start + step) % 8).collect()).collect()
}

fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
}

fn train(trainer: &mut Trainer<Body>, epochs: usize) {
    let sequences = ring();
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..epochs {
        let cut = sequences.iter().flat_map(|items| windows(items, 6, &mut rng)).collect();
        for batch in batches(cut, 48, |window: &&[u32]| window.len() - 1, &mut rng) {
            trainer.step(&batch, RATES).unwrap();
        }
    }
}

#[test]
fn training_learns_a_ring() {
    for kind in KINDS {
        let config = config(kind, 16, 1, 2);
        let mut trainer = trainer(&config, 8, usual_training(kind, 1));
        train(&mut trainer, 30);
        let scores = trainer.score(&[&[3, 4, 5]]).unwrap();
        assert_eq!(best(&scores[0]), 6, "{kind:?}: {scores:?}");

        // What is exported scores as what was trained, up to the rounding of rows.
        let table = trainer.item_table().unwrap();
        let bytes = trainer.model().to_bytes(&HashMap::new()).unwrap();
        let scorer = Scorer::new(&config, &bytes).unwrap();
        let rows = |items: &[usize]| -> Vec<f32> {
            items
                .iter()
                .flat_map(|&i| table.row(i).unwrap().unwrap().values().collect::<Vec<_>>())
                .collect()
        };
        let exported =
            block_on(scorer.score(&rows(&[3, 4, 5]), &rows(&(0..8).collect::<Vec<_>>()))).unwrap();
        within(&exported, &scores[0], 0.3);
    }
}

#[test]
fn every_objective_lowers_its_loss() {
    let objectives = [
        Objective::FullSoftmax,
        Objective::SampledSoftmax { negatives: 8 },
        Objective::BinaryCrossEntropy { negatives: 4 },
    ];
    for kind in KINDS {
        for objective in objectives {
            if kind == ModelKind::Din && objective == Objective::FullSoftmax {
                continue;
            }
            let config = config(kind, 8, 1, 2);
            let training = TrainingConfig { objective, ..usual_training(kind, 1) };
            let mut trainer = trainer(&config, 8, training);
            let sequences = ring();
            let batch: Vec<&[u32]> = sequences.iter().map(|items| &items[..7]).collect();
            let mut mean = |steps: usize| -> f32 {
                let losses = (0..steps).map(|_| trainer.step(&batch, RATES).unwrap());
                losses.sum::<f32>() / steps as f32
            };
            let (first, _, last) = (mean(5), mean(60), mean(5));
            assert!(last < 0.8 * first, "{kind:?} {objective:?}: {first} {last}");
        }
    }
}

#[test]
fn a_full_softmax_over_pairs_is_refused_with_what_to_use() {
    let config = config(ModelKind::Din, 8, 1, 1);
    let refused = Trainer::new(
        |device| Body::new(&config, 0.0, device),
        (8, 8),
        6,
        TrainingConfig::default(),
        &Device::flex(),
    );
    let error = refused.unwrap_err();
    assert!(matches!(error, ModelError::Config(_)));
    assert!(error.to_string().contains("binary cross-entropy"), "{error}");
}

#[test]
fn training_continues_from_a_trained_model() {
    for kind in KINDS {
        let config = config(kind, 16, 1, 2);
        let mut first = trainer(&config, 8, usual_training(kind, 1));
        train(&mut first, 15);
        let body = first.model().to_bytes(&HashMap::new()).unwrap();
        let mut second = Trainer::new(
            |device| Body::new(&config, 0.0, device)?.load(&body, device),
            (8, 16),
            6,
            usual_training(kind, 2),
            &Device::flex(),
        )
        .unwrap();
        let table = first.item_table().unwrap();
        let rows = table.values().unwrap();
        second.set_initial_rows(&rows, &rows).unwrap();
        let history: &[u32] = &[3, 4, 5];
        let (before, start) = (first.score(&[history]).unwrap(), second.score(&[history]).unwrap());
        // Up to the rounding of rows, which is relative to the largest values.
        let largest = before[0].iter().fold(0.0_f32, |max, score| max.max(score.abs()));
        within(&start[0], &before[0], 0.02 * largest);
        second.step(&[&[1, 2, 3]], RATES).unwrap();
        // Both parts go on learning: a model that was loaded is not frozen.
        let stepped = second.model().to_bytes(&HashMap::new()).unwrap();
        assert!(stepped != body, "{kind:?}");
        assert!(second.item_table().unwrap() != table, "{kind:?}");

        let other = second.set_initial_rows(&rows[16..], &rows[16..]);
        assert!(matches!(other, Err(ModelError::Length { .. })));
    }
}

#[test]
fn newest_targets_limits_the_loss() {
    let config = config(ModelKind::Sasrec, 8, 1, 2);
    let rates = Rates { network: 0.0, rows: 0.05 };
    let training = |newest_targets| TrainingConfig {
        objective: Objective::FullSoftmax,
        row_decay: 0.0,
        newest_targets,
        ..usual_training(ModelKind::Sasrec, 1)
    };
    let loss = |newest_targets, window: &[u32]| {
        trainer(&config, 8, training(newest_targets)).step(&[window], rates).unwrap()
    };
    let (both, newest) = (loss(None, &[1, 2, 3]), loss(Some(1), &[1, 2, 3]));
    let oldest = loss(None, &[1, 2]);
    // The mean over both is that over each: causal, so the first is as it is alone.
    assert!((2.0 * both - (oldest + newest)).abs() < 1e-4, "{both} {oldest} {newest}");
    assert!((oldest - newest).abs() > 1e-4, "there is something to tell apart");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn padding_never_changes_scores(lengths in prop::collection::vec(1_u32..7, 1..5)) {
        let histories: Vec<Vec<u32>> =
            lengths.iter().map(|&length| (0..length).map(|at| (at * 3 + length) % 9).collect()).collect();
        let all: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        for kind in KINDS {
            let trainer = trainer(&config(kind, 8, 2, 2), 9, usual_training(kind, 5));
            let together = trainer.score(&all).unwrap();
            for (history, scores) in all.iter().zip(together) {
                within(&scores, &trainer.score(&[history]).unwrap()[0], 1e-5);
            }
        }
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
