//! Normalisation of one model's scores so that they can be added to another's.

use serde::{Deserialize, Serialize};

use crate::ranking::order_descending;

/// A normalisation of the scores of one list.
///
/// Every result is finite. A score that is not finite gets the
/// [neutral](Normalisation::neutral) value and does not influence the others. If all scores are
/// equal, or there is only one, all but [`Normalisation::Sigmoid`] return the neutral value.
///
/// ```
/// use tandem_collaboration::Normalisation;
///
/// assert_eq!(Normalisation::MinMax.apply(&[2.0, 6.0, 3.0]), [0.0, 1.0, 0.25]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Normalisation {
    /// `σ(x) = 1 / (1 + e^-x)` of each score; the choice of `LSC4Rec`.
    #[default]
    Sigmoid,
    /// `(x - min) / (max - min)`: 0 to 1 over the list.
    MinMax,
    /// `(x - mean) / standard deviation`, with the population's standard deviation.
    ZScore,
    /// By rank, from 1 for the best to 0 for the last; equal scores get their mean rank.
    Rank,
}

impl Normalisation {
    /// The value of an item without a score: the middle of the range.
    #[must_use]
    pub fn neutral(self) -> f32 {
        match self {
            Self::Sigmoid | Self::MinMax | Self::Rank => 0.5,
            Self::ZScore => 0.0,
        }
    }

    /// The normalised scores in the same order, all finite.
    #[must_use]
    pub fn apply(self, scores: &[f32]) -> Vec<f32> {
        match self {
            Self::Sigmoid => map_finite(scores, self.neutral(), sigmoid),
            Self::MinMax => min_max(scores),
            Self::ZScore => z_score(scores),
            Self::Rank => rank(scores),
        }
    }
}

/// `1 / (1 + e^-x)`, without overflow for large `|x|`.
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn map_finite(scores: &[f32], neutral: f32, scale: impl Fn(f32) -> f32) -> Vec<f32> {
    scores.iter().map(|&x| if x.is_finite() { scale(x) } else { neutral }).collect()
}

fn finite(scores: &[f32]) -> impl Iterator<Item = f64> {
    // In f64, so that the difference of two finite f32 cannot overflow.
    scores.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x))
}

fn min_max(scores: &[f32]) -> Vec<f32> {
    let neutral = Normalisation::MinMax.neutral();
    let low = finite(scores).fold(f64::INFINITY, f64::min);
    let high = finite(scores).fold(f64::NEG_INFINITY, f64::max);
    let spread = high - low;
    if spread <= 0.0 {
        return vec![neutral; scores.len()];
    }
    map_finite(scores, neutral, |x| ((f64::from(x) - low) / spread) as f32)
}

fn z_score(scores: &[f32]) -> Vec<f32> {
    let neutral = Normalisation::ZScore.neutral();
    let Some(first) = finite(scores).next() else {
        return vec![neutral; scores.len()];
    };
    // Rounding of the mean would give equal scores a variance.
    if finite(scores).all(|x| x.to_bits() == first.to_bits()) {
        return vec![neutral; scores.len()];
    }
    let count = finite(scores).count() as f64;
    let mean = finite(scores).sum::<f64>() / count;
    let variance = finite(scores).map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    if variance <= 0.0 {
        return vec![neutral; scores.len()];
    }
    let deviation = variance.sqrt();
    map_finite(scores, neutral, |x| ((f64::from(x) - mean) / deviation) as f32)
}

fn rank(scores: &[f32]) -> Vec<f32> {
    let neutral = Normalisation::Rank.neutral();
    let mut ranked = vec![neutral; scores.len()];
    let mut order = order_descending(scores);
    order.retain(|&position| scores[position].is_finite());
    if order.len() < 2 {
        return ranked;
    }
    let last = (order.len() - 1) as f32;
    let mut start = 0;
    // In descending order, `<=` holds only between equal neighbours.
    for tied in order.chunk_by(|&a, &b| scores[a] <= scores[b]) {
        let mean_rank = start as f32 + (tied.len() - 1) as f32 / 2.0;
        for &position in tied {
            ranked[position] = 1.0 - mean_rank / last;
        }
        start += tied.len();
    }
    ranked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Normalisation; 4] =
        [Normalisation::Sigmoid, Normalisation::MinMax, Normalisation::ZScore, Normalisation::Rank];

    fn check(scale: Normalisation, scores: &[f32], expected: &[f32]) {
        let found = scale.apply(scores);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{scale:?}: {found} is not {expected}");
        }
    }

    #[test]
    fn formulas_match_hand_computed_values() {
        // e^ln(3) = 3: σ(ln 3) = 3/4, σ(-ln 3) = 1/4.
        check(Normalisation::Sigmoid, &[0.0, 3f32.ln(), -(3f32.ln())], &[0.5, 0.75, 0.25]);
        check(Normalisation::MinMax, &[2.0, 6.0, 3.0], &[0.0, 1.0, 0.25]);
        // Mean 5, variance (9 + 1 + 1 + 1 + 0 + 0 + 4 + 16) / 8 = 4.
        check(
            Normalisation::ZScore,
            &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0],
            &[-1.5, -0.5, -0.5, -0.5, 0.0, 0.0, 1.0, 2.0],
        );
        // Ranks 1 (tied 1 and 2: mean 0.5 of 0..3), 2, 3.
        check(
            Normalisation::Rank,
            &[7.0, 1.0, 7.0, 4.0],
            &[1.0 - 0.5 / 3.0, 0.0, 1.0 - 0.5 / 3.0, 1.0 / 3.0],
        );
    }

    #[test]
    fn equal_scores_are_neutral() {
        for scale in ALL {
            assert!(scale.apply(&[]).is_empty());
        }
        for scale in [Normalisation::MinMax, Normalisation::ZScore, Normalisation::Rank] {
            check(scale, &[3.0], &[scale.neutral()]);
            check(scale, &[0.1, 0.1, 0.1], &[scale.neutral(); 3]);
        }
        check(Normalisation::Sigmoid, &[0.0], &[0.5]);
    }

    #[test]
    fn a_non_finite_score_is_neutral_and_does_not_influence_the_others() {
        for scale in ALL {
            let whole = scale.apply(&[1.0, f32::NAN, -2.0, f32::INFINITY, 0.5]);
            let without = scale.apply(&[1.0, -2.0, 0.5]);
            assert_eq!(vec![whole[0], whole[2], whole[4]], without);
            assert_eq!(vec![whole[1], whole[3]], vec![scale.neutral(); 2]);
            assert_eq!(scale.apply(&[f32::NAN; 2]), [scale.neutral(); 2]);
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        check(Normalisation::MinMax, &[f32::MAX, f32::MIN], &[1.0, 0.0]);
        check(Normalisation::ZScore, &[f32::MAX, f32::MIN], &[1.0, -1.0]);
        check(Normalisation::Sigmoid, &[f32::MAX, f32::MIN], &[1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn normalised_scores_keep_the_order_and_the_range(
            scores in prop::collection::vec(prop::num::f32::ANY, 0..40),
        ) {
            for scale in ALL {
                let scaled = scale.apply(&scores);
                prop_assert_eq!(scaled.len(), scores.len());
                for i in 0..scores.len() {
                    prop_assert!(scaled[i].is_finite());
                    if scale != Normalisation::ZScore {
                        prop_assert!((0.0..=1.0).contains(&scaled[i]));
                    }
                    for j in 0..scores.len() {
                        if scores[i].is_finite() && scores[j].is_finite() && scores[i] > scores[j] {
                            prop_assert!(scaled[i] >= scaled[j], "{:?}", scale);
                        }
                    }
                }
            }
        }
    }
}
