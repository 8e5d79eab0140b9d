use proptest::prelude::*;

use super::*;

/// Checks a list, which is a pool without unlisted items.
fn check(fusion: Fusion, logprobs: &[f32], srm: &[f32], scores: &[f32], order: &[usize]) {
    check_pool(fusion, (logprobs, f32::NAN), srm, scores, order);
    assert_eq!(fusion.fuse(logprobs, srm), fusion.fuse_pool(logprobs, f32::NAN, srm));
}

fn check_pool(
    fusion: Fusion,
    (listed, last): (&[f32], f32),
    srm: &[f32],
    scores: &[f32],
    order: &[usize],
) {
    let fused = fusion.fuse_pool(listed, last, srm).unwrap();
    for (found, expected) in fused.scores.iter().zip(scores) {
        assert!((found - expected).abs() < 1e-6, "{fusion:?}: {:?}", fused.scores);
    }
    assert_eq!((fused.scores.len(), fused.order), (scores.len(), order.to_vec()));
}

#[test]
fn the_paper_rule_matches_hand_computed_scores() {
    let ln3 = 3f32.ln(); // σ(ln 3) = 0.75
    let (logprobs, srm) = ([-1.0, -2.0, -3.0, -4.0], [-ln3, 0.0, ln3, 0.0]);
    // -1/4 - 1/8, -2/4, -3/4 + 1/8, -1.
    let half = Fusion::Paper { beta: 0.5, gate: None };
    check(half, &logprobs, &srm, &[-0.375, -0.5, -0.625, -1.0], &[0, 1, 2, 3]);
    let beta2 = Fusion::Paper { beta: 2.0, gate: None };
    check(beta2, &logprobs, &srm, &[-0.75, -0.5, -0.25, -1.0], &[2, 1, 0, 3]);
    // |0.75 - 0.5| is not above 0.3: the small model does not count.
    let gated = Fusion::Paper { beta: 2.0, gate: Some(0.3) };
    check(gated, &logprobs, &srm, &[-0.25, -0.5, -0.75, -1.0], &[0, 1, 2, 3]);
}

#[test]
fn the_weighted_rule_matches_hand_computed_scores() {
    let (logprobs, srm) = ([-1.0, -2.0, -5.0], [0.0, 2.0, 1.0]);
    // Ranks 1, 0.5, 0 and min-max 0, 1, 0.5, each weighted by one half.
    let rank = Fusion::weighted(0.5, LanguageModelScore::Rank, Normalisation::MinMax);
    check(rank, &logprobs, &srm, &[0.5, 0.75, 0.25], &[1, 0, 2]);
    // Log-probabilities on min-max: 1, 0.75, 0, weighted by 0.75.
    let logprob = Fusion::weighted(0.75, LanguageModelScore::LogProb, Normalisation::MinMax);
    check(logprob, &logprobs, &srm, &[0.75, 0.8125, 0.125], &[1, 0, 2]);
    // z-scores of both: deviation of 0, 1, 2 is sqrt(2/3), so ±1.224745 and 0.
    let z = Fusion::weighted(0.5, LanguageModelScore::Rank, Normalisation::ZScore);
    check(z, &logprobs, &srm, &[0.0, 0.612_372_4, -0.612_372_4], &[1, 0, 2]);
}

#[test]
fn a_small_model_of_nans_keeps_the_language_model_order() {
    for fusion in [
        Fusion::default(),
        Fusion::weighted(0.5, LanguageModelScore::LogProb, Normalisation::ZScore),
        Fusion::weighted(0.1, LanguageModelScore::Rank, Normalisation::Rank),
    ] {
        let fused = fusion.fuse(&[-1.0, -2.0, -3.0], &[f32::NAN; 3]).unwrap();
        assert_eq!(fused.order, [0, 1, 2]);
        assert_eq!(fused.non_finite, 3);
    }
}

#[test]
fn an_item_with_a_non_finite_score_comes_last() {
    // The first item would lead if its missing score counted as 0.5, the middle of the scale.
    let fusion = Fusion::weighted(0.9, LanguageModelScore::Rank, Normalisation::MinMax);
    let fused = fusion.fuse(&[-1.0, -2.0, -3.0], &[f32::NAN, 0.0, 1.0]).unwrap();
    assert_eq!(fused.order, [1, 2, 0]);
    assert_eq!(fused.non_finite, 1);
    // Ranks 1, ½, 0 and min-max 0, 1: 0.9·½ + 0.1·0 and 0.9·0 + 0.1·1.
    check(fusion, &[-1.0, -2.0, -3.0], &[f32::NAN, 0.0, 1.0], &[0.1, 0.45, 0.1], &[1, 2, 0]);
    let both = fusion.fuse(&[-1.0, f32::NAN, -3.0], &[0.0, 9.0, f32::INFINITY]).unwrap();
    assert_eq!((both.order, both.non_finite), (vec![0, 1, 2], 2));
}

#[test]
fn lists_of_one_item_or_of_equal_scores_keep_their_order() {
    for scale in [Normalisation::Sigmoid, Normalisation::MinMax, Normalisation::ZScore] {
        let fusion = Fusion::weighted(0.5, LanguageModelScore::LogProb, scale);
        assert_eq!(fusion.fuse(&[-2.0], &[7.0]).unwrap().order, [0]);
        assert_eq!(fusion.fuse(&[-2.0; 4], &[7.0; 4]).unwrap().order, [0, 1, 2, 3]);
    }
}

#[test]
fn a_missing_logprob_counts_as_the_lowest() {
    let fusion = Fusion::weighted(1.0, LanguageModelScore::LogProb, Normalisation::MinMax);
    let fused = fusion.fuse(&[f32::NEG_INFINITY, -1.0, -3.0], &[0.0; 3]).unwrap();
    assert_eq!(fused.scores, [0.0, 1.0, 0.0]);
    assert_eq!(fused.non_finite, 1);
    let none = fusion.fuse(&[f32::NAN; 2], &[0.0; 2]).unwrap();
    assert_eq!(none.order, [0, 1]);
}

#[test]
fn an_empty_list_is_accepted_and_lengths_must_agree() {
    check(Fusion::default(), &[], &[], &[], &[]);
    assert_eq!(
        Fusion::default().fuse(&[0.0], &[]),
        Err(CollaborationError::LengthMismatch { expected: 1, found: 0 })
    );
}

#[test]
fn the_json_of_a_manifest_is_read_and_written() {
    let fusion = Fusion::weighted(0.25, LanguageModelScore::LogProb, Normalisation::ZScore);
    let json = r#"{"rule":"weighted","alpha":0.25,"language_model":"log_prob","small_model":"z_score","unlisted_gap":0.5}"#;
    assert_eq!(serde_json::to_string(&fusion).unwrap(), json);
    let old = json.replace(r#","unlisted_gap":0.5"#, "");
    assert_eq!(serde_json::from_str::<Fusion>(&old).unwrap(), fusion);
    let paper: Fusion = serde_json::from_str(r#"{"rule":"paper","beta":1.0}"#).unwrap();
    assert_eq!(paper, Fusion::default());
}

#[test]
fn unlisted_items_score_a_gap_below_the_last_logprob_of_the_list() {
    let fusion = |alpha, unlisted_gap| Fusion::Weighted {
        alpha,
        language_model: LanguageModelScore::LogProb,
        small_model: Normalisation::MinMax,
        unlisted_gap,
    };
    // The list ended at -4; its last item was clicked since. Unlisted: -5. On 0..1 over
    // -1, -2, -5, -5 that is 1, 0.75, 0, 0; the small model gives 0, 0.5, 1, 0.5.
    let listed = (&[-1.0, -2.0][..], -4.0);
    let srm = [0.0, 1.0, 2.0, 1.0];
    check_pool(fusion(0.5, 1.0), listed, &srm, &[0.5, 0.625, 0.5, 0.25], &[1, 0, 2, 3]);
    // Without a gap, unlisted items score -4: 1, 2/3, 0, 0.
    let scores = [0.75, 0.5 + 0.125, 0.25, 0.125];
    check_pool(fusion(0.75, 0.0), listed, &srm, &scores, &[0, 1, 2, 3]);
    // Unknown end of the list: the lowest listed log-probability counts. -1, -2, -3, -3.
    let unknown = (&[-1.0, -2.0][..], f32::NAN);
    check_pool(fusion(0.5, 1.0), unknown, &srm, &[0.5, 0.5, 0.5, 0.25], &[0, 1, 2, 3]);
}

#[test]
fn unlisted_items_share_the_rank_after_the_list() {
    // Ranks 0, 1, 2, 2 on 0..1: 1, 0.5, 0, 0.
    let fusion = Fusion::weighted(0.5, LanguageModelScore::Rank, Normalisation::MinMax);
    let listed = (&[-1.0, -2.0][..], -9.0);
    let srm = [0.0, 1.0, 2.0, 1.0];
    check_pool(fusion, listed, &srm, &[0.5, 0.5, 0.5, 0.25], &[0, 1, 2, 3]);
    // σ(ln 3) = 0.75. -1/2, -2/2 + 1/4, -3/2 + 1/4, -3/2.
    let srm = [0.0, 3f32.ln(), 3f32.ln(), 0.0];
    check_pool(Fusion::default(), listed, &srm, &[-0.5, -0.75, -1.25, -1.5], &[0, 1, 2, 3]);
}

#[test]
fn without_a_list_the_small_model_decides() {
    for fusion in [
        Fusion::default(),
        Fusion::weighted(0.9, LanguageModelScore::LogProb, Normalisation::ZScore),
        Fusion::weighted(0.9, LanguageModelScore::Rank, Normalisation::MinMax),
    ] {
        let fused = fusion.fuse_pool(&[], f32::NAN, &[0.5, f32::NAN, 2.0, 1.0]).unwrap();
        assert_eq!((fused.order, fused.non_finite), (vec![2, 3, 0, 1], 1));
    }
    let mismatch = CollaborationError::LengthMismatch { expected: 2, found: 1 };
    assert_eq!(Fusion::default().fuse_pool(&[0.0; 2], 0.0, &[0.0]), Err(mismatch));
}

#[test]
fn parameters_out_of_range_are_refused() {
    let rank = |alpha| Fusion::weighted(alpha, LanguageModelScore::Rank, Normalisation::Sigmoid);
    assert!(rank(1.0).validate().is_ok());
    assert!(rank(1.1).validate().is_err());
    assert!(rank(f32::NAN).validate().is_err());
    for unlisted_gap in [-0.1, f32::NAN] {
        let Fusion::Weighted { alpha, language_model, small_model, .. } = rank(0.5) else {
            unreachable!()
        };
        let fusion = Fusion::Weighted { alpha, language_model, small_model, unlisted_gap };
        assert!(fusion.validate().is_err());
    }
    assert!(Fusion::Paper { beta: -1.0, gate: None }.validate().is_err());
    assert!(Fusion::Paper { beta: 1.0, gate: Some(0.6) }.validate().is_err());
    assert!(Fusion::default().validate().is_ok());
}

fn lists() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    prop::collection::vec((-9.0f32..0.0, -9.0f32..9.0), 1..40).prop_map(|pairs| {
        let (mut logprobs, srm): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        logprobs.sort_by(|a, b| b.total_cmp(a)); // a list is in the language model's order
        (logprobs, srm)
    })
}

fn any_fusion() -> impl Strategy<Value = Fusion> {
    let scale = prop::sample::select(vec![
        Normalisation::Sigmoid,
        Normalisation::MinMax,
        Normalisation::ZScore,
        Normalisation::Rank,
    ]);
    let side = prop::sample::select(vec![LanguageModelScore::Rank, LanguageModelScore::LogProb]);
    prop_oneof![
        (0.0f32..3.0, prop::option::of(0.0f32..0.5))
            .prop_map(|(beta, gate)| Fusion::Paper { beta, gate }),
        (0.0f32..=1.0, side, scale)
            .prop_map(|(alpha, side, scale)| Fusion::weighted(alpha, side, scale)),
    ]
}

proptest! {
    #[test]
    fn an_order_is_always_a_permutation(
        (logprobs, mut srm) in lists(), fusion in any_fusion(), broken in any::<prop::sample::Index>(),
    ) {
        let broken = broken.index(srm.len());
        srm[broken] = f32::NAN;
        let fused = fusion.fuse(&logprobs, &srm).unwrap();
        prop_assert!(crate::positions(&fused.order).is_ok());
        prop_assert!(fused.scores.iter().all(|score| score.is_finite()));
        prop_assert_eq!(fused.non_finite, 1);
    }

    #[test]
    fn a_pool_has_a_finite_score_and_a_place_for_every_item(
        (logprobs, srm) in lists(), unlisted in prop::collection::vec(-9.0f32..9.0, 0..20),
        fusion in any_fusion(),
    ) {
        let pool = [srm, unlisted].concat();
        let fused = fusion.fuse_pool(&logprobs, logprobs[logprobs.len() - 1], &pool).unwrap();
        prop_assert!(crate::positions(&fused.order).is_ok());
        prop_assert_eq!(fused.scores.len(), pool.len());
        prop_assert!(fused.scores.iter().all(|score| score.is_finite()));
    }

    #[test]
    fn alpha_one_keeps_the_language_model_order(
        (logprobs, srm) in lists(), log in any::<bool>(),
    ) {
        let side = if log { LanguageModelScore::LogProb } else { LanguageModelScore::Rank };
        let fused = Fusion::weighted(1.0, side, Normalisation::MinMax).fuse(&logprobs, &srm).unwrap();
        prop_assert_eq!(fused.order, (0..srm.len()).collect::<Vec<_>>());
    }

    #[test]
    fn alpha_zero_gives_the_small_model_order((logprobs, srm) in lists()) {
        let fusion = Fusion::weighted(0.0, LanguageModelScore::Rank, Normalisation::Rank);
        let fused = fusion.fuse(&logprobs, &srm).unwrap();
        prop_assert_eq!(fused.order, order_descending(&srm));
    }

    #[test]
    fn an_item_that_both_models_prefer_ranks_higher(
        (logprobs, srm) in lists(), fusion in any_fusion(),
    ) {
        let fused = fusion.fuse(&logprobs, &srm).unwrap();
        let ranks = crate::positions(&fused.order).unwrap();
        // The gate is a step at which a dislike may stop counting; elsewhere, monotone.
        let gated = matches!(fusion, Fusion::Paper { gate: Some(_), .. });
        for better in 0..srm.len() {
            for worse in better + 1..srm.len() {
                if !gated && srm[better] >= srm[worse] {
                    prop_assert!(ranks[better] < ranks[worse]);
                }
            }
        }
    }
}
