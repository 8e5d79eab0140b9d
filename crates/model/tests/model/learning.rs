//! The learning step on the device.

use futures_lite::future::block_on;
use tandem_model::{
    LearningConfig, LearningExample, LearningOutcome, ModelError, PersonalDelta, Scorer, UserState,
};
use tandem_protocol::ModelKind;

use super::{KINDS, config, random_rows, scorer};

/// A click on the second of three items.
fn example(dims: usize) -> LearningExample<u32> {
    LearningExample { keys: vec![13, 14, 15], rows: random_rows(3, dims, 4), target: 1 }
}

/// The state of a visitor with three items.
fn user(scorer: &Scorer) -> UserState {
    block_on(scorer.encode(&random_rows(3, scorer.config().dims, 5))).unwrap().user().clone()
}

fn learn(
    scorer: &Scorer,
    delta: &mut PersonalDelta<u32>,
    example: &LearningExample<u32>,
    learning: &LearningConfig,
) -> Result<LearningOutcome, ModelError> {
    block_on(scorer.learn(delta, &user(scorer), example, learning)).map(|(outcome, _)| outcome)
}

fn loss(scorer: &Scorer, delta: &PersonalDelta<u32>, example: &LearningExample<u32>) -> f32 {
    block_on(scorer.loss(delta, &user(scorer), example)).unwrap()
}

#[test]
fn a_learning_step_lowers_the_loss_and_changes_only_rows_of_the_example() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 1);
        let mut delta = PersonalDelta::new("base", 8, 2);
        let before = delta.clone();
        // Decay of the preference would raise a loss that is almost 0.
        let learning = LearningConfig { preference_decay: 0.0, ..LearningConfig::default() };
        let mut losses = Vec::new();
        for _ in 0..5 {
            let outcome = learn(&scorer, &mut delta, &example(8), &learning).unwrap();
            assert!(outcome.loss_after < outcome.loss_before, "{kind:?}: {outcome:?}");
            losses.push(outcome.loss_before);
        }
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{kind:?}: {losses:?}");
        // DIN learns only the preference.
        assert_eq!(delta.row_count(), if kind == ModelKind::Din { 0 } else { 3 });
        assert!(delta.row(&99).is_none());
        // The shared weights have not changed.
        let untouched = loss(&scorer, &before, &example(8));
        assert!((untouched - losses[0]).abs() < 1e-5, "{untouched} {losses:?}");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for kind in [ModelKind::Sasrec, ModelKind::Gru4rec] {
        let scorer = scorer(&config(kind, 4, 1, 2), 2);
        let example = example(4);
        let rate = 1e-3;
        // Adapter and preference are not 0 and stay fixed.
        let mut delta = PersonalDelta::new("base", 4, 2);
        for target in 0..3 {
            let example = LearningExample { target, ..example.clone() };
            let learning = LearningConfig { row_rate: 0.0, ..LearningConfig::default() };
            learn(&scorer, &mut delta, &example, &learning).unwrap();
        }
        let learning = LearningConfig {
            row_rate: rate,
            adapter_rate: 0.0,
            decay: 0.0,
            max_norm: f32::INFINITY,
            preference_rate: 0.0,
            ..LearningConfig::default()
        };
        let before = delta.clone();
        learn(&scorer, &mut delta, &example, &learning).unwrap();
        let mut largest = 0.0_f32;
        for (at, key) in example.keys.iter().enumerate() {
            for i in 0..4 {
                let old = before.row(key).map_or(0.0, |row| row[i]);
                let gradient = (old - delta.row(key).unwrap()[i]) / rate;
                let moved = |by: f32| {
                    let mut example = example.clone();
                    example.rows[at * 4 + i] += by;
                    loss(&scorer, &before, &example)
                };
                let difference = (moved(5e-3) - moved(-5e-3)) / 1e-2;
                let apart = (gradient - difference).abs();
                assert!(apart < 3e-3, "{kind:?} {key} {i}: {gradient} {difference}");
                largest = largest.max(gradient.abs());
            }
        }
        assert!(largest > 1e-2, "{kind:?}: all gradients are close to 0");
    }
}

#[test]
fn personal_scores_are_those_of_the_loss() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 2);
        let mut delta = PersonalDelta::new("base", 8, 2);
        learn(&scorer, &mut delta, &example(8), &LearningConfig::default()).unwrap();
        let mut rows = example(8).rows;
        for (key, row) in example(8).keys.iter().zip(rows.chunks_exact_mut(8)) {
            delta.apply_row(key, row);
        }
        let scores = block_on(scorer.personal_scores(&user(&scorer), &delta, rows.into())).unwrap();
        let sum: f32 = scores.iter().map(|score| score.exp()).sum();
        let expected = loss(&scorer, &delta, &example(8));
        let found = sum.ln() - scores[1];
        assert!((found - expected).abs() < 1e-5, "{kind:?}: {found} is not {expected}");
    }
}

#[test]
fn a_reverted_step_restores_the_delta() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 2);
        let mut delta = PersonalDelta::new("base", 8, 2);
        learn(&scorer, &mut delta, &example(8), &LearningConfig::default()).unwrap();
        let before = delta.clone();
        let learning = LearningConfig::default();
        let (user, example) = (user(&scorer), example(8));
        let step = block_on(scorer.learn(&mut delta, &user, &example, &learning));
        let (_, undo) = step.unwrap();
        assert_ne!(delta, before);
        delta.revert(undo);
        assert_eq!(delta, before);
    }
}

#[test]
fn malformed_examples_are_refused() {
    let scorer = scorer(&config(ModelKind::Sasrec, 8, 1, 2), 1);
    let mut delta = PersonalDelta::new("base", 8, 2);
    let mut refused = |example: &LearningExample<u32>| {
        learn(&scorer, &mut delta, example, &LearningConfig::default()).unwrap_err()
    };
    let good = example(8);
    assert!(matches!(
        refused(&LearningExample { target: 3, ..good.clone() }),
        ModelError::Length { expected: 4, found: 3, .. }
    ));
    assert!(matches!(
        refused(&LearningExample { keys: vec![9, 1], ..good.clone() }),
        ModelError::Length { expected: 16, found: 24, .. }
    ));
    let nan = LearningExample { rows: vec![f32::NAN; 24], ..good };
    assert!(matches!(refused(&nan), ModelError::NotFinite { .. }));
    assert_eq!(delta, PersonalDelta::new("base", 8, 2), "a failed step changes nothing");
}

/// Settings that learn only the preference.
fn preference_only() -> LearningConfig {
    LearningConfig { row_rate: 0.0, adapter_rate: 0.0, ..LearningConfig::default() }
}

#[test]
fn a_preference_raises_items_similar_to_the_click_and_changes_no_row() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 3);
        let mut delta = PersonalDelta::new("base", 8, 2);
        let example = example(8);
        let outcome = learn(&scorer, &mut delta, &example, &preference_only()).unwrap();
        assert!(outcome.loss_after < outcome.loss_before, "{kind:?}: {outcome:?}");
        let after = loss(&scorer, &delta, &example);
        assert!((after - outcome.loss_after).abs() < 1e-5, "{kind:?}: {after} {outcome:?}");
        assert_eq!((delta.row_count(), delta.steps()), (0, 1));
        // Other items with the rows of the clicked one and of another candidate.
        let mut raised = [0.0, 0.0];
        delta.add_preference_logits(
            &[&example.rows[8..16], &example.rows[..8]].concat(),
            &mut raised,
        );
        assert!(raised[0] > 0.0 && raised[0] > raised[1], "{kind:?}: {raised:?}");
    }
}

#[test]
fn a_preference_decays_when_other_items_are_clicked() {
    let scorer = scorer(&config(ModelKind::Sasrec, 8, 1, 2), 3);
    let mut delta = PersonalDelta::new("base", 8, 0);
    let first = example(8);
    let raise = |delta: &PersonalDelta<u32>| {
        let mut raise = [0.0];
        delta.add_preference_logits(&first.rows[8..16], &mut raise);
        raise[0]
    };
    learn(&scorer, &mut delta, &first, &preference_only()).unwrap();
    let learnt = raise(&delta);
    let other = LearningExample { target: 0, ..first.clone() };
    for _ in 0..5 {
        learn(&scorer, &mut delta, &other, &preference_only()).unwrap();
    }
    assert!(raise(&delta) < learnt, "{} of {learnt}", raise(&delta));
}

#[test]
fn reported_losses_are_those_of_the_delta() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 4);
        let mut delta = PersonalDelta::new("base", 8, 2);
        for _ in 0..3 {
            let before = loss(&scorer, &delta, &example(8));
            let learning = LearningConfig::default();
            let outcome = learn(&scorer, &mut delta, &example(8), &learning).unwrap();
            let after = loss(&scorer, &delta, &example(8));
            assert!((before - outcome.loss_before).abs() < 1e-4, "{kind:?} {before} {outcome:?}");
            assert!((after - outcome.loss_after).abs() < 1e-4, "{kind:?} {after} {outcome:?}");
        }
    }
}

#[test]
fn a_step_to_values_that_are_not_finite_is_not_taken() {
    let scorer = scorer(&config(ModelKind::Sasrec, 8, 1, 2), 1);
    let mut delta = PersonalDelta::new("base", 8, 2);
    learn(&scorer, &mut delta, &example(8), &LearningConfig::default()).unwrap();
    let before = delta.clone();
    // The step is divided by the squared norm of the rows; small rows make it overflow.
    let mut short = example(8);
    for value in &mut short.rows {
        *value *= 1e-3;
    }
    let wild = LearningConfig { preference_rate: f32::MAX, ..LearningConfig::default() };
    let result = learn(&scorer, &mut delta, &short, &wild);
    assert!(matches!(result, Err(ModelError::NotFinite { .. })), "{result:?}");
    assert_eq!(delta, before);
}

#[test]
fn settings_of_older_manifests_are_read() {
    let old: LearningConfig = serde_json::from_str(r#"{"forgetting": 0.7}"#).unwrap();
    assert_eq!(old, LearningConfig { preference_decay: 0.7, ..LearningConfig::default() });
    let json = serde_json::to_string(&old).unwrap();
    assert!(json.contains(r#""preference_decay":0.7"#), "{json}");
}

#[test]
fn settings_outside_their_range_are_refused() {
    assert_eq!(LearningConfig::default().validate(), Ok(()));
    let good = LearningConfig::default;
    for bad in [
        LearningConfig { preference_decay: 1.5, ..good() },
        LearningConfig { preference_decay: f32::NAN, ..good() },
        LearningConfig { preference_rate: -1.0, ..good() },
        LearningConfig { row_rate: f32::INFINITY, ..good() },
        LearningConfig { replay: 1_000_000, ..good() },
    ] {
        assert!(matches!(bad.validate(), Err(ModelError::Config(_))), "{bad:?}");
    }
}
