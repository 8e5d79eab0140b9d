//! What a fresh list is expected to gain: a linear rule on what the device can see.
//!
//! The paper calls the cloud when two orders of one list disagree. That says that the list is
//! contested, not that another list would be better. Here the small model compares the list
//! with items *outside* it ([`ListAdvantage`]), and a rule fitted on validation sessions turns
//! the comparison into an expected gain of NDCG@10 ([`UpliftModel`]). The rule is fitted
//! elsewhere. Learning the uplift of a call follows the Meta Controller (Yao et al., KDD 2022).

use serde::{Deserialize, Serialize};

use crate::{CollaborationError, PoolFeatures};

/// Number of ranks that count, as in NDCG@10.
const PLACES: usize = 10;

/// Number of features: the length of [`UpliftEvidence::features`] and of
/// [`UpliftModel::weights`].
pub const FEATURES: usize = 13;

/// How the small model sees a list compared with other items.
///
/// The other items are the device's own finds where it searches the catalogue. Otherwise they
/// are a sample of the catalogue that stays the same from click to click, so that two values
/// can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListAdvantage {
    /// Expected rise of NDCG@10 if the best ten of all known items were shown instead of the
    /// list's first ten: `Σ_r (p_best(r) − p_shown(r)) / log2(r + 2)`, where `p` is the small
    /// model's softmax over list and others. Never negative.
    pub expected_gain: f32,
    /// Mean score of the ten best other items minus that of the ten best of the list (logits).
    pub margin: f32,
    /// Log-odds (nats) that the next item is one of the others:
    /// `ln Σ_others e^score − ln Σ_list e^score`.
    pub log_odds: f32,
}

/// The evidence that [`UpliftModel`] predicts from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpliftEvidence {
    /// The list as the small model sees it now.
    pub now: ListAdvantage,
    /// The list as the small model saw it when it was new. Even a fresh list does not hold
    /// every good item.
    pub baseline: ListAdvantage,
    /// Disagreement of the two models' orders of the list, 0 to 1.
    pub disagreement: f32,
    /// Clicks since the list was requested.
    pub clicks_since: u64,
    /// Number of these clicks on items that the list did not hold.
    pub missed: u64,
    /// How far the user embedding has moved since the list was requested
    /// ([`state_drift`](crate::pool::state_drift)); 0 for a model without one.
    pub state_drift: f32,
    /// How the list compares with what the device finds itself; 0 where it does not search.
    pub pool: PoolFeatures,
}

/// A linear rule that predicts the gain in NDCG@10 of each of the next clicks if the list were
/// replaced. The fields are the weights of [`UpliftEvidence::features`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct UpliftModel {
    /// Gain if all features are 0.
    pub intercept: f32,
    /// Weight of [`ListAdvantage::expected_gain`] now.
    pub expected_gain: f32,
    /// Weight of the same when the list was new.
    #[serde(alias = "expected_gain_when_new")]
    pub expected_gain_baseline: f32,
    /// Weight of [`ListAdvantage::margin`] now.
    pub margin: f32,
    /// Weight of the same when the list was new.
    #[serde(alias = "margin_when_new")]
    pub margin_baseline: f32,
    /// Weight of [`ListAdvantage::log_odds`] now.
    pub log_odds: f32,
    /// Weight of the same when the list was new.
    #[serde(alias = "log_odds_when_new")]
    pub log_odds_baseline: f32,
    /// Weight of [`UpliftEvidence::disagreement`].
    pub disagreement: f32,
    /// Weight of [`UpliftEvidence::clicks_since`].
    pub clicks_since: f32,
    /// Weight of the share of clicks that missed the list.
    pub missed_share: f32,
    /// Weight of [`UpliftEvidence::state_drift`].
    pub state_drift: f32,
    /// Weight of [`PoolFeatures::overlap`].
    pub pool_overlap: f32,
    /// Weight of [`PoolFeatures::listed_share`].
    pub listed_share: f32,
    /// Weight of [`PoolFeatures::confidence`].
    pub confidence: f32,
}

impl ListAdvantage {
    /// Compares a list with other items. `shown` holds the small model's scores of the list in
    /// the order in which it is shown, `others` those of items outside it. Scores that are not
    /// finite are left out; `None` if either side has no finite score.
    #[must_use]
    pub fn new(shown: &[f32], others: &[f32]) -> Option<Self> {
        let (shown, others) = (finite(shown), finite(others));
        if shown.is_empty() || others.is_empty() {
            return None;
        }
        let (of_list, of_others) = (log_sum_exp(&shown), log_sum_exp(&others));
        let all = log_sum_exp(&[of_list, of_others]);
        let list = best_of(shown.iter().copied());
        let others = best_of(others);
        let best = best_of(list.iter().chain(&others).copied());
        let expected = |scores: &[f64]| -> f64 {
            let places = scores.iter().take(PLACES).enumerate();
            places.map(|(rank, score)| (score - all).exp() / (rank as f64 + 2.0).log2()).sum()
        };
        Some(Self {
            expected_gain: (expected(&best) - expected(&shown)).max(0.0) as f32,
            margin: (mean(&others) - mean(&list)) as f32,
            log_odds: (of_others - of_list) as f32,
        })
    }
}

impl UpliftEvidence {
    /// The features in the order of [`UpliftModel::weights`].
    #[must_use]
    pub fn features(&self) -> [f64; FEATURES] {
        let missed_share = self.missed as f64 / self.clicks_since.max(1) as f64;
        [
            self.now.expected_gain.into(),
            self.baseline.expected_gain.into(),
            self.now.margin.into(),
            self.baseline.margin.into(),
            self.now.log_odds.into(),
            self.baseline.log_odds.into(),
            self.disagreement.into(),
            self.clicks_since as f64,
            missed_share,
            self.state_drift.into(),
            self.pool.overlap.into(),
            self.pool.listed_share.into(),
            self.pool.confidence.into(),
        ]
    }
}

impl UpliftModel {
    /// The expected gain in NDCG@10 of a fresh list.
    #[must_use]
    pub fn predict(&self, evidence: &UpliftEvidence) -> f32 {
        let weighted = self.weights().into_iter().zip(evidence.features());
        let sum: f64 = weighted.map(|(weight, feature)| f64::from(weight) * feature).sum();
        (f64::from(self.intercept) + sum) as f32
    }

    /// Checks weights that come from a manifest.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a weight that is not finite.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        for weight in self.weights().into_iter().chain([self.intercept]) {
            if !weight.is_finite() {
                return Err(CollaborationError::InvalidParameter {
                    parameter: "policy.trigger.model",
                    expected: "finite weights",
                    found: weight.into(),
                });
            }
        }
        Ok(())
    }

    /// The weights in the order of [`UpliftEvidence::features`].
    #[must_use]
    pub fn weights(&self) -> [f32; FEATURES] {
        [
            self.expected_gain,
            self.expected_gain_baseline,
            self.margin,
            self.margin_baseline,
            self.log_odds,
            self.log_odds_baseline,
            self.disagreement,
            self.clicks_since,
            self.missed_share,
            self.state_drift,
            self.pool_overlap,
            self.listed_share,
            self.confidence,
        ]
    }

    /// A rule of an intercept and weights in the order of [`weights`](Self::weights).
    #[must_use]
    pub fn from_weights(intercept: f32, weights: [f32; FEATURES]) -> Self {
        let [
            expected_gain,
            expected_gain_baseline,
            margin,
            margin_baseline,
            log_odds,
            log_odds_baseline,
            disagreement,
            clicks_since,
            missed_share,
            state_drift,
            pool_overlap,
            listed_share,
            confidence,
        ] = weights;
        Self {
            intercept,
            expected_gain,
            expected_gain_baseline,
            margin,
            margin_baseline,
            log_odds,
            log_odds_baseline,
            disagreement,
            clicks_since,
            missed_share,
            state_drift,
            pool_overlap,
            listed_share,
            confidence,
        }
    }
}

fn finite(scores: &[f32]) -> Vec<f64> {
    scores.iter().filter(|score| score.is_finite()).map(|&score| score.into()).collect()
}

/// `ln Σ e^x`, without overflow.
fn log_sum_exp(scores: &[f64]) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + scores.iter().map(|score| (score - largest).exp()).sum::<f64>().ln()
}

/// The highest [`PLACES`] scores, best first.
fn best_of(scores: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut best = Vec::with_capacity(PLACES + 1);
    for score in scores {
        if best.len() < PLACES || best.last().is_some_and(|last| score > *last) {
            best.insert(best.partition_point(|other| *other >= score), score);
            best.truncate(PLACES);
        }
    }
    best
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests;
