use rand::{Rng, RngExt, seq::SliceRandom};

use crate::ModelError;

/// Windows padded on the right to one length.
pub(super) struct Batch {
    pub(super) length: usize,
    pub(super) inputs: Vec<u32>,    // [windows, length]
    pub(super) positions: Vec<u32>, // places of `inputs` that are real
    pub(super) targets: Vec<u32>,   // the item after each of them
}

impl Batch {
    /// `newest` is as [`TrainingConfig::newest_targets`](super::TrainingConfig).
    pub(super) fn new(
        windows: &[&[u32]],
        max_length: usize,
        newest: Option<usize>,
    ) -> Result<Self, ModelError> {
        for window in windows {
            if window.len() < 2 || window.len() > max_length + 1 {
                return Err(ModelError::Length {
                    what: "items of a training window (2 to max_length + 1)",
                    expected: max_length + 1,
                    found: window.len(),
                });
            }
        }
        let length = windows.iter().map(|window| window.len() - 1).max().unwrap_or(0);
        let inputs: Vec<&[u32]> =
            windows.iter().map(|window| &window[..window.len() - 1]).collect();
        let mut positions = Vec::new();
        let mut targets = Vec::new();
        for (row, window) in windows.iter().enumerate() {
            let skipped = newest.map_or(0, |newest| (window.len() - 1).saturating_sub(newest));
            for (column, target) in window[1..].iter().enumerate().skip(skipped) {
                positions.push((row * length + column) as u32);
                targets.push(*target);
            }
        }
        Ok(Self { length, inputs: padded(&inputs, length), positions, targets })
    }
}

/// Rows padded on the right with item 0, which the causal mask keeps from being seen.
pub(super) fn padded(rows: &[&[u32]], length: usize) -> Vec<u32> {
    let mut out = vec![0; rows.len() * length];
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(length.max(1))) {
        out[..row.len()].copy_from_slice(row);
    }
    out
}

/// Cuts a user's items into training windows of at most `max_length + 1`, each starting
/// where the one before ended so that every item but the first is a target once. The cut
/// points are random: an item is not always predicted from the same number of others.
pub fn windows<'a>(items: &'a [u32], max_length: usize, rng: &mut impl Rng) -> Vec<&'a [u32]> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut end = if items.len() > max_length + 1 {
        rng.random_range(2..=max_length + 1)
    } else {
        items.len()
    };
    while end <= items.len() && end - start >= 2 {
        out.push(&items[start..end]);
        if end == items.len() {
            break;
        }
        start = end - 1;
        end = (start + max_length + 1).min(items.len());
    }
    out
}

/// Groups windows of similar length into batches of at most `positions` predictions, padding
/// counted (a longer window is a batch of its own), in random order. Batches are of one size
/// in predictions, not in windows, so that each has the same weight however long its windows
/// are.
pub fn batches<'a>(
    mut windows: Vec<&'a [u32]>,
    positions: usize,
    rng: &mut impl Rng,
) -> Vec<Vec<&'a [u32]>> {
    windows.shuffle(rng);
    // Stable: windows of one length stay in random order.
    windows.sort_by_key(|window| window.len());
    let mut out: Vec<Vec<&[u32]>> = Vec::new();
    for window in windows {
        let room = |batch: &Vec<&[u32]>| (batch.len() + 1) * (window.len() - 1) <= positions;
        match out.last_mut().filter(|batch| room(batch)) {
            Some(batch) => batch.push(window),
            None => out.push(vec![window]),
        }
    }
    out.shuffle(rng);
    out
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn batches_are_of_one_size_in_predictions() {
        let items: Vec<u32> = (0..40).collect();
        // Ten windows that predict 2 items each, three that predict 5, one that predicts 30.
        let lengths = [3; 10].into_iter().chain([6; 3]).chain([31]);
        let windows = lengths.map(|length| &items[..length]).collect();
        let mut rng = StdRng::seed_from_u64(3);
        let found = batches(windows, 12, &mut rng);
        let mut sizes: Vec<(usize, usize)> = found
            .iter()
            .map(|batch| (batch.len(), batch.iter().map(|w| w.len()).max().unwrap()))
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [(1, 6), (1, 31), (2, 6), (4, 3), (6, 3)]);
    }
}
