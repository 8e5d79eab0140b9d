use proptest::prelude::*;

use super::*;

fn evidence(gain: f32, margin: f32, clicks_since: u64) -> UpliftEvidence {
    UpliftEvidence {
        now: ListAdvantage { expected_gain: gain, margin, log_odds: margin },
        disagreement: 0.3,
        clicks_since,
        missed: 1,
        ..UpliftEvidence::default()
    }
}

fn near(found: f32, expected: f32) {
    assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
}

#[test]
fn a_list_advantage_matches_hand_computed_values() {
    // Scores as logarithms of 1, 2 and of 4, 1: a sum of 8.
    let (shown, others) = ([0.0, 2f32.ln()], [4f32.ln(), 0.0]);
    let list_advantage = ListAdvantage::new(&shown, &others).unwrap();
    // Best of all: 4/8, 2/8, 1/8, 1/8; shown: 1/8, 2/8.
    let place = |rank: f32| 1.0 / (rank + 2.0).log2();
    let best = 0.5 + 0.25 * place(1.0) + 0.125 * place(2.0) + 0.125 * place(3.0);
    near(list_advantage.expected_gain, best - (0.125 + 0.25 * place(1.0)));
    near(list_advantage.margin, 4f32.ln() / 2.0 - 2f32.ln() / 2.0);
    near(list_advantage.log_odds, (5f32 / 3.0).ln());
}

#[test]
fn a_list_advantage_needs_both_sides_and_skips_non_finite_scores() {
    assert_eq!(ListAdvantage::new(&[], &[1.0]), None);
    assert_eq!(ListAdvantage::new(&[1.0], &[f32::NAN]), None);
    let broken = ListAdvantage::new(&[f32::INFINITY, 1.0, 2.0], &[0.5, f32::NAN]);
    assert_eq!(broken, ListAdvantage::new(&[1.0, 2.0], &[0.5]));
    let huge = ListAdvantage::new(&[3e38, 0.0], &[-3e38]).unwrap();
    assert!(huge.expected_gain.abs() < 1e-6, "the best is shown first: {huge:?}");
}

#[test]
fn a_prediction_matches_a_hand_computed_value() {
    let model = UpliftModel {
        intercept: 0.01,
        expected_gain: 0.5,
        clicks_since: 0.002,
        missed_share: 0.03,
        ..UpliftModel::default()
    };
    // 0.01 + 0.5·0.02 + 0.002·4 + 0.03·1/4.
    near(model.predict(&evidence(0.02, 5.0, 4)), 0.0355);
    near(model.predict(&evidence(0.02, 5.0, 0)), 0.05);
}

#[test]
fn every_feature_has_its_own_weight() {
    let evidence = UpliftEvidence {
        now: ListAdvantage { expected_gain: 1.0, margin: 2.0, log_odds: 3.0 },
        baseline: ListAdvantage { expected_gain: 4.0, margin: 5.0, log_odds: 6.0 },
        disagreement: 7.0,
        clicks_since: 8,
        missed: 4,
        state_drift: 9.0,
        pool: PoolFeatures { overlap: 10.0, listed_share: 11.0, confidence: 12.0 },
    };
    let only = |json: &str| serde_json::from_str::<UpliftModel>(json).unwrap().predict(&evidence);
    for (field, expected) in [
        ("expected_gain", 1.0),
        ("expected_gain_baseline", 4.0),
        ("expected_gain_when_new", 4.0),
        ("margin", 2.0),
        ("margin_baseline", 5.0),
        ("log_odds", 3.0),
        ("log_odds_baseline", 6.0),
        ("disagreement", 7.0),
        ("clicks_since", 8.0),
        ("missed_share", 0.5),
        ("state_drift", 9.0),
        ("pool_overlap", 10.0),
        ("listed_share", 11.0),
        ("confidence", 12.0),
    ] {
        near(only(&format!("{{\"{field}\":1}}")), expected);
    }
    let weights: [f32; FEATURES] = std::array::from_fn(|at| at as f32);
    let found = UpliftModel::from_weights(0.5, weights).weights();
    assert_eq!(found.map(f32::to_bits), weights.map(f32::to_bits));
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    assert!(UpliftModel { margin: f32::NAN, ..UpliftModel::default() }.validate().is_err());
    assert!(
        UpliftModel { confidence: f32::INFINITY, ..UpliftModel::default() }.validate().is_err()
    );
    assert!(UpliftModel::default().validate().is_ok());
}

proptest! {
    #[test]
    fn a_list_advantage_is_finite_and_never_expects_a_loss(
        shown in prop::collection::vec(-50.0f32..50.0, 1..60),
        others in prop::collection::vec(-50.0f32..50.0, 1..60),
    ) {
        let list_advantage = ListAdvantage::new(&shown, &others).unwrap();
        prop_assert!(list_advantage.expected_gain >= 0.0 && list_advantage.expected_gain <= 5.0);
        prop_assert!(list_advantage.margin.is_finite() && list_advantage.log_odds.is_finite());
    }
}
