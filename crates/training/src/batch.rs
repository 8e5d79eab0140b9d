use rand::{Rng, RngExt, seq::SliceRandom};

use tandem_model::ModelError;

/// Windows padded on the right to one length.
pub(crate) struct Batch {
    pub(crate) length: usize,
    pub(crate) inputs: Vec<u32>,    // [windows, length]
    pub(crate) positions: Vec<u32>, // flat indices into `inputs`, without padding
    pub(crate) targets: Vec<u32>,   // the item after each position
}

impl Batch {
    /// `newest` is [`TrainingConfig::newest_targets`](crate::TrainingConfig).
    pub(crate) fn new(
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

/// Pads rows on the right with item 0, which the causal mask hides.
pub(crate) fn padded(rows: &[&[u32]], length: usize) -> Vec<u32> {
    let mut out = vec![0; rows.len() * length];
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(length.max(1))) {
        out[..row.len()].copy_from_slice(row);
    }
    out
}

/// Cuts a user's items into training windows of at most `max_length + 1` items. Windows
/// overlap by one item, so that every item except the first is a target exactly once. The
/// first cut is random, so that an item is predicted from a different number of earlier
/// items in each epoch.
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

/// Groups examples of similar `length` (the number of inputs) into batches of at most `positions`
/// inputs, padding included, in random order; a longer example forms its own batch. The size is
/// bounded in inputs rather than examples so that a step averages over a similar number of targets
/// whatever the length of a window.
pub fn batches<T>(
    mut examples: Vec<T>,
    positions: usize,
    length: impl Fn(&T) -> usize,
    rng: &mut impl Rng,
) -> Vec<Vec<T>> {
    examples.shuffle(rng);
    // A stable sort keeps the random order within one length.
    examples.sort_by_key(&length);
    let mut out: Vec<Vec<T>> = Vec::new();
    for example in examples {
        let room = |batch: &Vec<T>| (batch.len() + 1) * length(&example) <= positions;
        match out.last_mut().filter(|batch| room(batch)) {
            Some(batch) => batch.push(example),
            None => out.push(vec![example]),
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
    fn batches_are_bounded_in_predictions() {
        let items: Vec<u32> = (0..40).collect();
        // Ten windows that predict 2 items each, three that predict 5, one that predicts 30.
        let lengths = [3; 10].into_iter().chain([6; 3]).chain([31]);
        let windows = lengths.map(|length| &items[..length]).collect();
        let mut rng = StdRng::seed_from_u64(3);
        let found = batches(windows, 12, |window: &&[u32]| window.len() - 1, &mut rng);
        let mut sizes: Vec<(usize, usize)> = found
            .iter()
            .map(|batch| (batch.len(), batch.iter().map(|w| w.len()).max().unwrap()))
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [(1, 6), (1, 31), (2, 6), (4, 3), (6, 3)]);
    }
}
