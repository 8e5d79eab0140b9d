//! Item rows with a text part.

use futures_lite::future::block_on;
use proptest::prelude::*;
use tandem_model::{LearningConfig, LearningExample, ModelError, PersonalDelta, Scorer};
use tandem_protocol::{ModelKind, TextPart};

use super::{config, random_rows, scorer, within};

const DIMS: usize = 8;
const TEXT: TextPart = TextPart { dims: 3, weight: 0.5 };
const KINDS: [ModelKind; 2] = [ModelKind::Sasrec, ModelKind::Gru4rec];

fn with_text(kind: ModelKind) -> Scorer {
    scorer(&config(kind, DIMS, 1, 2), 3).with_text(TEXT).unwrap()
}

/// The model's own parts and the text parts of rows.
fn parts(rows: &[f32]) -> (Vec<f32>, Vec<&[f32]>) {
    let rows = rows.chunks_exact(DIMS + TEXT.dims);
    let own = rows.clone().flat_map(|row| row[..DIMS].to_vec()).collect();
    (own, rows.map(|row| &row[DIMS..]).collect())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn the_score_is_that_of_the_model_and_of_the_text() {
    for kind in KINDS {
        let (scorer, own) = (with_text(kind), scorer(&config(kind, DIMS, 1, 2), 3));
        assert_eq!((scorer.row_dims(), own.row_dims()), (11, 8));
        let (history, candidates) = (random_rows(3, 11, 1), random_rows(4, 11, 2));
        let (own_history, texts) = parts(&history);
        let (own_candidates, candidate_texts) = parts(&candidates);
        let encoded = block_on(own.encode(&own_history)).unwrap();
        let hidden = encoded.user().embedding().unwrap();
        let plain = block_on(own.score(&own_history, &own_candidates)).unwrap();
        // The newest text counts 1, the one before 0.7, the oldest 0.49.
        let sum: Vec<f32> =
            (0..3).map(|at| 0.49 * texts[0][at] + 0.7 * texts[1][at] + texts[2][at]).collect();
        let scale = 0.5 * dot(hidden, hidden).sqrt() / dot(&sum, &sum).sqrt();
        let expected: Vec<f32> = plain
            .iter()
            .zip(candidate_texts)
            .map(|(plain, text)| plain + scale * dot(&sum, text))
            .collect();
        within(&block_on(scorer.score(&history, &candidates)).unwrap(), &expected, 1e-4);
    }
}

#[test]
fn a_history_without_texts_is_scored_by_the_model_alone() {
    let scorer = with_text(ModelKind::Sasrec);
    let mut history = random_rows(2, 11, 1);
    history.chunks_exact_mut(11).for_each(|row| row[8..].fill(0.0));
    let encoded = block_on(scorer.encode(&history)).unwrap();
    let user = encoded.user().embedding().unwrap();
    assert_eq!(user.len(), 11);
    assert!(user[8..].iter().all(|value| *value == 0.0) && user[0] != 0.0);
}

#[test]
fn the_text_part_is_learnt_on() {
    let scorer = with_text(ModelKind::Sasrec);
    let (history, rows) = (random_rows(4, 11, 1), random_rows(5, 11, 2));
    let user = block_on(scorer.encode(&history)).unwrap().user().clone();
    let example = LearningExample { keys: vec![0_u32, 1, 2, 3, 4], rows, target: 2 };
    let learning = LearningConfig::default();
    let mut delta = PersonalDelta::new("base", scorer.row_dims(), learning.rank);
    let (outcome, _) = block_on(scorer.learn(&mut delta, &user, &example, &learning)).unwrap();
    assert!(outcome.loss_after < outcome.loss_before, "{outcome:?}");
    let mut changed = vec![0.0; 11];
    delta.apply_row(&2, &mut changed);
    assert!(changed[8..].iter().any(|value| *value != 0.0), "{changed:?}");
}

#[test]
fn other_parts_and_rows_are_refused() {
    let din = scorer(&config(ModelKind::Din, DIMS, 1, 2), 3).with_text(TEXT).unwrap_err();
    assert!(matches!(&din, ModelError::Config(text) if text.contains("found DIN")), "{din}");
    for text in [
        TextPart { dims: 0, ..TEXT },
        TextPart { weight: -1.0, ..TEXT },
        TextPart { weight: f32::NAN, ..TEXT },
    ] {
        let refused = scorer(&config(ModelKind::Sasrec, DIMS, 1, 2), 3).with_text(text);
        assert!(matches!(refused, Err(ModelError::Config(_))), "{text:?}");
    }
    let scorer = with_text(ModelKind::Sasrec);
    let error = block_on(scorer.score(&random_rows(2, 8, 1), &random_rows(2, 11, 1))).unwrap_err();
    assert!(matches!(error, ModelError::Length { .. }), "{error}");
}

proptest! {
    #[test]
    fn encoding_further_items_equals_encoding_the_whole_history(
        kind in prop::sample::select(&KINDS[..]),
        before in 1_usize..4,
        further in 1_usize..3,
        seed in 0_u64..8,
    ) {
        let scorer = with_text(kind);
        let history = random_rows(before + further, 11, seed);
        let encoded = block_on(scorer.encode(&history[..before * 11])).unwrap();
        let next = block_on(scorer.encode_next(&encoded, &history[before * 11..])).unwrap().unwrap();
        let whole = block_on(scorer.encode(&history)).unwrap();
        within(next.user().embedding().unwrap(), whole.user().embedding().unwrap(), 1e-4);
    }
}
