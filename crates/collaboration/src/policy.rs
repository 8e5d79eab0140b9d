//! Whether to ask the cloud for a new list, and why.
//!
//! First the list is judged: is there one, is it used up, too old, would a fresh one help,
//! or do the two models disagree about it ([`Trigger`])? Only if that speaks for a call are the limits asked:
//! a call under way, no network, a server that just failed, a spent budget. One decision
//! per user and per click; nothing is kept here between two of them.

mod reason;

use serde::{Deserialize, Serialize};

pub use reason::{NextCall, Reason};

use crate::{
    BucketLimits, CallShare, CollaborationError, Consistency, TokenBucket, UpliftEvidence,
    UpliftModel, error::check_range,
};

/// When the cloud is called: shipped in the manifest, calibrated on validation data.
///
/// Fields that are absent from JSON take their default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How the disagreement of the two orders is measured. Default: [`Consistency::Footrule`].
    pub consistency: Consistency,
    /// A disagreement above this speaks for a call; 0 to 1. Default 0.4: with the footrule
    /// a random order has 2/3, so this is an order that has clearly moved.
    pub threshold: f32,
    /// What looks at the list: the disagreement, or one of the baselines.
    pub trigger: Trigger,
    /// After this many clicks a list is replaced in any case. Default 20.
    pub max_clicks_since_list: Option<u64>,
    /// A list older than this is replaced, in milliseconds. Default ten minutes.
    pub max_age_ms: Option<f64>,
    /// A list with fewer items than this left to recommend is used up. Default 10.
    pub min_unseen: usize,
    /// The limit over time; `None` for no limit. Default as in [`BucketLimits`].
    pub bucket: Option<BucketLimits>,
    /// The limit over interactions. Default none.
    pub max_call_share: Option<CallShare>,
}

/// What speaks for a new list while the present one would still do.
///
/// All but the first two are the baselines that these are measured against; they never ask
/// for a list to which nothing was added since it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "when", rename_all = "snake_case")]
pub enum Trigger {
    /// The two orders disagree by more than [`Policy::threshold`].
    #[default]
    Disagreement,
    /// A fresh list is expected to help by more than a threshold. Where the device sees too
    /// little to tell, as above.
    Uplift {
        /// A gain in NDCG@10 above this speaks for a call; calibrated for a call budget.
        threshold: f32,
        /// What expects it.
        model: UpliftModel,
    },
    /// Never (but the first list is asked for).
    Never,
    /// At every click.
    Always,
    /// At this share of clicks, chosen by a hash of seed and click number.
    Random {
        /// Probability of a call per click.
        share: f32,
        /// Mix the user into it where several sessions are run.
        seed: u64,
    },
    /// At clicks number k, 2k, 3k, …
    EveryKthClick {
        /// At least 1.
        k: u64,
    },
    /// When this many distinct items joined the history since the last list.
    NewItems {
        /// At least 1.
        k: u64,
    },
}

/// What a decision is made on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// The list in use, if there is one.
    pub list: Option<ListState>,
    /// Clicks of this session so far, the present one included.
    pub clicks: u64,
    /// Calls of this session so far.
    pub calls: u64,
    /// Whether a call is under way.
    pub in_flight: bool,
    /// Whether the device is offline, by its own choice or for want of a network.
    pub offline: bool,
    /// Milliseconds until a server that failed may be tried again
    /// ([`Backoff::retry_in_ms`](crate::Backoff::retry_in_ms)).
    pub retry_in_ms: Option<f64>,
    /// Milliseconds until the token bucket allows a call ([`TokenBucket::wait_ms`]): 0 for
    /// now, infinite for never.
    pub bucket_wait_ms: f64,
}

/// The list in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListState {
    /// How far the two models' orders of it are apart, by [`Policy::consistency`]; `None`
    /// where it has fewer than two items.
    pub disagreement: Option<f32>,
    /// What there is to tell whether a fresh list would help; `None` where the small model
    /// cannot compare it with other items, or need not.
    pub uplift: Option<UpliftEvidence>,
    /// Its age in milliseconds.
    pub age_ms: f64,
    /// Clicks (and dislikes) since its request was made.
    pub clicks_since: u64,
    /// Distinct items that joined the history since its request was made.
    pub new_items_since: u64,
    /// How many of its items can still be recommended.
    pub unseen: usize,
    /// Whether it was made for this visitor, by the language model, rather than for
    /// everyone, by popularity.
    pub personal: bool,
}

/// What to do about the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go on with it.
    Keep,
    /// Ask for a new one.
    Request,
}

/// A decision with its reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The disagreement that was found, if there was a list to compare.
    pub disagreement: Option<f32>,
    /// The policy's threshold.
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
    /// A policy of its trigger alone: no age, no limits, nothing used up. What the
    /// evaluation compares triggers with.
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

    /// Refuses parameters that make no sense; call it on what a manifest brings.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        self.consistency.validate()?;
        let threshold = f64::from(self.threshold);
        check_range("policy.threshold", threshold, 0.0, 1.0, "between 0 and 1")?;
        let age = self.max_age_ms.unwrap_or(0.0);
        check_range("policy.max_age_ms", age, 0.0, f64::MAX, "a number from 0")?;
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

    /// The token bucket of this policy, full; `None` if there is no limit over time.
    #[must_use]
    pub fn new_bucket(&self) -> Option<TokenBucket> {
        self.bucket.map(TokenBucket::new)
    }

    /// Keep the list or ask for a new one.
    ///
    /// Takes no token: the caller does, when it makes the call.
    #[must_use]
    pub fn decide(&self, situation: &Situation) -> Decision {
        let disagreement = situation.list.and_then(|list| list.disagreement);
        let (action, reason) = match self.judge_list(situation) {
            (Action::Keep, reason) => (Action::Keep, reason),
            (Action::Request, wanted) => match self.obstacle(situation) {
                Some(obstacle) => (Action::Keep, obstacle),
                None => (Action::Request, wanted),
            },
        };
        Decision { action, reason, disagreement, threshold: self.threshold }
    }

    /// What the list alone speaks for.
    fn judge_list(&self, situation: &Situation) -> (Action, Reason) {
        let Some(list) = situation.list else {
            return (Action::Request, Reason::NoCandidates);
        };
        if let Some(max_age_ms) = self.max_age_ms
            && list.age_ms > max_age_ms
        {
            return (Action::Request, Reason::ListTooOld { max_age_ms });
        }
        // The language model would answer the same history with the same list, however
        // short it is or much the small model disagrees.
        if list.clicks_since == 0 {
            return (Action::Keep, Reason::ListUpToDate);
        }
        if !list.personal && list.new_items_since > 0 {
            return (Action::Request, Reason::ListNotPersonal);
        }
        if list.unseen < self.min_unseen {
            return (Action::Request, Reason::ListUsedUp { left: list.unseen });
        }
        if let Some(limit) = self.max_clicks_since_list
            && list.clicks_since >= limit
        {
            return (Action::Request, Reason::ManyClicks { clicks: list.clicks_since });
        }
        self.pull_trigger(situation.clicks, &list)
    }

    fn pull_trigger(&self, clicks: u64, list: &ListState) -> (Action, Reason) {
        let (pulled, reason) = match self.trigger {
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
        (if pulled { Action::Request } else { Action::Keep }, reason)
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

    /// What stands against a call that is wanted.
    fn obstacle(&self, situation: &Situation) -> Option<Reason> {
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

/// A number in `[0, 1)` from seed and click: `SplitMix64` (Steele, Lea & Flood 2014), whose
/// finaliser makes neighbouring inputs unlike.
fn uniform(seed: u64, click: u64) -> f64 {
    let mut z = seed.wrapping_add(click.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
