use serde::{Deserialize, Serialize};

/// Cut-offs of the reported metrics.
pub const CUTOFFS: [usize; 4] = [1, 5, 10, 20];

/// 1 if the rank (from 0; `None` is a miss) is below `k`, else 0. Its mean is HR@k, which
/// equals Recall@k with one target per user.
#[must_use]
pub fn hit(rank: Option<usize>, k: usize) -> f64 {
    if rank.is_some_and(|rank| rank < k) { 1.0 } else { 0.0 }
}

/// Normalised discounted cumulative gain with one target (Järvelin & Kekäläinen 2002):
/// `1 / log2(rank + 2)` for a rank (from 0) below `k`, else 0. The ideal gain is 1.
#[must_use]
pub fn ndcg(rank: Option<usize>, k: usize) -> f64 {
    match rank {
        Some(rank) if rank < k => 1.0 / (rank as f64 + 2.0).log2(),
        _ => 0.0,
    }
}

/// Reciprocal rank: `1 / (rank + 1)` for a rank (from 0) below `k`, else 0. Its mean is MRR@k.
#[must_use]
pub fn reciprocal_rank(rank: Option<usize>, k: usize) -> f64 {
    match rank {
        Some(rank) if rank < k => 1.0 / (rank as f64 + 1.0),
        _ => 0.0,
    }
}

/// Means over targets at each of the [`CUTOFFS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of targets.
    pub count: usize,
    /// One entry for each cut-off, ascending.
    pub at: Vec<MetricsAt>,
}

/// Means at one cut-off, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsAt {
    /// The cut-off.
    pub k: usize,
    /// Hit rate: mean of [`hit`].
    pub hr: f64,
    /// Mean of [`ndcg`].
    pub ndcg: f64,
    /// Mean of [`reciprocal_rank`].
    pub mrr: f64,
}

impl Metrics {
    /// Means over the ranks of all targets; zeros without targets.
    #[must_use]
    pub fn of(ranks: &[Option<usize>]) -> Self {
        let mean = |metric: fn(Option<usize>, usize) -> f64, k| {
            ranks.iter().map(|&rank| metric(rank, k)).sum::<f64>() / ranks.len().max(1) as f64
        };
        let at = CUTOFFS
            .into_iter()
            .map(|k| MetricsAt {
                k,
                hr: mean(hit, k),
                ndcg: mean(ndcg, k),
                mrr: mean(reciprocal_rank, k),
            })
            .collect();
        Self { count: ranks.len(), at }
    }

    /// The means at a cut-off; `None` if it is not one of the [`CUTOFFS`].
    #[must_use]
    pub fn at(&self, k: usize) -> Option<&MetricsAt> {
        self.at.iter().find(|at| at.k == k)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn metrics_equal_hand_computed_values() {
        // Ranks 0, 3, 9, 10 and a miss.
        let metrics = Metrics::of(&[Some(0), Some(3), Some(9), Some(10), None]);
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}");
        assert_eq!(metrics.count, 5);
        let at = |k| *metrics.at(k).unwrap();
        // HR: 1, 2, 3 and 4 of 5.
        for (k, expected) in [(1, 0.2), (5, 0.4), (10, 0.6), (20, 0.8)] {
            close(at(k).hr, expected);
        }
        // NDCG: 1/log2(2) = 1, 1/log2(5) = 0.430677, 1/log2(11) = 0.289065, 1/log2(12) = 0.278943.
        close(at(1).ndcg, 0.2);
        close(at(5).ndcg, 1.430_677 / 5.0);
        close(at(10).ndcg, 1.719_742 / 5.0);
        close(at(20).ndcg, 1.998_685 / 5.0);
        // MRR: 1, 1/4, 1/10, 1/11.
        close(at(1).mrr, 0.2);
        close(at(5).mrr, 0.25);
        close(at(10).mrr, 0.27);
        close(at(20).mrr, 1.440_909 / 5.0);
        assert!(metrics.at(7).is_none());
    }

    #[test]
    fn without_targets_all_metrics_are_zero() {
        let metrics = Metrics::of(&[]);
        assert_eq!(metrics.count, 0);
        assert!(metrics.at.iter().all(|at| at.hr == 0.0 && at.ndcg == 0.0 && at.mrr == 0.0));
    }

    proptest! {
        #[test]
        fn metrics_fall_with_the_rank_and_grow_with_the_cutoff(rank in 0_usize..40, k in 1_usize..30) {
            for metric in [hit, ndcg, reciprocal_rank] {
                let value = metric(Some(rank), k);
                prop_assert!((0.0..=1.0).contains(&value));
                prop_assert!(value >= metric(Some(rank + 1), k));
                prop_assert!(value <= metric(Some(rank), k + 1));
                prop_assert!(value >= metric(None, k));
            }
        }
    }
}
