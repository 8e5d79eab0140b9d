use std::sync::LazyLock;

/// Upper end of the first bucket, in milliseconds.
const SHORTEST_MS: f64 = 0.1;
/// Buckets per doubling: a percentile is off by at most 9 %.
const PER_DOUBLING: f64 = 8.0;
/// Up to 0.1 ms · 2^20, about 105 s.
const BUCKETS: usize = 162;

/// Upper ends of the buckets, in milliseconds.
static ENDS_MS: LazyLock<[f64; BUCKETS]> = LazyLock::new(|| {
    std::array::from_fn(|bucket| SHORTEST_MS * (bucket as f64 / PER_DOUBLING).exp2())
});

/// A histogram of durations with buckets of equal ratio.
#[derive(Clone, Debug)]
pub(super) struct Durations(Box<[u32; BUCKETS]>);

impl Default for Durations {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl Durations {
    pub(super) fn record(&mut self, seconds: f64) {
        let ms = seconds * 1e3;
        let bucket = ENDS_MS.partition_point(|end| *end <= ms).min(BUCKETS - 1);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0.iter()) {
            *count = count.saturating_add(*more);
        }
    }

    /// The percentile in milliseconds: the upper end of its bucket. `None` without durations.
    pub(super) fn percentile_ms(&self, percent: u64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        if total == 0 {
            return None;
        }
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(ENDS_MS[bucket])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_bucket() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile_ms(50), None);
        for ms in 1..=100 {
            durations.record(f64::from(ms) / 1e3);
        }
        for (percent, expected) in [(50, 50.0), (95, 95.0), (100, 100.0)] {
            let found = durations.percentile_ms(percent).unwrap();
            assert!((found / expected - 1.0).abs() < 0.095, "{percent}: {found}");
        }
        // What is too short or too long is in the first or last bucket.
        let mut ends = Durations::default();
        ends.record(0.0);
        assert!(ends.percentile_ms(50).unwrap() <= 0.1);
        ends.record(1e6);
        assert!(ends.percentile_ms(100).unwrap() > 100_000.0);
        durations.add(&ends);
        assert!(durations.percentile_ms(100).unwrap() > 100_000.0);
    }
}
