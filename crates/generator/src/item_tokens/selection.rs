//! Exact top-k selection from the logits of the whole catalogue, with log-probabilities.
//!
//! Selection takes a noticeable share of the time of a small decoder: for 12,101 items a
//! plain `exp` and a sort take more than a tenth of the forward pass. Every pass here is
//! therefore written for automatic vectorisation, and only items that beat the current
//! `k`-th best are handled individually.

use tandem_dataset::ItemIndex;

use crate::{GeneratorError, Ranked};

/// Values processed in parallel: two or four vector registers.
const LANES: usize = 16;
/// Values summed in single precision before the partial sum is added in double precision.
const BLOCK: usize = 4096;

/// Selects the top `k`. It owns its buffers, so that they are allocated once.
#[derive(Debug, Default)]
pub struct TopKSelector {
    scores: Vec<f32>,
    keys: Vec<u64>,
}

impl TopKSelector {
    /// The top `k` of all items except `removed`, best first, ties by [`ItemIndex`].
    ///
    /// `logits` is `[items]`. The result has `logprob(i) = logit(i) − ln Σ exp(logit(j))` over
    /// the remaining items `j` (nats), with an error of about 1e-6.
    ///
    /// # Errors
    /// [`GeneratorError::NotFinite`] if a logit is not a finite number.
    ///
    /// # Panics
    /// If a removed item is not below `logits.len()`.
    pub fn select(
        &mut self,
        logits: &[f32],
        removed: impl IntoIterator<Item = ItemIndex>,
        k: usize,
    ) -> Result<Vec<Ranked>, GeneratorError> {
        self.scores.clear();
        for block in logits.chunks(BLOCK) {
            if !all_finite(block) {
                return Err(GeneratorError::NotFinite);
            }
            self.scores.extend_from_slice(block);
        }
        for item in removed {
            self.scores[item.position()] = f32::NEG_INFINITY;
        }
        let (best, sum) = sum_exp(&self.scores);
        if k == 0 || sum == 0.0 {
            return Ok(Vec::new());
        }
        self.keep_best(k, best, sum.ln() as f32);
        Ok(self.keys.iter().map(|&key| ranked(key)).collect())
    }

    /// Fills `keys` with the sorted keys of the `k` best of `scores`.
    fn keep_best(&mut self, k: usize, best: f32, log_sum: f32) {
        let Self { scores, keys } = self;
        keys.clear();
        let room = k.saturating_mul(2).max(k.saturating_add(512));
        let mut threshold = f32::NEG_INFINITY;
        for (chunk, start) in scores.chunks(LANES).zip((0_u32..).step_by(LANES)) {
            if max(chunk) <= threshold {
                continue;
            }
            for (&score, position) in chunk.iter().zip(start..) {
                // A later item with an equal score ranks lower.
                if score > threshold {
                    // Subtracting in two steps keeps the difference to the best exact, even
                    // for large logits.
                    keys.push(sort_key((score - best) - log_sum, position));
                }
            }
            if keys.len() >= room {
                let last = truncate_to_best(keys, k);
                threshold = scores[last.position()];
            }
        }
        if keys.len() > k {
            truncate_to_best(keys, k);
        }
        keys.sort_unstable();
    }
}

/// Keeps the `k` smallest keys. Returns the item of the largest of them.
fn truncate_to_best(keys: &mut Vec<u64>, k: usize) -> ItemIndex {
    let (_, &mut last, _) = keys.select_nth_unstable(k - 1);
    keys.truncate(k);
    ranked(last).item
}

/// Packs score and position so that ascending keys are descending scores, ties by position.
fn sort_key(score: f32, position: u32) -> u64 {
    let bits = score.to_bits();
    let descending = if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits };
    u64::from(descending) << 32 | u64::from(position)
}

/// The inverse of [`sort_key`].
fn ranked(key: u64) -> Ranked {
    let descending = (key >> 32) as u32;
    let bits = if descending >> 31 == 0 { !descending & !(1 << 31) } else { descending };
    Ranked { item: ItemIndex(key as u32), logprob: f32::from_bits(bits) }
}

fn all_finite(values: &[f32]) -> bool {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            // 0 for finite values, otherwise NaN.
            *lane += value * 0.0;
        }
    }
    lanes.iter().sum::<f32>() == 0.0 && rest.iter().all(|value| value.is_finite())
}

fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// The maximum and `Σ exp(value − maximum)`, in one pass (online softmax, Milakov &
/// Gimelshein 2018, algorithm 3, in blocks). The sum is 0 if all values are −∞.
fn sum_exp(values: &[f32]) -> (f32, f64) {
    let (mut best, mut sum) = (f32::NEG_INFINITY, 0.0_f64);
    for block in values.chunks(BLOCK) {
        let top = max(block);
        if top > best {
            sum *= f64::from(best - top).exp();
            best = top;
        }
        if best > f32::NEG_INFINITY {
            sum += block_sum(block, best);
        }
    }
    (best, sum)
}

fn block_sum(block: &[f32], best: f32) -> f64 {
    let (chunks, rest) = block.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += exp(value - best);
        }
    }
    let rest = rest.iter().map(|value| exp(value - best));
    f64::from(lanes.into_iter().chain(rest).sum::<f32>())
}

/// `exp(x)` for `x ≤ 0` as `2^n · exp(r)`, `|r| ≤ ln 2 / 2`, with a Taylor series for
/// `exp(r)`. The relative error is below 1e-6 for `x ≥ −20`; smaller terms do not affect the
/// sums. Below −87 the result stays at 1e-38.
fn exp(x: f32) -> f32 {
    /// Adding it to a small number rounds to the nearest integer, stored in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let t = x * std::f32::consts::LOG2_E;
    let t = if t > -126.0 { t } else { -126.0 };
    let rounded = t + ROUND;
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let r = (t - (rounded - ROUND)) * std::f32::consts::LN_2;
    let series = 1.0 / 120.0 + r * (1.0 / 720.0);
    let series = 0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * series));
    let power = f32::from_bits(n.wrapping_add(127) << 23);
    power * (1.0 + r * (1.0 + r * series))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reference: sorts everything in double precision.
    fn brute_force(logits: &[f32], removed: &[ItemIndex], k: usize) -> Vec<(ItemIndex, f64)> {
        let mut remaining: Vec<(ItemIndex, f64)> = logits
            .iter()
            .zip(0..)
            .map(|(&logit, position)| (ItemIndex(position), f64::from(logit)))
            .filter(|(item, _)| !removed.contains(item))
            .collect();
        let best = remaining.iter().map(|&(_, logit)| logit).fold(f64::MIN, f64::max);
        let sum: f64 = remaining.iter().map(|&(_, logit)| (logit - best).exp()).sum();
        remaining.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        remaining.truncate(k);
        remaining.into_iter().map(|(item, logit)| (item, logit - best - sum.ln())).collect()
    }

    #[test]
    fn logprobs_equal_the_hand_computed_values() {
        // exp(logits): 1, 2, (4, removed), 1.
        let ln2 = std::f32::consts::LN_2;
        let logits = [0.0, ln2, 2.0 * ln2, 0.0];
        let ranked = TopKSelector::default().select(&logits, [ItemIndex(2)], 10).unwrap();
        let items: Vec<u32> = ranked.iter().map(|ranked| ranked.item.0).collect();
        assert_eq!(items, [1, 0, 3]);
        for (ranked, probability) in ranked.iter().zip([0.5_f32, 0.25, 0.25]) {
            assert!((ranked.logprob - probability.ln()).abs() < 1e-6, "{ranked:?}");
        }
    }

    #[test]
    fn an_empty_remainder_gives_an_empty_list_and_a_non_finite_logit_an_error() {
        let mut selector = TopKSelector::default();
        let all = [ItemIndex(0), ItemIndex(1)];
        assert_eq!(selector.select(&[1.0, 2.0], all, 5).unwrap(), []);
        assert_eq!(selector.select(&[1.0, 2.0], [], 0).unwrap(), []);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for length in [2, 40] {
                let mut logits = vec![0.0; length];
                logits[1] = bad;
                let error = selector.select(&logits, [], 1).unwrap_err();
                assert!(matches!(error, GeneratorError::NotFinite));
            }
        }
    }

    #[test]
    fn the_series_approximates_exp() {
        for step in 0..2000_u16 {
            let x = -f32::from(step) * 0.01;
            let relative = f64::from(exp(x)) / f64::from(x).exp() - 1.0;
            assert!(relative.abs() < 1.5e-6, "exp({x}) is off by {relative}");
        }
        assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    proptest! {
        #[test]
        fn the_selection_equals_a_full_sort(
            // Few distinct values produce ties; many items fill the buffer repeatedly.
            values in prop::collection::vec(-40_i16..40, 1..9000),
            unit in prop::sample::select(vec![1.0_f32, 0.01, 1.0 / 3.0]),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            k in 1_usize..700,
        ) {
            let logits: Vec<f32> = values.iter().map(|&value| f32::from(value) * unit).collect();
            let removed: Vec<ItemIndex> =
                removed.iter().map(|index| ItemIndex(index.index(logits.len()) as u32)).collect();
            let found = TopKSelector::default().select(&logits, removed.iter().copied(), k).unwrap();
            let expected = brute_force(&logits, &removed, k);
            prop_assert_eq!(found.len(), expected.len());
            for (found, (item, logprob)) in found.iter().zip(expected) {
                prop_assert_eq!(found.item, item);
                prop_assert!((f64::from(found.logprob) - logprob).abs() < 1e-5);
                prop_assert!(found.logprob <= 0.0);
            }
        }
    }
}
