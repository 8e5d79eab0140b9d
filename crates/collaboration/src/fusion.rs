//! Joins the scores of the language model and the small model into one.

use serde::{Deserialize, Serialize};

use crate::{
    CollaborationError, Normalisation,
    error::check_range,
    ranking::{count_non_finite, order_descending},
};

/// How the scores of the two models are joined.
///
/// Scores are given in the language model's order: index `j` is the item's rank in the
/// candidate list, from 0. [`fuse_pool`](Self::fuse_pool) also takes *unlisted* items, which
/// the device found itself and the language model did not name.
///
/// ```
/// use tandem_collaboration::Fusion;
///
/// // -1/2 + (σ(-2) - 1/2) = -0.881 and -2/2 + (σ(2) - 1/2) = -0.619
/// let fused = Fusion::default().fuse(&[-0.5, -1.5], &[-2.0, 2.0])?;
/// assert_eq!(fused.order, [1, 0]);
/// # Ok::<(), tandem_collaboration::CollaborationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Fusion {
    /// The rule of `LSC4Rec`'s code: `score_j = -(j + 1) / C + β (p_j - 0.5)` with `C` listed
    /// items and `p_j = σ(small model's score)`. Unlisted items have `j = C`.
    Paper {
        /// Weight of the small model; the paper tries 1 and 2.
        beta: f32,
        /// If set, the small model counts only for items with `|p_j - 0.5| > gate`.
        /// The paper tries 0.4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<f32>,
    },
    /// `LSC4Rec` §3.2 as written: `α P_init + (1 - α) P_rerank` on normalised scores.
    ///
    /// `P_rerank` is the small model's score under `small_model`. `P_init` is the language
    /// model's score, normalised in the same way where that is a z-score and to 0..1 over the
    /// pool otherwise.
    Weighted {
        /// Weight of the language model, 0 to 1.
        alpha: f32,
        /// Which score of the language model is used.
        language_model: LanguageModelScore,
        /// Normalisation of the small model's scores.
        small_model: Normalisation,
        /// Distance in nats between the last log-probability of the list and the score of an
        /// unlisted item; at least 0.
        #[serde(default = "default_unlisted_gap")]
        unlisted_gap: f32,
    },
}

/// Default of [`Fusion::Weighted::unlisted_gap`], in nats.
pub const DEFAULT_UNLISTED_GAP: f32 = 0.5;

fn default_unlisted_gap() -> f32 {
    DEFAULT_UNLISTED_GAP
}

/// The language model's score in [`Fusion::Weighted`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum LanguageModelScore {
    /// The rank only: equal steps from the first item to the last. All unlisted items have the
    /// rank after the last one.
    #[default]
    Rank,
    /// The log-probability (nats), so that a confident first place weighs more.
    LogProb,
}

/// A pool of items scored by both models.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// One score per item, in the order of the input; all finite.
    pub scores: Vec<f32>,
    /// Indices into the input, best first; ties by the lower index.
    pub order: Vec<usize>,
    /// Number of input scores that were `NaN` or infinite, over both models.
    pub non_finite: usize,
}

impl Default for Fusion {
    /// The paper's default: `β = 1`, no gate.
    fn default() -> Self {
        Self::Paper { beta: 1.0, gate: None }
    }
}

impl Fusion {
    /// [`Fusion::Weighted`] with the default gap of unlisted items.
    #[must_use]
    pub fn weighted(
        alpha: f32,
        language_model: LanguageModelScore,
        small_model: Normalisation,
    ) -> Self {
        let unlisted_gap = DEFAULT_UNLISTED_GAP;
        Self::Weighted { alpha, language_model, small_model, unlisted_gap }
    }

    /// Checks parameters that come from a manifest.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a value outside its range.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        let largest = f64::from(f32::MAX);
        match *self {
            Self::Paper { beta, gate } => {
                check_range("fusion.beta", f64::from(beta), 0.0, largest, "at least 0")?;
                let gate = f64::from(gate.unwrap_or(0.0));
                check_range("fusion.gate", gate, 0.0, 0.5, "between 0 and 0.5")
            }
            Self::Weighted { alpha, unlisted_gap, .. } => {
                check_range("fusion.alpha", f64::from(alpha), 0.0, 1.0, "between 0 and 1")?;
                let gap = f64::from(unlisted_gap);
                check_range("fusion.unlisted_gap", gap, 0.0, largest, "at least 0")
            }
        }
    }

    /// Joins the scores of a candidate list: [`fuse_pool`](Self::fuse_pool) without unlisted
    /// items.
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
        self.fuse_pool(logprobs, f32::NAN, srm)
    }

    /// Joins the scores of a pool: the items of a candidate list, then unlisted items.
    ///
    /// - `listed_logprobs` `[L]`: log-probabilities (nats) of the listed items that may be
    ///   recommended, in the language model's order.
    /// - `last_logprob`: the last log-probability of the list as it was received. If it is not
    ///   finite, the lowest of `listed_logprobs` is used.
    /// - `srm` `[L + U]`: the small model's raw scores of the listed items, then of the
    ///   unlisted ones.
    ///
    /// An item with a score that is not finite comes last and gets the score of the last item
    /// before it. Several such items keep their order, so that a small model that returns only
    /// `NaN` leaves the order of the list unchanged.
    ///
    /// # Errors
    /// [`CollaborationError::LengthMismatch`] if `srm` is shorter than `listed_logprobs`.
    pub fn fuse_pool(
        &self,
        listed_logprobs: &[f32],
        last_logprob: f32,
        srm: &[f32],
    ) -> Result<Fused, CollaborationError> {
        let listed = listed_logprobs.len();
        if srm.len() < listed {
            return Err(CollaborationError::LengthMismatch { expected: listed, found: srm.len() });
        }
        let mut scores = match *self {
            Self::Paper { beta, gate } => paper(listed, srm, beta, gate),
            Self::Weighted { alpha, language_model, small_model, unlisted_gap } => {
                let unlisted = Unlisted {
                    count: srm.len() - listed,
                    logprob: last_logprob - unlisted_gap,
                    gap: unlisted_gap,
                };
                let initial = language_model.normalised(small_model, listed_logprobs, unlisted);
                let rerank = small_model.apply(srm);
                std::iter::zip(initial, rerank)
                    .map(|(initial, rerank)| alpha * initial + (1.0 - alpha) * rerank)
                    .collect()
            }
        };
        let has_scores = |at: &usize| {
            listed_logprobs.get(*at).is_none_or(|logprob| logprob.is_finite())
                && srm[*at].is_finite()
        };
        let (mut order, last): (Vec<usize>, Vec<usize>) =
            order_descending(&scores).into_iter().partition(has_scores);
        if let Some(&lowest) = order.last() {
            let lowest = scores[lowest];
            for &at in &last {
                scores[at] = lowest;
            }
        }
        order.extend(last);
        let non_finite = count_non_finite(listed_logprobs) + count_non_finite(srm);
        Ok(Fused { scores, order, non_finite })
    }
}

/// The items of a pool that the language model did not name.
#[derive(Clone, Copy, Debug)]
struct Unlisted {
    count: usize,
    /// Their log-probability, if it is finite.
    logprob: f32,
    /// Distance to the lowest listed item otherwise.
    gap: f32,
}

impl LanguageModelScore {
    /// `P_init` of [`Fusion::Weighted`] for listed, then unlisted items.
    fn normalised(
        self,
        small_model: Normalisation,
        logprobs: &[f32],
        unlisted: Unlisted,
    ) -> Vec<f32> {
        let normalisation = match small_model {
            Normalisation::ZScore => Normalisation::ZScore,
            Normalisation::Sigmoid | Normalisation::MinMax | Normalisation::Rank => {
                Normalisation::MinMax
            }
        };
        let (mut raw, of_unlisted): (Vec<f32>, f32) = match self {
            Self::Rank => {
                ((0..logprobs.len()).map(|j| -(j as f32)).collect(), -(logprobs.len() as f32))
            }
            Self::LogProb => {
                let finite = logprobs.iter().copied().filter(|x| x.is_finite());
                let lowest = finite.fold(f32::NAN, f32::min);
                let listed = logprobs.iter().map(|&x| if x.is_finite() { x } else { lowest });
                let of_unlisted = Some(unlisted.logprob).filter(|x| x.is_finite());
                (listed.collect(), of_unlisted.unwrap_or(lowest - unlisted.gap))
            }
        };
        raw.extend(std::iter::repeat_n(of_unlisted, unlisted.count));
        normalisation.apply(&raw)
    }
}

/// The scores of [`Fusion::Paper`].
fn paper(listed: usize, srm: &[f32], beta: f32, gate: Option<f32>) -> Vec<f32> {
    let length = listed.max(1) as f32;
    let p = Normalisation::Sigmoid.apply(srm);
    p.iter()
        .enumerate()
        .map(|(j, p)| {
            let preference = p - 0.5;
            let counts = gate.is_none_or(|gate| preference.abs() > gate);
            let rank = j.min(listed);
            -((rank + 1) as f32) / length + if counts { beta * preference } else { 0.0 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(fusion: Fusion, logprobs: &[f32], srm: &[f32], scores: &[f32], order: &[usize]) {
        let fused = fusion.fuse(logprobs, srm).unwrap();
        for (found, expected) in fused.scores.iter().zip(scores) {
            assert!((found - expected).abs() < 1e-6, "{fusion:?}: {found} is not {expected}");
        }
        assert_eq!(fused.scores.len(), scores.len());
        assert_eq!(fused.order, order);
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
        let rank =
            |alpha| Fusion::weighted(alpha, LanguageModelScore::Rank, Normalisation::Sigmoid);
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
        let side =
            prop::sample::select(vec![LanguageModelScore::Rank, LanguageModelScore::LogProb]);
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
}
