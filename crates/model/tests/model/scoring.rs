//! Scores of gathered rows.

use futures_lite::future::block_on;
use proptest::prelude::*;
use tandem_model::{ItemTable, LearningConfig, LearningExample, ModelError, PersonalDelta, Scorer};
use tandem_protocol::{ModelConfig, ModelKind};

use super::{KINDS, config, random_rows, reference, scorer, weights_of, within};

#[test]
fn scores_agree_with_the_reference() {
    for kind in KINDS {
        for (dims, blocks, heads) in [(4, 1, 1), (8, 2, 2), (5, 1, 5)] {
            let config = config(kind, dims, blocks, heads);
            let bytes = weights_of(&config, 3);
            let scorer = Scorer::new(&config, &bytes).unwrap();
            let (history, candidates) = (random_rows(5, dims, 1), random_rows(7, dims, 2));
            let scores = block_on(scorer.score(&history, &candidates)).unwrap();
            let expected = reference::score(&bytes, &config, &history, &candidates);
            let expected: Vec<f32> = expected.into_iter().map(|score| score as f32).collect();
            within(&scores, &expected, 1e-4);
            // Constant scores would not test anything.
            assert!(scores.iter().any(|score| (score - scores[0]).abs() > 1e-2), "{scores:?}");
        }
    }
}

#[test]
fn scores_do_not_depend_on_the_number_of_candidates() {
    // More pairs than DIN weights at a time.
    for kind in KINDS {
        let scorer = scorer(&config(kind, 4, 1, 2), 3);
        let (history, candidates) = (random_rows(6, 4, 1), random_rows(6_000, 4, 2));
        let all = block_on(scorer.score(&history, &candidates)).unwrap();
        for at in [0, 2_730, 2_731, 5_999] {
            let one = block_on(scorer.score(&history, &candidates[at * 4..at * 4 + 4])).unwrap();
            within(&all[at..=at], &one, 1e-5);
        }
    }
}

#[test]
fn the_order_of_a_history_matters() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 3);
        let (history, candidates) = (random_rows(3, 8, 1), random_rows(4, 8, 2));
        let reversed = [&history[16..], &history[8..16], &history[..8]].concat();
        let scores = block_on(scorer.score(&history, &candidates)).unwrap();
        let other = block_on(scorer.score(&reversed, &candidates)).unwrap();
        assert!(scores.iter().zip(other).any(|(a, b)| (a - b).abs() > 1e-4), "{kind:?}");
    }
}

proptest! {
    #[test]
    fn encoding_further_items_equals_encoding_the_whole_history(
        kind in prop::sample::select(&KINDS[..]),
        pieces in prop::collection::vec(1_usize..4, 1..5),
        seed in 0_u64..8,
    ) {
        let config = config(kind, 8, 2, 2);
        let scorer = scorer(&config, 3);
        let (count, limit) = (pieces.iter().sum::<usize>(), config.max_length);
        let (history, candidates) = (random_rows(count, 8, seed), random_rows(6, 8, 2));
        let whole = block_on(scorer.score(&history, &candidates)).unwrap();
        let mut end = pieces[0];
        let mut encoded = block_on(scorer.encode(&history[..end * 8])).unwrap();
        for piece in &pieces[1..] {
            let start = end;
            end += piece;
            let next = block_on(scorer.encode_next(&encoded, &history[start * 8..end * 8])).unwrap();
            // Beyond `max_length` the oldest items must be left out.
            prop_assert_eq!(next.is_some(), end <= limit);
            encoded = match next {
                Some(next) => next,
                None => block_on(scorer.encode(&history[..end * 8])).unwrap(),
            };
        }
        let scores = block_on(scorer.score_for(encoded.user(), &candidates)).unwrap();
        for (score, expected) in scores.iter().zip(&whole) {
            prop_assert!((score - expected).abs() < 1e-4, "{:?} is not {:?}", scores, whole);
        }
    }
}

#[test]
fn a_search_query_gives_the_scores_of_a_personal_delta() {
    for kind in [ModelKind::Sasrec, ModelKind::Gru4rec] {
        let scorer = scorer(&config(kind, 8, 1, 2), 3);
        let rows = random_rows(40, 8, 2);
        let table = ItemTable::quantise(&rows, 8).unwrap();
        let encoded = block_on(scorer.encode(&random_rows(4, 8, 1))).unwrap();
        // A delta with a preference and an adapter that are not 0.
        let mut delta = PersonalDelta::<u32>::new("base", 8, 2);
        let example = LearningExample { keys: vec![1, 2], rows: rows[..16].to_vec(), target: 0 };
        let learning = LearningConfig::default();
        block_on(scorer.learn(&mut delta, encoded.user(), &example, &learning)).unwrap();
        let query = scorer.search_query(encoded.user(), &delta);
        let hits = table.top_k(&query, 40, |_| true).unwrap();
        let stored: Vec<f32> = (0..40)
            .flat_map(|at| table.row(at).unwrap().unwrap().values().collect::<Vec<_>>())
            .collect();
        let scores =
            block_on(scorer.personal_scores(encoded.user(), &delta, stored.into())).unwrap();
        assert_eq!(hits.len(), 40);
        for hit in &hits {
            assert_eq!(hit.score.to_bits(), scores[hit.position].to_bits(), "{kind:?}");
        }
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
}

#[test]
fn the_search_query_of_din_is_the_mean_of_the_newest_rows() {
    let config = ModelConfig { max_length: 20, ..config(ModelKind::Din, 2, 1, 1) };
    let scorer = scorer(&config, 3);
    let history: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let encoded = block_on(scorer.encode(&history)).unwrap();
    // The newest ten of twelve rows are (4, 5), (6, 7), … (22, 23).
    let query = scorer.search_query(encoded.user(), &PersonalDelta::<u32>::new("base", 2, 1));
    within(&query, &[13.0, 14.0], 1e-5);
    let short = block_on(scorer.encode(&history[..4])).unwrap();
    let query = scorer.search_query(short.user(), &PersonalDelta::<u32>::new("base", 2, 0));
    within(&query, &[1.0, 2.0], 1e-6);
}

#[test]
fn only_the_newest_items_are_encoded() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 1);
        let (history, candidates) = (random_rows(9, 8, 1), random_rows(3, 8, 2));
        let all = block_on(scorer.score(&history, &candidates)).unwrap();
        let newest = block_on(scorer.score(&history[3 * 8..], &candidates)).unwrap();
        assert_eq!(all, newest);
    }
}

#[test]
fn invalid_input_is_refused() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 1);
        let rows = random_rows(2, 8, 1);
        assert_eq!(block_on(scorer.score(&[], &rows)), Err(ModelError::Empty("the history")));
        assert_eq!(block_on(scorer.score(&rows, &[])), Ok(vec![]));
        assert!(matches!(
            block_on(scorer.score(&rows, &rows[..9])),
            Err(ModelError::Length { expected: 16, found: 9, .. })
        ));
    }
}

#[test]
fn a_candidate_of_nans_affects_only_its_own_score() {
    for kind in KINDS {
        let scorer = scorer(&config(kind, 8, 1, 2), 1);
        let (history, mut candidates) = (random_rows(4, 8, 1), random_rows(5, 8, 2));
        let good = block_on(scorer.score(&history, &candidates)).unwrap();
        candidates[2 * 8] = f32::NAN;
        let scores = block_on(scorer.score(&history, &candidates)).unwrap();
        assert!(scores[2].is_nan(), "{kind:?}: {scores:?}");
        within(&scores[..2], &good[..2], 1e-6);
        within(&scores[3..], &good[3..], 1e-6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn permuted_candidates_have_permuted_scores(
        order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle()
    ) {
        let (history, candidates) = (random_rows(4, 8, 1), random_rows(9, 8, 2));
        let permuted: Vec<f32> =
            order.iter().flat_map(|&at| &candidates[at * 8..at * 8 + 8]).copied().collect();
        for kind in KINDS {
            let scorer = scorer(&config(kind, 8, 2, 2), 4);
            let scores = block_on(scorer.score(&history, &candidates)).unwrap();
            let found = block_on(scorer.score(&history, &permuted)).unwrap();
            let expected: Vec<f32> = order.iter().map(|&at| scores[at]).collect();
            within(&found, &expected, 1e-5);
        }
    }
}
