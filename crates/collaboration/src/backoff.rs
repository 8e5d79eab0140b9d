//! Exponential backoff: when to retry after a server failed.

/// How the delays between retries grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffLimits {
    /// Delay after the first failure, in milliseconds.
    pub first_ms: f64,
    /// Factor by which each further failure multiplies the delay.
    pub factor: f64,
    /// Longest delay in milliseconds. A `Retry-After` of the server may be longer.
    pub longest_ms: f64,
    /// Random share of a delay, 0 to 1, so that devices do not all retry at the same time
    /// after an outage.
    pub jitter: f64,
}

impl Default for BackoffLimits {
    /// 1 s, doubled up to 60 s, with 25 % jitter.
    fn default() -> Self {
        Self { first_ms: 1_000.0, factor: 2.0, longest_ms: 60_000.0, jitter: 0.25 }
    }
}

impl BackoffLimits {
    /// Delay in milliseconds after `failures` consecutive failures, counted from 1.
    ///
    /// `random` is a random number in `[0, 1)`. The delay is between `1 - jitter` and 1 times
    /// the full delay.
    #[must_use]
    pub fn delay_ms(&self, failures: u32, random: f64) -> f64 {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = (self.first_ms * self.factor.powi(exponent)).min(self.longest_ms);
        full * (1.0 - self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0))
    }
}

/// Consecutive failures of a server and the time of the next retry.
///
/// The caller passes the time in milliseconds. If its clock is set back, the remaining delay is
/// at most the full delay.
///
/// ```
/// use tandem_collaboration::{Backoff, BackoffLimits};
///
/// let mut backoff = Backoff::new(BackoffLimits::default());
/// backoff.failed(0.0, 0.0, None);
/// assert_eq!(backoff.retry_in_ms(400.0), Some(600.0));
/// assert_eq!(backoff.retry_in_ms(1_000.0), None);
/// ```
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
    /// A server without failures.
    #[must_use]
    pub fn new(limits: BackoffLimits) -> Self {
        Self { limits, failures: 0, wait: None }
    }

    /// Records a failure at `now_ms` and returns the delay in milliseconds. `retry_after_ms` is
    /// the server's `Retry-After`, which counts if it is longer. `random` is as in
    /// [`BackoffLimits::delay_ms`].
    pub fn failed(&mut self, now_ms: f64, random: f64, retry_after_ms: Option<f64>) -> f64 {
        self.failures = self.failures.saturating_add(1);
        let own = self.limits.delay_ms(self.failures, random);
        let length_ms = retry_after_ms.filter(|asked| asked.is_finite()).unwrap_or(0.0).max(own);
        self.wait = Some(Wait { since_ms: now_ms, length_ms });
        length_ms
    }

    /// Records a success. The next failure starts with the first delay again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.wait = None;
    }

    /// Milliseconds until the next retry; `None` if it is allowed now.
    #[must_use]
    pub fn retry_in_ms(&self, now_ms: f64) -> Option<f64> {
        let wait = self.wait?;
        let elapsed = (now_ms - wait.since_ms).max(0.0);
        let left = wait.length_ms - elapsed;
        (left > 0.0).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let limits = BackoffLimits::default();
        let waits = [1, 2, 3, 6, 7, 1_000].map(|failures| limits.delay_ms(failures, 0.0));
        assert_eq!(waits.to_vec(), vec![1_000.0, 2_000.0, 4_000.0, 32_000.0, 60_000.0, 60_000.0]);
        assert!((limits.delay_ms(1, 1.0) - 750.0).abs() < 1e-9);
    }

    #[test]
    fn a_failure_delays_the_next_call_and_a_success_resets_the_delay() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        assert_eq!(backoff.retry_in_ms(0.0), None);
        assert!((backoff.failed(100.0, 0.0, None) - 1_000.0).abs() < 1e-9);
        assert_eq!(backoff.retry_in_ms(600.0), Some(500.0));
        assert_eq!(backoff.retry_in_ms(1_100.0), None);
        backoff.failed(1_100.0, 0.0, None);
        assert_eq!(backoff.retry_in_ms(1_100.0), Some(2_000.0));
        backoff.succeeded();
        assert_eq!(backoff.retry_in_ms(1_100.0), None);
        backoff.failed(1_100.0, 0.0, None);
        assert_eq!(backoff.retry_in_ms(1_100.0), Some(1_000.0));
    }

    #[test]
    fn a_longer_retry_after_of_the_server_counts() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        assert!((backoff.failed(0.0, 0.0, Some(90_000.0)) - 90_000.0).abs() < 1e-9);
        assert!((backoff.failed(0.0, 0.0, Some(10.0)) - 2_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_clock_set_back_does_not_extend_the_delay() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        backoff.failed(1e9, 0.0, None);
        assert_eq!(backoff.retry_in_ms(0.0), Some(1_000.0));
    }

    proptest! {
        #[test]
        fn delays_stay_in_range(failures in 1u32.., random in 0.0f64..1.0) {
            let wait = BackoffLimits::default().delay_ms(failures, random);
            prop_assert!((750.0..=60_000.0).contains(&wait));
        }
    }
}
