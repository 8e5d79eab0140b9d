//! Measures of the disagreement between two orders of one list.
//!
//! The device requests a new list when the small model's order differs too much from the
//! language model's (`LSC4Rec` §3.3). Orders are defined in [`ranking`](crate::ranking).

use serde::{Deserialize, Serialize};

use crate::{CollaborationError, error::check_range, ranking::positions};

/// A measure of the disagreement between two orders: 0 for equal orders, at most 1.
///
/// ```
/// use tandem_collaboration::Consistency;
///
/// // Every item is one place off: 4 of at most 8 places.
/// let disagreement = Consistency::Footrule.disagreement(&[0, 1, 2, 3], &[1, 0, 3, 2])?;
/// assert_eq!(disagreement, 0.5);
/// # Ok::<(), tandem_collaboration::CollaborationError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "measure", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Consistency {
    /// Spearman's footrule `Σ |rank_a - rank_b|` divided by its maximum `⌊C² / 2⌋`, which the
    /// reverse order has. This is the paper's `D` divided by its maximum.
    ///
    /// The mean for a random order is `(C² - 1) / (3 ⌊C² / 2⌋)`, about 2/3 (0.6664 for
    /// `C = 50`); see [`expected_displacement`].
    #[default]
    Footrule,
    /// Kendall's distance: the share of pairs whose order differs. The mean for a random order
    /// is 1/2.
    KendallTau,
    /// One minus extrapolated rank-biased overlap (Webber, Moffat & Zobel 2010, `RBO_EXT`):
    /// `1 - (p^C + (1 - p) Σ_d p^(d-1) overlap_d / d)`. The first ranks have the largest weight.
    RankBiasedOverlap {
        /// Persistence, between 0 and 1 (both exclusive). With 0.9 the first ten ranks have
        /// 86 % of the weight.
        p: f32,
    },
    /// One minus the share of items that the first `k` ranks of both orders have in common. 0
    /// if `k` is not below the length of the list.
    TopKOverlap {
        /// Number of ranks that are compared, at least 1.
        k: usize,
    },
}

impl Consistency {
    /// Checks parameters that come from a manifest.
    ///
    /// # Errors
    /// [`CollaborationError::InvalidParameter`] for a value outside its range.
    pub fn validate(&self) -> Result<(), CollaborationError> {
        match *self {
            Self::Footrule | Self::KendallTau => Ok(()),
            Self::RankBiasedOverlap { p } => check_range(
                "policy.consistency.p",
                f64::from(p),
                f64::from(f32::MIN_POSITIVE),
                f64::from(1.0 - f32::EPSILON),
                "between 0 and 1, both exclusive",
            ),
            Self::TopKOverlap { k } => {
                check_range("policy.consistency.k", k as f64, 1.0, f64::MAX, "at least 1")
            }
        }
    }

    /// The disagreement of two orders of one list, in `[0, 1]`; symmetric. 0 for lists of fewer
    /// than two items.
    ///
    /// # Errors
    /// [`CollaborationError::LengthMismatch`] if the orders differ in length,
    /// [`CollaborationError::NotAPermutation`] if one is not a permutation.
    pub fn disagreement(&self, a: &[usize], b: &[usize]) -> Result<f32, CollaborationError> {
        let (ranks_a, ranks_b) = both_positions(a, b)?;
        if a.len() < 2 {
            return Ok(0.0);
        }
        let distance = match *self {
            Self::Footrule => {
                let maximum = a.len() * a.len() / 2;
                total_displacement(&ranks_a, &ranks_b) as f64 / maximum as f64
            }
            Self::KendallTau => kendall(a, &ranks_b),
            Self::RankBiasedOverlap { p } => 1.0 - rank_biased_overlap(a, b, f64::from(p)),
            Self::TopKOverlap { k } => {
                let k = k.clamp(1, a.len());
                let shared = a[..k].iter().filter(|&&position| ranks_b[position] < k).count();
                1.0 - shared as f64 / k as f64
            }
        };
        Ok(distance.clamp(0.0, 1.0) as f32)
    }
}

/// The paper's `D` for one user: the mean absolute displacement of an item between two
/// orders, in ranks.
///
/// # Errors
/// As [`Consistency::disagreement`].
pub fn mean_displacement(a: &[usize], b: &[usize]) -> Result<f32, CollaborationError> {
    let (ranks_a, ranks_b) = both_positions(a, b)?;
    if a.is_empty() {
        return Ok(0.0);
    }
    Ok((total_displacement(&ranks_a, &ranks_b) as f64 / a.len() as f64) as f32)
}

/// The mean of [`mean_displacement`] over all orders of `length` items: `(C² - 1) / (3C)`, in
/// ranks.
#[must_use]
pub fn expected_displacement(length: usize) -> f32 {
    if length == 0 {
        return 0.0;
    }
    let c = length as f64;
    ((c * c - 1.0) / (3.0 * c)) as f32
}

/// The paper's rule for a batch of users, for comparison only: `S = D + (4 + 0.3 Z)²`.
///
/// `mean_displacement` is the batch's `D` (ranks), `invalid` is `Z`, the number of slots that
/// the language model filled with items that do not exist. The paper requests lists for the
/// whole batch if `S` reaches a threshold. With decoding constrained to the catalogue, `Z = 0`
/// and `S = D + 16`.
#[must_use]
pub fn paper_batch_score(mean_displacement: f32, invalid: f32) -> f32 {
    mean_displacement + (4.0 + 0.3 * invalid).powi(2)
}

fn both_positions(
    a: &[usize],
    b: &[usize],
) -> Result<(Vec<usize>, Vec<usize>), CollaborationError> {
    if a.len() != b.len() {
        return Err(CollaborationError::LengthMismatch { expected: a.len(), found: b.len() });
    }
    Ok((positions(a)?, positions(b)?))
}

fn total_displacement(ranks_a: &[usize], ranks_b: &[usize]) -> usize {
    std::iter::zip(ranks_a, ranks_b).map(|(&a, &b)| a.abs_diff(b)).sum()
}

// O(C²): 1,225 comparisons for 50 items.
fn kendall(a: &[usize], ranks_b: &[usize]) -> f64 {
    let discordant: usize = a
        .iter()
        .enumerate()
        .map(|(i, &first)| {
            a[i + 1..].iter().filter(|&&later| ranks_b[first] > ranks_b[later]).count()
        })
        .sum();
    discordant as f64 / (a.len() * (a.len() - 1) / 2) as f64
}

fn rank_biased_overlap(a: &[usize], b: &[usize], p: f64) -> f64 {
    let mut met = vec![0u8; a.len()];
    let (mut overlap, mut weight, mut sum) = (0usize, 1.0, 0.0);
    for (depth, pair) in std::iter::zip(a, b).enumerate() {
        for position in [*pair.0, *pair.1] {
            met[position] += 1;
            overlap += usize::from(met[position] == 2);
        }
        sum += weight * overlap as f64 / (depth + 1) as f64;
        weight *= p;
    }
    // `weight` is now p^C, and at depth C the overlap is complete.
    weight + (1.0 - p) * sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RBO: Consistency = Consistency::RankBiasedOverlap { p: 0.5 };
    const TOP2: Consistency = Consistency::TopKOverlap { k: 2 };
    const ALL: [Consistency; 4] = [Consistency::Footrule, Consistency::KendallTau, RBO, TOP2];

    fn check(measure: Consistency, a: &[usize], b: &[usize], expected: f32) {
        let found = measure.disagreement(a, b).unwrap();
        assert!((found - expected).abs() < 1e-6, "{measure:?}: {found} is not {expected}");
    }

    #[test]
    fn measures_match_hand_computed_values() {
        let (a, b) = ([0, 1, 2, 3], [1, 0, 3, 2]);
        // Every item one place off: 4 of at most 8.
        check(Consistency::Footrule, &a, &b, 0.5);
        // Two of six pairs are swapped.
        check(Consistency::KendallTau, &a, &b, 2.0 / 6.0);
        // Overlap by depth 0, 1, 2/3, 1 with weights 1/2, 1/4, 1/8, 1/16, and 1/16 beyond.
        check(RBO, &a, &b, 1.0 - (1.0 / 4.0 + 1.0 / 12.0 + 1.0 / 16.0 + 1.0 / 16.0));
        check(TOP2, &a, &b, 0.0);
        check(TOP2, &a, &[0, 2, 1, 3], 0.5);
        check(TOP2, &a, &[3, 2, 1, 0], 1.0);
        // Labels do not matter, only ranks.
        check(Consistency::Footrule, &[2, 3, 0, 1], &[3, 2, 1, 0], 0.5);
    }

    #[test]
    fn the_maximum_is_reached_for_odd_lengths_too() {
        check(Consistency::Footrule, &[0, 1, 2], &[2, 1, 0], 1.0);
        check(Consistency::KendallTau, &[0, 1, 2], &[2, 1, 0], 1.0);
    }

    #[test]
    fn short_lists_have_no_disagreement() {
        for measure in ALL {
            check(measure, &[], &[], 0.0);
            check(measure, &[0], &[0], 0.0);
        }
        assert_eq!(mean_displacement(&[], &[]), Ok(0.0));
    }

    #[test]
    fn a_top_k_longer_than_the_list_has_no_disagreement() {
        check(Consistency::TopKOverlap { k: 10 }, &[0, 1, 2], &[2, 1, 0], 0.0);
    }

    #[test]
    fn orders_of_different_lists_are_refused() {
        let shorter = CollaborationError::LengthMismatch { expected: 2, found: 1 };
        assert_eq!(Consistency::Footrule.disagreement(&[0, 1], &[0]), Err(shorter));
        assert!(RBO.disagreement(&[0, 1], &[1, 1]).is_err());
    }

    #[test]
    fn a_random_order_is_displaced_as_expected() {
        // The mean over all orders of four items, exactly: (16 - 1) / 12 places.
        let (mut sum, mut count) = (0.0, 0.0);
        for code in 0..256usize {
            let order: Vec<usize> = (0..4).map(|i| code >> (2 * i) & 3).collect();
            if let Ok(displacement) = mean_displacement(&[0, 1, 2, 3], &order) {
                sum += displacement;
                count += 1.0;
            }
        }
        assert!((count - 24.0f32).abs() < f32::EPSILON);
        assert!((sum / count - expected_displacement(4)).abs() < 1e-6);
        assert!((expected_displacement(50) - 16.66).abs() < 1e-4);
    }

    #[test]
    fn the_paper_batch_rule_matches_hand_computed_values() {
        assert!((paper_batch_score(16.5, 0.0) - 32.5).abs() < 1e-5);
        // (4 + 0.3 * 10)² = 49.
        assert!((paper_batch_score(1.0, 10.0) - 50.0).abs() < 1e-4);
    }

    #[test]
    fn the_json_of_a_manifest_is_read_and_validated() {
        let json = r#"{"measure":"rank_biased_overlap","p":0.9}"#;
        let rbo: Consistency = serde_json::from_str(json).unwrap();
        assert_eq!(rbo, Consistency::RankBiasedOverlap { p: 0.9 });
        assert_eq!(serde_json::to_string(&rbo).unwrap(), json);
        assert!(rbo.validate().is_ok());
        assert!(Consistency::RankBiasedOverlap { p: 1.0 }.validate().is_err());
        assert!(Consistency::TopKOverlap { k: 0 }.validate().is_err());
    }

    fn two_orders() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
        (2usize..40).prop_flat_map(|length| {
            let order = Just((0..length).collect::<Vec<_>>()).prop_shuffle();
            (order.clone(), order)
        })
    }

    proptest! {
        #[test]
        fn measures_are_symmetric_and_in_range((a, b) in two_orders()) {
            for measure in ALL {
                let distance = measure.disagreement(&a, &b).unwrap();
                prop_assert!((0.0..=1.0).contains(&distance));
                let back = measure.disagreement(&b, &a).unwrap();
                prop_assert!((distance - back).abs() < 1e-6);
            }
        }

        #[test]
        fn equal_orders_have_no_disagreement_and_reversed_ones_the_largest((a, _) in two_orders()) {
            let reverse: Vec<usize> = a.iter().rev().copied().collect();
            for measure in ALL {
                prop_assert!(measure.disagreement(&a, &a).unwrap() < 1e-6);
            }
            for measure in [Consistency::Footrule, Consistency::KendallTau] {
                prop_assert!((measure.disagreement(&a, &reverse).unwrap() - 1.0).abs() < 1e-6);
            }
        }
    }
}
