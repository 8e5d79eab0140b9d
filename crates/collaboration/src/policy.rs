//! Whether to request a new candidate list from the cloud, and why.
//!
//! First the list is evaluated: whether there is one, whether it is used up or too old, and
//! whether a fresh one is expected to help or the two models disagree about it ([`Trigger`]).
//! If a call is wanted, the limits are checked: a call in flight, no network, a server that
//! failed recently, a spent budget. There is one decision per user and click, and no state is
//! kept between two decisions.

mod reason;

use serde::{Deserialize, Serialize};

pub use reason::{NextCall, Reason, ReasonCode};

use crate::{
    BucketLimits, CallShare, CollaborationError, Consistency, TokenBucket, UpliftEvidence,
    UpliftModel, error::check_range,
};

/// When the cloud is called. Calibrated on validation data and shipped in the manifest.
///
/// Fields that are absent from the JSON have their default.
///
/// ```
/// use tandem_collaboration::{Action, Policy, Situation};
///
/// let start = Situation {
///     list: None,
///     clicks: 0,
///     calls: 0,
///     in_flight: false,
///     offline: false,
///     retry_in_ms: None,
///     bucket_wait_ms: 0.0,
/// };
/// let decision = Policy::default().decide(&start);
/// assert_eq!(decision.action, Action::Request);
/// assert_eq!(decision.reason.to_string(), "no candidates yet");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Policy {
    /// Measure of the disagreement of the two orders. Default: [`Consistency::Footrule`].
    pub consistency: Consistency,
    /// A call is wanted if the disagreement is above this value; 0 to 1. Default 0.4; with the
    /// footrule, a random order has a disagreement of 2/3.
    pub threshold: f32,
    /// The rule that decides whether a usable list is replaced. Default:
    /// [`Trigger::Disagreement`].
    pub trigger: Trigger,
    /// Number of clicks after which a list is replaced. Default 20.
    pub max_clicks_since_list: Option<u64>,
    /// Age in milliseconds above which a list is replaced. Default ten minutes.
    pub max_age_ms: Option<f64>,
    /// A list with fewer recommendable items than this is used up. Default 10.
    pub min_unseen: usize,
    /// Limit of calls over time; `None` for no limit. Default: [`BucketLimits::default`].
    pub bucket: Option<BucketLimits>,
    /// Limit of calls as a share of interactions. Default: none.
    pub max_call_share: Option<CallShare>,
}

/// The rule that decides whether a usable list is replaced.
///
/// All but the first two are baselines for comparison. No rule requests a list again if
/// nothing happened since the last request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "when", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Trigger {
    /// The two orders disagree by more than [`Policy::threshold`].
    #[default]
    Disagreement,
    /// The expected gain of a fresh list is above a threshold. Without evidence for a
    /// prediction, [`Trigger::Disagreement`] decides.
    Uplift {
        /// Gain in NDCG@10 above which a call is wanted; calibrated for a call budget.
        threshold: f32,
        /// Predicts the gain.
        model: UpliftModel,
    },
    /// Never, except for the first list.
    Never,
    /// At every click.
    Always,
    /// At a share of the clicks, chosen by a hash of seed and click number.
    Random {
        /// Probability of a call per click, 0 to 1.
        share: f32,
        /// Seed; should differ between the sessions of an evaluation.
        seed: u64,
    },
    /// At the clicks number k, 2k, 3k, …
    EveryKthClick {
        /// Distance of two calls in clicks, at least 1.
        k: u64,
    },
    /// When `k` distinct items have joined the history since the last list.
    NewItems {
        /// Number of items, at least 1.
        k: u64,
    },
}

/// The input of a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// The list in use, if there is one.
    pub list: Option<ListState>,
    /// Number of clicks in this session, including the current one.
    pub clicks: u64,
    /// Number of calls in this session.
    pub calls: u64,
    /// Whether a call is in flight.
    pub in_flight: bool,
    /// Whether there is no network, or calls are switched off.
    pub offline: bool,
    /// Milliseconds until a server that failed may be tried again
    /// ([`Backoff::retry_in_ms`](crate::Backoff::retry_in_ms)).
    pub retry_in_ms: Option<f64>,
    /// Milliseconds until the token bucket allows a call ([`TokenBucket::wait_ms`]): 0 if it
    /// does now, infinite if it never will.
    pub bucket_wait_ms: f64,
}

/// State of the list in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListState {
    /// Disagreement of the two models' orders, measured by [`Policy::consistency`]; `None` if
    /// the list has fewer than two items.
    pub disagreement: Option<f32>,
    /// Evidence for [`Trigger::Uplift`]; `None` if the small model cannot compare the list
    /// with other items, or the trigger does not need it.
    pub uplift: Option<UpliftEvidence>,
    /// Age in milliseconds.
    pub age_ms: f64,
    /// Clicks and dislikes since the list was requested.
    pub clicks_since: u64,
    /// Distinct items that joined the history since the list was requested.
    pub new_items_since: u64,
    /// Number of its items that can still be recommended.
    pub unseen: usize,
    /// Whether the language model made it for this visitor. `false` for a list of popular
    /// items.
    pub personal: bool,
    /// Whether the device searches the catalogue itself. It then has enough to recommend when
    /// the list is used up, and the expected gain of a fresh list decides alone.
    pub device_search: bool,
}

/// What to do with the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Action {
    /// Keep it.
    Keep,
    /// Request a new one.
    Request,
}

/// A decision and the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The reason.
    #[serde(flatten)]
    pub reason: Reason,
    /// Disagreement of the two orders, if there was a list to compare.
    pub disagreement: Option<f32>,
    /// [`Policy::threshold`].
    pub threshold: f32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            consistency: Consistency::Footrule,
            threshold: 0.4,
            trigger: Trigger::Disagreement,
            max_clicks_since_list: Some(20),
            max_age_ms: Some(600_000.0),
            min_unseen: 10,
            bucket: Some(BucketLimits::default()),
            max_call_share: None,
        }
    }
}

impl Policy {
    /// A policy with this trigger and without any limit of age, clicks or budget, for the
    /// comparison of triggers.
    #[must_use]
    pub fn bare(trigger: Trigger) -> Self {
        Self {
            trigger,
            max_clicks_since_list: None,
            max_age_ms: None,
            min_unseen: 0,
            bucket: None,
            ..Self::default()
        }
    }

    /// Checks parameters that come from a manifest.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a value outside its range.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        self.consistency.validate()?;
        let threshold = f64::from(self.threshold);
        check_range("policy.threshold", threshold, 0.0, 1.0, "between 0 and 1")?;
        let age = self.max_age_ms.unwrap_or(0.0);
        check_range("policy.max_age_ms", age, 0.0, f64::MAX, "at least 0")?;
        match self.trigger {
            Trigger::Random { share, .. } => {
                let share = f64::from(share);
                check_range("policy.trigger.share", share, 0.0, 1.0, "between 0 and 1")?;
            }
            Trigger::EveryKthClick { k } | Trigger::NewItems { k } => {
                check_range("policy.trigger.k", k as f64, 1.0, f64::MAX, "at least 1")?;
            }
            Trigger::Uplift { threshold, model } => {
                let (threshold, most) = (f64::from(threshold), f64::from(f32::MAX));
                check_range("policy.trigger.threshold", threshold, -most, most, "a number")?;
                model.validate()?;
            }
            Trigger::Disagreement | Trigger::Never | Trigger::Always => {}
        }
        self.bucket.map_or(Ok(()), |bucket| bucket.validate())?;
        self.max_call_share.map_or(Ok(()), CallShare::validate)
    }

    /// A full token bucket with the limits of this policy; `None` if there is no limit over
    /// time.
    #[must_use]
    pub fn new_bucket(&self) -> Option<TokenBucket> {
        self.bucket.map(TokenBucket::new)
    }

    /// Decides whether to keep the list or to request a new one.
    ///
    /// The caller takes a token of the bucket when it makes the call.
    #[must_use]
    pub fn decide(&self, situation: &Situation) -> Decision {
        let disagreement = situation.list.and_then(|list| list.disagreement);
        let (action, reason) = match self.evaluate_list(situation) {
            (Action::Keep, reason) => (Action::Keep, reason),
            (Action::Request, reason) => match self.blocked_by(situation) {
                Some(limit) => (Action::Keep, limit),
                None => (Action::Request, reason),
            },
        };
        Decision { action, reason, disagreement, threshold: self.threshold }
    }

    /// The decision before limits are checked.
    fn evaluate_list(&self, situation: &Situation) -> (Action, Reason) {
        let Some(list) = situation.list else {
            return (Action::Request, Reason::NoCandidates);
        };
        if let Some(max_age_ms) = self.max_age_ms
            && list.age_ms > max_age_ms
        {
            return (Action::Request, Reason::ListTooOld { max_age_ms });
        }
        // For the same history the language model returns the same list.
        if list.clicks_since == 0 {
            return (Action::Keep, Reason::ListUpToDate);
        }
        if !list.personal && list.new_items_since > 0 {
            return (Action::Request, Reason::ListNotPersonal);
        }
        let gain_decides = list.device_search
            && list.uplift.is_some()
            && matches!(self.trigger, Trigger::Uplift { .. });
        if !gain_decides && list.unseen < self.min_unseen {
            return (Action::Request, Reason::ListUsedUp { left: list.unseen });
        }
        // Also where the gain decides: the rule was fitted on sessions of a few clicks, and says
        // nothing about lists that are older.
        if let Some(limit) = self.max_clicks_since_list
            && list.clicks_since >= limit
        {
            return (Action::Request, Reason::ManyClicks { clicks: list.clicks_since });
        }
        self.evaluate_trigger(situation.clicks, &list)
    }

    fn evaluate_trigger(&self, clicks: u64, list: &ListState) -> (Action, Reason) {
        let (wanted, reason) = match self.trigger {
            Trigger::Disagreement => self.compare_orders(list),
            Trigger::Uplift { threshold, model } => match &list.uplift {
                None => self.compare_orders(list),
                Some(evidence) => {
                    let gain = model.predict(evidence);
                    if gain > threshold {
                        (true, Reason::FreshListHelps { gain, threshold })
                    } else {
                        (false, Reason::FreshListHelpsLittle { gain, threshold })
                    }
                }
            },
            Trigger::Never => (false, Reason::NotScheduled),
            Trigger::Always => (true, Reason::Scheduled),
            Trigger::Random { share, seed } => scheduled(uniform(seed, clicks) < f64::from(share)),
            Trigger::EveryKthClick { k } => scheduled(clicks.is_multiple_of(k.max(1))),
            Trigger::NewItems { k } => scheduled(list.new_items_since >= k),
        };
        (if wanted { Action::Request } else { Action::Keep }, reason)
    }

    fn compare_orders(&self, list: &ListState) -> (bool, Reason) {
        let Some(disagreement) = list.disagreement else {
            return (false, Reason::NothingToCompare);
        };
        let threshold = self.threshold;
        if disagreement > threshold {
            (true, Reason::RankingsDisagree { disagreement, threshold })
        } else {
            (false, Reason::RankingsAgree { disagreement, threshold })
        }
    }

    /// The limit that prevents a wanted call, if there is one.
    fn blocked_by(&self, situation: &Situation) -> Option<Reason> {
        if situation.in_flight {
            return Some(Reason::CallUnderWay);
        }
        if situation.offline {
            return Some(Reason::Offline);
        }
        if let Some(retry_in_ms) = situation.retry_in_ms {
            return Some(Reason::LastCallFailed { retry_in_ms });
        }
        if self.bucket.is_some() && situation.bucket_wait_ms > 0.0 {
            let wait = situation.bucket_wait_ms;
            let next = if wait.is_finite() { NextCall::InMs(wait) } else { NextCall::Never };
            return Some(Reason::BudgetSpent { next });
        }
        let share = self.max_call_share?;
        match share.clicks_until_next(situation.calls, situation.clicks) {
            Some(0) => None,
            Some(clicks) => Some(Reason::BudgetSpent { next: NextCall::AfterClicks(clicks) }),
            None => Some(Reason::BudgetSpent { next: NextCall::Never }),
        }
    }
}

fn scheduled(due: bool) -> (bool, Reason) {
    (due, if due { Reason::Scheduled } else { Reason::NotScheduled })
}

/// A pseudo-random number in `[0, 1)` for a click, by `SplitMix64` (Steele, Lea & Flood 2014).
fn uniform(seed: u64, click: u64) -> f64 {
    let mut z = seed.wrapping_add(click.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
