//! Limits on the number of calls.
//!
//! Two limits that can be combined: a [`TokenBucket`] limits calls over time and protects the
//! server from a single device; a [`CallShare`] limits calls as a share of interactions and is
//! the budget that thresholds are calibrated for.

use serde::{Deserialize, Serialize};

use crate::{CollaborationError, error::check_range};

const MS_PER_MINUTE: f64 = 60_000.0;

/// Size and refill of a [`TokenBucket`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct BucketLimits {
    /// Number of calls that may be made in immediate succession, at least 1.
    pub capacity: u32,
    /// Calls added per minute; 0 for a bucket that is never refilled.
    pub refill_per_minute: f32,
}

impl Default for BucketLimits {
    /// Three calls in succession, six per minute.
    fn default() -> Self {
        Self { capacity: 3, refill_per_minute: 6.0 }
    }
}

impl BucketLimits {
    /// Checks parameters that come from a manifest.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a value outside its range.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        let capacity = f64::from(self.capacity);
        check_range("policy.bucket.capacity", capacity, 1.0, f64::MAX, "at least 1")?;
        let refill = f64::from(self.refill_per_minute);
        let most = f64::from(f32::MAX);
        check_range("policy.bucket.refill_per_minute", refill, 0.0, most, "at least 0")
    }
}

/// A token bucket: each call takes a token, and tokens are refilled over time.
///
/// The caller passes the time in milliseconds since any fixed point. If its clock is set back,
/// no tokens are added or lost, and refilling continues from the new time. A time that is not
/// finite counts as no time passed.
///
/// ```
/// use tandem_collaboration::{BucketLimits, TokenBucket};
///
/// let mut bucket = TokenBucket::new(BucketLimits { capacity: 1, refill_per_minute: 6.0 });
/// assert!(bucket.take(0.0));
/// assert_eq!(bucket.wait_ms(0.0), 10_000.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenBucket {
    limits: BucketLimits,
    /// Between 0 and the capacity; a fraction is a partly refilled token.
    tokens: f64,
    /// Time of the last update of `tokens`; `None` before the first use.
    updated_ms: Option<f64>,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(limits: BucketLimits) -> Self {
        Self { limits, tokens: f64::from(limits.capacity), updated_ms: None }
    }

    /// Number of tokens at `now_ms`, with fractions; at most the capacity.
    #[must_use]
    pub fn tokens(&self, now_ms: f64) -> f64 {
        let elapsed = match self.updated_ms {
            Some(updated) if now_ms.is_finite() => (now_ms - updated).max(0.0),
            _ => 0.0,
        };
        let refilled = self.tokens + elapsed * self.refill_per_ms();
        refilled.min(f64::from(self.limits.capacity))
    }

    /// Milliseconds until a call is allowed: 0 if it is allowed now, infinite if the bucket is
    /// empty and never refilled.
    #[must_use]
    pub fn wait_ms(&self, now_ms: f64) -> f64 {
        let missing = 1.0 - self.tokens(now_ms);
        if missing <= f64::EPSILON { 0.0 } else { missing / self.refill_per_ms() }
    }

    /// Takes a token for a call. Returns `false` if there is none.
    #[must_use]
    pub fn take(&mut self, now_ms: f64) -> bool {
        self.advance(now_ms);
        // Sums of fractions may be slightly below 1.
        if self.tokens < 1.0 - f64::EPSILON {
            return false;
        }
        self.tokens = (self.tokens - 1.0).max(0.0);
        true
    }

    fn advance(&mut self, now_ms: f64) {
        if now_ms.is_finite() {
            self.tokens = self.tokens(now_ms);
            self.updated_ms = Some(now_ms);
        }
    }

    fn refill_per_ms(&self) -> f64 {
        f64::from(self.limits.refill_per_minute) / MS_PER_MINUTE
    }
}

/// A limit of calls as a share of interactions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct CallShare(f32);

impl CallShare {
    /// A limit of `share` calls per interaction, 0 to 1.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a share outside this range.
    pub fn new(share: f32) -> Result<Self, CollaborationError> {
        let budget = Self(share);
        budget.validate()?;
        Ok(budget)
    }

    /// Checks a share that comes from a manifest.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a share outside 0 to 1.
    pub fn validate(self) -> Result<(), CollaborationError> {
        let share = f64::from(self.0);
        check_range("policy.max_call_share", share, 0.0, 1.0, "between 0 and 1")
    }

    /// Number of calls allowed after `clicks` interactions: `1 + ⌊share · clicks⌋`. The first
    /// list does not count.
    #[must_use]
    pub fn allowance(self, clicks: u64) -> u64 {
        // The product of a rounded share may be slightly too small, as in 0.05_f32 · 20.
        let earned = (f64::from(self.0) * clicks as f64 + 1e-6).floor();
        1 + as_count(earned)
    }

    /// Number of further clicks until another call is allowed: 0 if it is allowed now, `None`
    /// if it never is.
    #[must_use]
    pub fn clicks_until_next(self, calls: u64, clicks: u64) -> Option<u64> {
        if calls < self.allowance(clicks) {
            return Some(0);
        }
        if self.0 <= 0.0 {
            return None;
        }
        // Inverse of `allowance`, with the same tolerance.
        let needed = as_count(((calls as f64 - 1e-6) / f64::from(self.0)).ceil());
        Some(needed.saturating_sub(clicks).max(1))
    }
}

#[allow(clippy::cast_sign_loss, reason = "negative values saturate to 0, which is meant")]
fn as_count(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(capacity: u32, refill_per_minute: f32) -> TokenBucket {
        TokenBucket::new(BucketLimits { capacity, refill_per_minute })
    }

    #[test]
    fn a_burst_up_to_the_capacity_then_one_per_refill() {
        let mut bucket = bucket(2, 6.0); // a token every 10 s
        assert!(bucket.take(0.0) && bucket.take(0.0));
        assert!(!bucket.take(0.0));
        assert!((bucket.wait_ms(4_000.0) - 6_000.0).abs() < 1e-6);
        assert!(!bucket.take(9_999.0));
        assert!(bucket.take(10_000.0));
        assert!(!bucket.take(10_001.0));
    }

    #[test]
    fn an_empty_bucket_without_refill_has_an_infinite_wait() {
        let mut bucket = bucket(1, 0.0);
        assert!(bucket.take(5.0));
        assert!(bucket.wait_ms(1e12).is_infinite());
    }

    #[test]
    fn a_clock_set_back_neither_adds_nor_removes_tokens() {
        let mut bucket = bucket(2, 6.0);
        assert!(bucket.take(1_000_000.0) && bucket.take(1_000_000.0));
        assert!(!bucket.take(1_005_000.0)); // half a token refilled
        assert!((bucket.tokens(0.0) - 0.5).abs() < 1e-9);
        assert!(!bucket.take(0.0)); // the clock is 1,005 s behind now
        assert!((bucket.tokens(0.0) - 0.5).abs() < 1e-9);
        assert!(!bucket.take(f64::NAN));
        assert!(bucket.take(5_000.0)); // and refilling continues from there
    }

    #[test]
    fn a_share_allows_the_first_call_and_then_its_share_of_clicks() {
        let share = CallShare::new(0.05).unwrap();
        assert_eq!([0, 19, 20, 39, 40].map(|clicks| share.allowance(clicks)), [1, 1, 2, 2, 3]);
        assert_eq!(share.clicks_until_next(0, 0), Some(0));
        assert_eq!(share.clicks_until_next(1, 3), Some(17));
        assert_eq!(share.clicks_until_next(1, 20), Some(0));
        assert_eq!(share.clicks_until_next(2, 20), Some(20));
        let none = CallShare::new(0.0).unwrap();
        assert_eq!(none.clicks_until_next(1, 1_000_000), None);
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        assert!(CallShare::new(1.5).is_err());
        assert!(CallShare::new(f32::NAN).is_err());
        assert!(BucketLimits::default().validate().is_ok());
        assert!(BucketLimits { capacity: 0, refill_per_minute: 1.0 }.validate().is_err());
        assert!(BucketLimits { capacity: 1, refill_per_minute: -1.0 }.validate().is_err());
    }

    proptest! {
        #[test]
        fn a_bucket_stays_between_empty_and_full(
            capacity in 1u32..5,
            refill in 0.0f32..100.0,
            times in prop::collection::vec(-1e6f64..1e6, 1..50),
        ) {
            let mut bucket = bucket(capacity, refill);
            for now in times {
                let before = bucket.tokens(now);
                let taken = bucket.take(now);
                let after = bucket.tokens(now);
                prop_assert!((0.0..=f64::from(capacity)).contains(&after));
                prop_assert!((before - after - f64::from(u8::from(taken))).abs() < 1e-6);
            }
        }

        #[test]
        fn a_call_is_allowed_exactly_after_the_wait(
            share in 0.01f32..1.0, calls in 0u64..20, clicks in 0u64..100,
        ) {
            let share = CallShare::new(share).unwrap();
            let wait = share.clicks_until_next(calls, clicks).unwrap();
            prop_assert!(calls < share.allowance(clicks + wait));
            prop_assert!(wait == 0 || calls >= share.allowance(clicks + wait - 1));
        }
    }
}
