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
mod tests;
