use tandem_dataset::ItemIndex;

/// Records which history each sequence of the key-value cache stores, and assigns sequences
/// to new histories (least recently used first).
#[derive(Debug)]
pub(crate) struct PrefixCache {
    entries: Vec<CacheEntry>,
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct CacheEntry {
    items: Vec<ItemIndex>,
    /// Time of the last use; 0 for never.
    last_used: u64,
}

/// The sequence assigned to a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheSlot {
    pub(crate) sequence: usize,
    /// Number of leading items that the sequence already stores. It is less than the length
    /// of the history, because the logits of the last item must be computed.
    pub(crate) cached: usize,
}

impl PrefixCache {
    pub(crate) fn new(sequences: usize) -> Self {
        Self { entries: vec![CacheEntry::default(); sequences], clock: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.fill(CacheEntry::default());
    }

    /// Assigns every history a sequence of its own and records it as stored there. Expects
    /// at most as many histories as sequences, none of them empty.
    ///
    /// A history reuses the sequence with the longest common prefix if that prefix covers at
    /// least half of the history: a shorter one is not worth evicting another visitor's
    /// history. Otherwise the history gets the least recently used sequence.
    pub(crate) fn assign(&mut self, histories: &[&[ItemIndex]]) -> Vec<CacheSlot> {
        debug_assert!(histories.len() <= self.entries.len());
        let mut taken = vec![false; self.entries.len()];
        let mut slots: Vec<Option<CacheSlot>> = vec![None; histories.len()];
        for (slot, history) in slots.iter_mut().zip(histories) {
            let best = (0..self.entries.len())
                .filter(|&sequence| !taken[sequence])
                .map(|sequence| CacheSlot {
                    sequence,
                    cached: self.common_prefix(sequence, history),
                })
                .max_by(|a, b| a.cached.cmp(&b.cached).then(b.sequence.cmp(&a.sequence)));
            *slot = best.filter(|best| best.cached > 0 && best.cached * 2 >= history.len());
            if let Some(slot) = slot {
                taken[slot.sequence] = true;
            }
        }
        let mut free: Vec<usize> = (0..taken.len()).filter(|&sequence| !taken[sequence]).collect();
        free.sort_by_key(|&sequence| self.entries[sequence].last_used);
        let mut free = free.into_iter();
        self.clock += 1;
        let assigned: Vec<CacheSlot> = slots
            .into_iter()
            .filter_map(|slot| {
                slot.or_else(|| free.next().map(|sequence| CacheSlot { sequence, cached: 0 }))
            })
            .collect();
        for (slot, history) in assigned.iter().zip(histories) {
            let entry = &mut self.entries[slot.sequence];
            entry.items.clear();
            entry.items.extend_from_slice(history);
            entry.last_used = self.clock;
        }
        assigned
    }

    fn common_prefix(&self, sequence: usize, history: &[ItemIndex]) -> usize {
        let items = &self.entries[sequence].items;
        let common = items.iter().zip(history).take_while(|(a, b)| a == b).count();
        common.min(history.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(cache: &mut PrefixCache, histories: &[&[u32]]) -> Vec<(usize, usize)> {
        let histories: Vec<Vec<ItemIndex>> =
            histories.iter().map(|items| items.iter().copied().map(ItemIndex).collect()).collect();
        let histories: Vec<&[ItemIndex]> = histories.iter().map(Vec::as_slice).collect();
        cache.assign(&histories).iter().map(|slot| (slot.sequence, slot.cached)).collect()
    }

    #[test]
    fn a_growing_history_keeps_its_sequence() {
        let mut cache = PrefixCache::new(2);
        assert_eq!(assign(&mut cache, &[&[1, 2]]), [(0, 0)]);
        assert_eq!(assign(&mut cache, &[&[7, 8, 9]]), [(1, 0)]);
        assert_eq!(assign(&mut cache, &[&[1, 2, 3]]), [(0, 2)]);
        // The last item is evaluated again to get its logits.
        assert_eq!(assign(&mut cache, &[&[1, 2, 3]]), [(0, 2)]);
        // The last item was removed.
        assert_eq!(assign(&mut cache, &[&[7, 8]]), [(1, 1)]);
    }

    #[test]
    fn the_least_recently_used_sequence_is_replaced_first() {
        let mut cache = PrefixCache::new(2);
        assign(&mut cache, &[&[1, 2], &[3, 4]]);
        assign(&mut cache, &[&[1, 2, 5]]);
        assert_eq!(assign(&mut cache, &[&[6]]), [(1, 0)]);
        // A common prefix of one item out of three does not replace the first history.
        assert_eq!(assign(&mut cache, &[&[6, 2, 3]]), [(0, 0)]);
        cache.clear();
        assert_eq!(assign(&mut cache, &[&[6, 2, 4]]), [(0, 0)]);
    }

    #[test]
    fn histories_of_one_batch_get_distinct_sequences() {
        let mut cache = PrefixCache::new(3);
        assign(&mut cache, &[&[1, 2], &[3, 4]]);
        let slots = assign(&mut cache, &[&[9, 9], &[1, 2, 3], &[1, 2, 4]]);
        assert_eq!(slots[1], (0, 2));
        let mut sequences: Vec<usize> = slots.iter().map(|slot| slot.0).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, [0, 1, 2]);
    }
}
