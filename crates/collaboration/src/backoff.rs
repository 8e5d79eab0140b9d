//! When to try a failing server again.

use serde::{Deserialize, Serialize};

/// How the waits between tries grow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackoffLimits {
    /// Wait after the first failure, in milliseconds.
    pub first_ms: f64,
    /// By how much each further failure multiplies it.
    pub factor: f64,
    /// The longest wait, in milliseconds; a server's own `Retry-After` may be longer.
    pub longest_ms: f64,
    /// Share of a wait that is left to chance, 0 to 1, so that the devices which one
    /// outage cut off do not all come back at once.
    pub jitter: f64,
}

impl Default for BackoffLimits {
    /// 1 s, doubling up to a minute, a quarter of it by chance.
    fn default() -> Self {
        Self { first_ms: 1_000.0, factor: 2.0, longest_ms: 60_000.0, jitter: 0.25 }
    }
}

impl BackoffLimits {
    /// The wait after `failures` failures in a row (from 1), in milliseconds.
    ///
    /// `chance` is a random number in `[0, 1)` of the caller's; the wait lies between
    /// `1 - jitter` and 1 times the full one.
    #[must_use]
    pub fn delay_ms(&self, failures: u32, chance: f64) -> f64 {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = (self.first_ms * self.factor.powi(exponent)).min(self.longest_ms);
        full * (1.0 - self.jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0))
    }
}

/// A server's failures in a row, and when it may be tried again.
///
/// Times are the caller's, in milliseconds. A clock moved back makes no wait longer than
/// it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Backoff {
    limits: BackoffLimits,
    failures: u32,
    wait: Option<Wait>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Wait {
    since_ms: f64,
    length_ms: f64,
}

impl Backoff {
    /// No failures yet.
    #[must_use]
    pub fn new(limits: BackoffLimits) -> Self {
        Self { limits, failures: 0, wait: None }
    }

    /// Notes a failure at `now_ms`. `retry_after_ms` is what the server asked for, if it
    /// did: it is kept to where it is the longer wait. Returns the wait in milliseconds.
    pub fn failed(&mut self, now_ms: f64, chance: f64, retry_after_ms: Option<f64>) -> f64 {
        self.failures = self.failures.saturating_add(1);
        let own = self.limits.delay_ms(self.failures, chance);
        let length_ms = retry_after_ms.filter(|asked| asked.is_finite()).unwrap_or(0.0).max(own);
        self.wait = Some(Wait { since_ms: now_ms, length_ms });
        length_ms
    }

    /// Notes a success: the next failure starts from the first wait again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.wait = None;
    }

    /// Milliseconds until the next try is due; `None` if one may be made now.
    #[must_use]
    pub fn retry_in_ms(&self, now_ms: f64) -> Option<f64> {
        let wait = self.wait?;
        let elapsed = (now_ms - wait.since_ms).max(0.0);
        let left = wait.length_ms - elapsed;
        (left > 0.0).then_some(left)
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let limits = BackoffLimits::default();
        let waits = [1, 2, 3, 6, 7, 1_000].map(|failures| limits.delay_ms(failures, 0.0));
        assert_eq!(waits.to_vec(), vec![1_000.0, 2_000.0, 4_000.0, 32_000.0, 60_000.0, 60_000.0]);
        assert!((limits.delay_ms(1, 1.0) - 750.0).abs() < 1e-9);
    }

    #[test]
    fn a_failure_is_waited_out_and_a_success_forgets() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        assert_eq!(backoff.retry_in_ms(0.0), None);
        assert!((backoff.failed(100.0, 0.0, None) - 1_000.0).abs() < 1e-9);
        assert_eq!(backoff.retry_in_ms(600.0), Some(500.0));
        assert_eq!(backoff.retry_in_ms(1_100.0), None);
        backoff.failed(1_100.0, 0.0, None);
        assert_eq!(backoff.failures(), 2);
        backoff.succeeded();
        assert_eq!((backoff.failures(), backoff.retry_in_ms(1_100.0)), (0, None));
    }

    #[test]
    fn a_servers_own_wait_holds_where_it_is_longer() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        assert!((backoff.failed(0.0, 0.0, Some(90_000.0)) - 90_000.0).abs() < 1e-9);
        assert!((backoff.failed(0.0, 0.0, Some(10.0)) - 2_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_clock_moved_back_makes_no_wait_longer() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        backoff.failed(1e9, 0.0, None);
        assert_eq!(backoff.retry_in_ms(0.0), Some(1_000.0));
    }

    proptest! {
        #[test]
        fn waits_stay_in_range(failures in 1u32.., chance in 0.0f64..1.0) {
            let wait = BackoffLimits::default().delay_ms(failures, chance);
            prop_assert!((750.0..=60_000.0).contains(&wait));
        }
    }
}
