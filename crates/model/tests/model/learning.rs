//! The learning step on the device.

use futures_lite::future::block_on;
use tandem_model::{LearningConfig, LearningExample, ModelError, PersonalDelta};
use tandem_protocol::ModelKind;

use super::{KINDS, config, random_rows, scorer};

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
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 1);
        let mut delta = PersonalDelta::new("base", 8, 2);
        let before = delta.clone();
        // What is forgotten raises a loss that is next to nothing already.
        let learning = LearningConfig { forgetting: 0.0, ..LearningConfig::default() };
        let mut losses = Vec::new();
        for _ in 0..5 {
            let outcome = block_on(scorer.learn(&mut delta, &example(8), &learning)).unwrap();
            assert!(outcome.loss_after < outcome.loss_before, "{kind:?}: {outcome:?}");
            losses.push(outcome.loss_before);
        }
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{kind:?}: {losses:?}");
        assert_eq!(delta.touched(), 6);
        assert!(delta.row(&99).is_none());
        // The loss of a new delta is that of the shared weights: nothing else has changed.
        let untouched = block_on(scorer.loss(&before, &example(8))).unwrap();
        assert!((untouched - losses[0]).abs() < 1e-5, "{untouched} {losses:?}");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 4, 1, 2), 2);
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
        let mut largest = 0.0_f32;
        for (at, key) in example.keys.iter().enumerate() {
            for i in 0..4 {
                let gradient = -delta.row(key).unwrap()[i] / rate;
                let moved = |by: f32| {
                    let mut example = example.clone();
                    example.rows[at * 4 + i] += by;
                    block_on(scorer.loss(&PersonalDelta::new("base", 4, 0), &example)).unwrap()
                };
                let difference = (moved(5e-3) - moved(-5e-3)) / 1e-2;
                let apart = (gradient - difference).abs();
                assert!(apart < 3e-3, "{kind:?} {key} {i}: {gradient} {difference}");
                largest = largest.max(gradient.abs());
            }
        }
        assert!(largest > 1e-2, "{kind:?}: there is nothing to compare");
    }
}

#[test]
fn malformed_examples_are_refused() {
    let scorer = scorer(&config(ModelKind::Sasrec, 8, 1, 2), 1);
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

/// Only the preference is learnt.
fn preferring() -> LearningConfig {
    LearningConfig { row_rate: 0.0, adapter_rate: 0.0, ..LearningConfig::default() }
}

#[test]
fn a_preference_lifts_what_resembles_the_click_and_touches_no_row() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 3);
        let mut delta = PersonalDelta::new("base", 8, 2);
        let example = example(8);
        let outcome = block_on(scorer.learn(&mut delta, &example, &preferring())).unwrap();
        assert!(outcome.loss_after < outcome.loss_before, "{kind:?}: {outcome:?}");
        let loss = block_on(scorer.loss(&delta, &example)).unwrap();
        assert!((loss - outcome.loss_after).abs() < 1e-5, "{kind:?}: {loss} {outcome:?}");
        assert_eq!((delta.touched(), delta.steps()), (0, 1));
        // Items never met, with the rows of the clicked one and of another candidate.
        let mut lifted = [0.0, 0.0];
        delta.lean(&[&example.rows[32..40], &example.rows[24..32]].concat(), &mut lifted);
        assert!(lifted[0] > 0.0 && lifted[0] > lifted[1], "{kind:?}: {lifted:?}");
    }
}

#[test]
fn a_preference_is_forgotten_as_clicks_go_elsewhere() {
    let scorer = scorer(&config(ModelKind::Sasrec, 8, 1, 2), 3);
    let mut delta = PersonalDelta::new("base", 8, 0);
    let first = example(8);
    let lift = |delta: &PersonalDelta<u32>| {
        let mut lift = [0.0];
        delta.lean(&first.rows[32..40], &mut lift);
        lift[0]
    };
    block_on(scorer.learn(&mut delta, &first, &preferring())).unwrap();
    let learnt = lift(&delta);
    let elsewhere = LearningExample { target: 0, ..first.clone() };
    for _ in 0..5 {
        block_on(scorer.learn(&mut delta, &elsewhere, &preferring())).unwrap();
    }
    assert!(lift(&delta) < learnt, "{} of {learnt}", lift(&delta));
}

#[test]
fn both_kinds_of_learning_agree_with_the_loss_they_report() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 4);
        let mut delta = PersonalDelta::new("base", 8, 2);
        for _ in 0..3 {
            let before = block_on(scorer.loss(&delta, &example(8))).unwrap();
            let learning = LearningConfig::default();
            let outcome = block_on(scorer.learn(&mut delta, &example(8), &learning)).unwrap();
            let after = block_on(scorer.loss(&delta, &example(8))).unwrap();
            assert!((before - outcome.loss_before).abs() < 1e-4, "{kind:?} {before} {outcome:?}");
            assert!((after - outcome.loss_after).abs() < 1e-4, "{kind:?} {after} {outcome:?}");
        }
    }
}

#[test]
fn a_step_that_leaves_the_finite_numbers_is_not_taken() {
    let scorer = scorer(&config(ModelKind::Sasrec, 8, 1, 2), 1);
    let mut delta = PersonalDelta::new("base", 8, 2);
    block_on(scorer.learn(&mut delta, &example(8), &LearningConfig::default())).unwrap();
    let before = delta.clone();
    // Rows as short as these make the step, which is relative to their length, overflow.
    let mut short = example(8);
    for value in &mut short.rows {
        *value *= 1e-3;
    }
    let wild = LearningConfig { preference_rate: f32::MAX, ..LearningConfig::default() };
    let result = block_on(scorer.learn(&mut delta, &short, &wild));
    assert!(matches!(result, Err(ModelError::NotFinite { .. })), "{result:?}");
    assert_eq!(delta, before);
}

#[test]
fn learning_that_makes_no_sense_is_refused() {
    assert_eq!(LearningConfig::default().validate(), Ok(()));
    let good = LearningConfig::default;
    for bad in [
        LearningConfig { forgetting: 1.5, ..good() },
        LearningConfig { forgetting: f32::NAN, ..good() },
        LearningConfig { preference_rate: -1.0, ..good() },
        LearningConfig { row_rate: f32::INFINITY, ..good() },
        LearningConfig { replay: 1_000_000, ..good() },
    ] {
        assert!(matches!(bad.validate(), Err(ModelError::Config(_))), "{bad:?}");
    }
}
