/// Lower end of the second bucket, in seconds: 0.1 ms.
const SHORTEST_S: f64 = 1e-4;
/// Buckets per doubling: a quantile is off by at most 9 %.
const PER_DOUBLING: f64 = 8.0;
/// Up to 0.1 ms · 2^20, about 105 s.
const BUCKETS: usize = 162;

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
        let place = ((seconds / SHORTEST_S).log2() * PER_DOUBLING).floor() + 1.0;
        // A negative number becomes 0.
        let bucket = (place.max(0.0) as usize).min(BUCKETS - 1);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0.iter()) {
            *count = count.saturating_add(*more);
        }
    }

    /// The quantile in milliseconds: the upper end of its bucket. `None` without durations.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        if total == 0 {
            return None;
        }
        let rank = (quantile * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(SHORTEST_S * 1e3 * (bucket as f64 / PER_DOUBLING).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile_ms(0.5), None);
        for ms in 1..=100 {
            durations.record(f64::from(ms) / 1e3);
        }
        for (quantile, expected) in [(0.5, 50.0), (0.95, 95.0), (1.0, 100.0)] {
            let found = durations.quantile_ms(quantile).unwrap();
            assert!((found / expected - 1.0).abs() < 0.095, "{quantile}: {found}");
        }
        // What is too short or too long is in the first or last bucket.
        let mut ends = Durations::default();
        ends.record(0.0);
        assert!(ends.quantile_ms(0.5).unwrap() <= 0.1);
        ends.record(1e6);
        assert!(ends.quantile_ms(1.0).unwrap() > 100_000.0);
        durations.add(&ends);
        assert!(durations.quantile_ms(1.0).unwrap() > 100_000.0);
    }
}
