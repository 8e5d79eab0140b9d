use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Time of one job while none has been measured, in microseconds.
const INITIAL_JOB_US: u64 = 1_000_000;

/// The time of a job, from which the waiting time is estimated.
#[derive(Default)]
pub(super) struct QueueStats {
    /// Moving average of the time per job in microseconds, 0 while unmeasured. A job of a
    /// batch counts with its share of the batch's time.
    job_us: AtomicU64,
}

impl QueueStats {
    /// Records the time of one job.
    pub(super) fn record(&self, elapsed: Duration) {
        // 0 means unmeasured.
        let us = (elapsed.as_micros() as u64).max(1);
        // Only the worker thread writes, so load and store need no compare-and-swap.
        let average = match self.job_us.load(Ordering::Relaxed) {
            0 => us,
            average => ((3 * average + us) / 4).max(1),
        };
        self.job_us.store(average, Ordering::Relaxed);
    }

    /// Seconds until half of a queue of `waiting` jobs is done, at least 1. Clients that all
    /// came back for the first free place would be refused again.
    pub(super) fn retry_after_s(&self, waiting: usize) -> u64 {
        let job_us = match self.job_us.load(Ordering::Relaxed) {
            0 => INITIAL_JOB_US,
            measured => measured,
        };
        (job_us.saturating_mul(waiting as u64) / 2).div_ceil(1_000_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_below_a_millisecond_count_as_measured() {
        let stats = QueueStats::default();
        // Unmeasured: one second per job, half of 17 jobs.
        assert_eq!(stats.retry_after_s(17), 9);
        stats.record(Duration::from_micros(300));
        assert_eq!(stats.retry_after_s(17), 1);
        stats.record(Duration::ZERO);
        assert_eq!(stats.retry_after_s(17), 1);
    }

    #[test]
    fn the_estimate_follows_the_moving_average() {
        let stats = QueueStats::default();
        stats.record(Duration::from_millis(400));
        assert_eq!(stats.retry_after_s(16), 4, "3.2 s, rounded up");
        stats.record(Duration::from_millis(800));
        assert_eq!(stats.retry_after_s(16), 4, "(3 · 400 + 800) / 4 = 500 ms per job");
        for _ in 0..100 {
            stats.record(Duration::from_millis(1));
        }
        assert_eq!(stats.retry_after_s(16), 1);
    }
}
