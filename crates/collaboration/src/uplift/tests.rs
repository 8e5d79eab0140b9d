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
    let weights = std::array::from_fn(|at| at as f32);
    assert_eq!(UpliftModel::from_weights(0.5, weights).weights(), weights);
}

#[test]
fn a_rule_is_recovered_from_its_own_predictions() {
    let rule = UpliftModel {
        intercept: -0.02,
        expected_gain: 0.8,
        margin: 0.01,
        clicks_since: 0.003,
        ..UpliftModel::default()
    };
    let samples: Vec<UpliftSample> = (0..200_u64)
        .map(|i| {
            let mut evidence = evidence((i * 7 % 13) as f32 / 13.0, (i * 5 % 11) as f32, i % 9);
            evidence.now.log_odds = (i * 3 % 17) as f32;
            evidence.missed = 0;
            UpliftSample { evidence, gain: rule.predict(&evidence) }
        })
        .collect();
    let found = UpliftModel::fit(&samples, 1e-9).unwrap();
    for (found, expected) in found.weights().into_iter().zip(rule.weights()) {
        near(found, expected);
    }
    near(found.intercept, rule.intercept);
    assert!(found.disagreement.abs() < 1e-9, "a feature that never varies gets no weight");
    // A large ridge leaves only the mean.
    let flat = UpliftModel::fit(&samples, 1e6).unwrap();
    let mean = samples.iter().map(|sample| sample.gain).sum::<f32>() / 200.0;
    near(flat.predict(&samples[3].evidence), mean);
}

#[test]
fn fitting_without_valid_samples_is_refused() {
    let sample = UpliftSample { evidence: evidence(0.1, 1.0, 1), gain: 0.1 };
    assert!(UpliftModel::fit(&[], 1.0).is_err());
    assert!(UpliftModel::fit(&[sample], 0.0).is_err());
    assert!(UpliftModel::fit(&[UpliftSample { gain: f32::NAN, ..sample }], 1.0).is_err());
    assert!(UpliftModel::fit(&[sample], 1.0).is_ok());
    assert!(UpliftModel { margin: f32::NAN, ..UpliftModel::default() }.validate().is_err());
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
