//! One score out of two: the language model's and the small model's.

use serde::{Deserialize, Serialize};

use crate::{
    CollaborationError, Normalisation,
    error::check_range,
    ranking::{count_non_finite, order_descending},
};

/// How the two models' scores of one list are joined.
///
/// Slices are in the language model's order: position `j` is its rank, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Fusion {
    /// The rule of `LSC4Rec`'s code: `score_j = -(j + 1) / C + β (p_j - 0.5)` with
    /// `p_j = σ(small model's score)`.
    Paper {
        /// Weight of the small model; the paper tries 1 and 2.
        beta: f32,
        /// If set, the small model counts only where it is sure: `|p_j - 0.5| > gate`.
        /// The paper tries 0.4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<f32>,
    },
    /// `LSC4Rec` §3.2 as its text has it: `α P_init + (1 - α) P_rerank` on normalised scores.
    ///
    /// `P_init` is put on the scale of `P_rerank`: z-scores beside z-scores, else 0 to 1
    /// over the list.
    Weighted {
        /// Weight of the language model, 0 to 1.
        alpha: f32,
        /// What the language model says about an item.
        language_model: LanguageModelScore,
        /// Scale of the small model's scores.
        small_model: Normalisation,
    },
}

/// What of the language model enters [`Fusion::Weighted`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageModelScore {
    /// Its order only: equal steps from the first item to the last.
    #[default]
    Rank,
    /// Its log-probabilities (nats), so that a sure first place weighs more.
    LogProb,
}

/// A list scored by both models.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// One score per item, in the order of the input (the language model's); all finite.
    pub scores: Vec<f32>,
    /// Positions in the input, best first; ties fall to the language model's better rank.
    pub order: Vec<usize>,
    /// How many input scores were `NaN` or infinite, over both models.
    pub non_finite: usize,
}

impl Default for Fusion {
    /// The paper's default: `β = 1`, no gate.
    fn default() -> Self {
        Self::Paper { beta: 1.0, gate: None }
    }
}

impl Fusion {
    /// Refuses parameters that make no sense; call it on what a manifest brings.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        match *self {
            Self::Paper { beta, gate } => {
                let most = f64::from(f32::MAX);
                check_range("fusion.beta", f64::from(beta), 0.0, most, "a number from 0")?;
                let gate = f64::from(gate.unwrap_or(0.0));
                check_range("fusion.gate", gate, 0.0, 0.5, "between 0 and 0.5")
            }
            Self::Weighted { alpha, .. } => {
                check_range("fusion.alpha", f64::from(alpha), 0.0, 1.0, "between 0 and 1")
            }
        }
    }

    /// Joins the scores of a list of `C` items.
    ///
    /// `logprobs` (nats) and `srm` (the small model's raw scores, any real number) have
    /// one entry per item, in the language model's order. An item of which either score is
    /// not finite falls to the end, behind all others and with the score of the last of
    /// them; such items keep the language model's order among themselves, so that a small
    /// model that diverged altogether leaves that order.
    ///
    /// # Errors
    /// [`CollaborationError::LengthMismatch`] if the slices differ in length.
    pub fn fuse(&self, logprobs: &[f32], srm: &[f32]) -> Result<Fused, CollaborationError> {
        if logprobs.len() != srm.len() {
            return Err(CollaborationError::LengthMismatch {
                expected: logprobs.len(),
                found: srm.len(),
            });
        }
        let mut scores = match *self {
            Self::Paper { beta, gate } => paper(srm, beta, gate),
            Self::Weighted { alpha, language_model, small_model } => {
                let initial = language_model.on_scale_of(small_model, logprobs);
                let rerank = small_model.apply(srm);
                std::iter::zip(initial, rerank)
                    .map(|(initial, rerank)| alpha * initial + (1.0 - alpha) * rerank)
                    .collect()
            }
        };
        let broken = |at: &usize| !(logprobs[*at].is_finite() && srm[*at].is_finite());
        let (mut order, last): (Vec<usize>, Vec<usize>) =
            order_descending(&scores).into_iter().partition(|at| !broken(at));
        if let Some(&lowest) = order.last() {
            let lowest = scores[lowest];
            for &at in &last {
                scores[at] = lowest;
            }
        }
        order.extend(last);
        let non_finite = count_non_finite(logprobs) + count_non_finite(srm);
        Ok(Fused { scores, order, non_finite })
    }
}

impl LanguageModelScore {
    /// `P_init`: the language model's side of [`Fusion::Weighted`], in its own order.
    fn on_scale_of(self, small_model: Normalisation, logprobs: &[f32]) -> Vec<f32> {
        let scale = match small_model {
            Normalisation::ZScore => Normalisation::ZScore,
            Normalisation::Sigmoid | Normalisation::MinMax | Normalisation::Rank => {
                Normalisation::MinMax
            }
        };
        let raw: Vec<f32> = match self {
            Self::Rank => (0..logprobs.len()).map(|j| -(j as f32)).collect(),
            Self::LogProb => {
                let lowest =
                    logprobs.iter().copied().filter(|x| x.is_finite()).fold(f32::NAN, f32::min);
                logprobs.iter().map(|&x| if x.is_finite() { x } else { lowest }).collect()
            }
        };
        scale.apply(&raw)
    }
}

fn paper(srm: &[f32], beta: f32, gate: Option<f32>) -> Vec<f32> {
    let length = srm.len() as f32;
    let p = Normalisation::Sigmoid.apply(srm);
    p.iter()
        .enumerate()
        .map(|(j, p)| {
            let preference = p - 0.5;
            let sure = gate.is_none_or(|gate| preference.abs() > gate);
            -((j + 1) as f32) / length + if sure { beta * preference } else { 0.0 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weighted(
        alpha: f32,
        language_model: LanguageModelScore,
        small_model: Normalisation,
    ) -> Fusion {
        Fusion::Weighted { alpha, language_model, small_model }
    }

    fn check(fusion: Fusion, logprobs: &[f32], srm: &[f32], scores: &[f32], order: &[usize]) {
        let fused = fusion.fuse(logprobs, srm).unwrap();
        for (found, expected) in fused.scores.iter().zip(scores) {
            assert!((found - expected).abs() < 1e-6, "{fusion:?}: {found} is not {expected}");
        }
        assert_eq!(fused.scores.len(), scores.len());
        assert_eq!(fused.order, order);
    }

    #[test]
    fn the_papers_rule_by_hand() {
        let ln3 = 3f32.ln(); // σ(ln 3) = 0.75
        let (logprobs, srm) = ([-1.0, -2.0, -3.0, -4.0], [-ln3, 0.0, ln3, 0.0]);
        // -1/4 - 1/8, -2/4, -3/4 + 1/8, -1.
        let half = Fusion::Paper { beta: 0.5, gate: None };
        check(half, &logprobs, &srm, &[-0.375, -0.5, -0.625, -1.0], &[0, 1, 2, 3]);
        let beta2 = Fusion::Paper { beta: 2.0, gate: None };
        check(beta2, &logprobs, &srm, &[-0.75, -0.5, -0.25, -1.0], &[2, 1, 0, 3]);
        // |0.75 - 0.5| is not above 0.3: the small model is not heard.
        let gated = Fusion::Paper { beta: 2.0, gate: Some(0.3) };
        check(gated, &logprobs, &srm, &[-0.25, -0.5, -0.75, -1.0], &[0, 1, 2, 3]);
    }

    #[test]
    fn the_weighted_rule_by_hand() {
        let (logprobs, srm) = ([-1.0, -2.0, -5.0], [0.0, 2.0, 1.0]);
        // Ranks 1, 0.5, 0 and min-max 0, 1, 0.5, half of each.
        let rank = weighted(0.5, LanguageModelScore::Rank, Normalisation::MinMax);
        check(rank, &logprobs, &srm, &[0.5, 0.75, 0.25], &[1, 0, 2]);
        // Log-probabilities on min-max: 1, 0.75, 0; three parts of four.
        let logprob = weighted(0.75, LanguageModelScore::LogProb, Normalisation::MinMax);
        check(logprob, &logprobs, &srm, &[0.75, 0.8125, 0.125], &[1, 0, 2]);
        // Of both, z-scores: deviation of 0, 1, 2 is sqrt(2/3), so ±1.224745 and 0.
        let z = weighted(0.5, LanguageModelScore::Rank, Normalisation::ZScore);
        check(z, &logprobs, &srm, &[0.0, 0.612_372_4, -0.612_372_4], &[1, 0, 2]);
    }

    #[test]
    fn a_diverged_small_model_leaves_the_language_models_order() {
        for fusion in [
            Fusion::default(),
            weighted(0.5, LanguageModelScore::LogProb, Normalisation::ZScore),
            weighted(0.1, LanguageModelScore::Rank, Normalisation::Rank),
        ] {
            let fused = fusion.fuse(&[-1.0, -2.0, -3.0], &[f32::NAN; 3]).unwrap();
            assert_eq!(fused.order, [0, 1, 2]);
            assert_eq!(fused.non_finite, 3);
        }
    }

    #[test]
    fn an_item_with_a_broken_score_falls_to_the_end() {
        // Alone, the first item would lead: it is the language model's, and 0.5 is the
        // middle of the small model's scale.
        let fusion = weighted(0.9, LanguageModelScore::Rank, Normalisation::MinMax);
        let fused = fusion.fuse(&[-1.0, -2.0, -3.0], &[f32::NAN, 0.0, 1.0]).unwrap();
        assert_eq!(fused.order, [1, 2, 0]);
        assert_eq!(fused.non_finite, 1);
        // Ranks 1, ½, 0 and min-max 0, 1: 0.9·½ + 0.1·0 and 0.9·0 + 0.1·1.
        check(fusion, &[-1.0, -2.0, -3.0], &[f32::NAN, 0.0, 1.0], &[0.1, 0.45, 0.1], &[1, 2, 0]);
        let both = fusion.fuse(&[-1.0, f32::NAN, -3.0], &[0.0, 9.0, f32::INFINITY]).unwrap();
        assert_eq!((both.order, both.non_finite), (vec![0, 1, 2], 2));
    }

    #[test]
    fn lists_of_one_and_of_equals_keep_their_order() {
        for scale in [Normalisation::Sigmoid, Normalisation::MinMax, Normalisation::ZScore] {
            let fusion = weighted(0.5, LanguageModelScore::LogProb, scale);
            assert_eq!(fusion.fuse(&[-2.0], &[7.0]).unwrap().order, [0]);
            assert_eq!(fusion.fuse(&[-2.0; 4], &[7.0; 4]).unwrap().order, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn a_missing_logprob_counts_as_the_lowest() {
        let fusion = weighted(1.0, LanguageModelScore::LogProb, Normalisation::MinMax);
        let fused = fusion.fuse(&[f32::NEG_INFINITY, -1.0, -3.0], &[0.0; 3]).unwrap();
        assert_eq!(fused.scores, [0.0, 1.0, 0.0]);
        assert_eq!(fused.non_finite, 1);
        let none = fusion.fuse(&[f32::NAN; 2], &[0.0; 2]).unwrap();
        assert_eq!(none.order, [0, 1]);
    }

    #[test]
    fn an_empty_list_is_a_list_and_lengths_must_agree() {
        check(Fusion::default(), &[], &[], &[], &[]);
        assert_eq!(
            Fusion::default().fuse(&[0.0], &[]),
            Err(CollaborationError::LengthMismatch { expected: 1, found: 0 })
        );
    }

    #[test]
    fn the_manifests_spelling() {
        let fusion = weighted(0.25, LanguageModelScore::LogProb, Normalisation::ZScore);
        let json = r#"{"rule":"weighted","alpha":0.25,"language_model":"log_prob","small_model":"z_score"}"#;
        assert_eq!(serde_json::to_string(&fusion).unwrap(), json);
        let paper: Fusion = serde_json::from_str(r#"{"rule":"paper","beta":1.0}"#).unwrap();
        assert_eq!(paper, Fusion::default());
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let rank = |alpha| weighted(alpha, LanguageModelScore::Rank, Normalisation::Sigmoid);
        assert!(rank(1.0).validate().is_ok());
        assert!(rank(1.1).validate().is_err());
        assert!(rank(f32::NAN).validate().is_err());
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
        let side =
            prop::sample::select(vec![LanguageModelScore::Rank, LanguageModelScore::LogProb]);
        prop_oneof![
            (0.0f32..3.0, prop::option::of(0.0f32..0.5))
                .prop_map(|(beta, gate)| Fusion::Paper { beta, gate }),
            (0.0f32..=1.0, side, scale)
                .prop_map(|(alpha, side, scale)| weighted(alpha, side, scale)),
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
        fn alpha_one_is_the_language_models_order(
            (logprobs, srm) in lists(), log in any::<bool>(),
        ) {
            let side = if log { LanguageModelScore::LogProb } else { LanguageModelScore::Rank };
            let fused = weighted(1.0, side, Normalisation::MinMax).fuse(&logprobs, &srm).unwrap();
            prop_assert_eq!(fused.order, (0..srm.len()).collect::<Vec<_>>());
        }

        #[test]
        fn alpha_zero_is_the_small_models_order((logprobs, srm) in lists()) {
            let fusion = weighted(0.0, LanguageModelScore::Rank, Normalisation::Rank);
            let fused = fusion.fuse(&logprobs, &srm).unwrap();
            prop_assert_eq!(fused.order, order_descending(&srm));
        }

        #[test]
        fn an_item_that_both_prefer_is_not_ranked_below(
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
}
