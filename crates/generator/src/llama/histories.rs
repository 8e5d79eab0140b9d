use tandem_dataset::ItemIndex;

/// What each sequence of a key-value cache holds, and which is used next.
#[derive(Debug)]
pub(super) struct Histories {
    sequences: Vec<Held>,
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Held {
    items: Vec<ItemIndex>,
    /// When it was last used; 0 for never.
    used: u64,
}

/// Where a history goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: usize,
    /// How many of its first items are there already; fewer than all, because the logits of
    /// the last are wanted.
    pub(super) known: usize,
}

impl Histories {
    pub(super) fn new(sequences: usize) -> Self {
        Self { sequences: vec![Held::default(); sequences], clock: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.sequences.len()
    }

    pub(super) fn clear(&mut self) {
        self.sequences.fill(Held::default());
    }

    /// Gives every history a sequence of its own and takes it for written. At most as many
    /// histories as sequences, none empty.
    ///
    /// A history goes where most of it stands already, if that is at least half of it:
    /// what two visitors happen to have begun with is not worth another's cache. Otherwise
    /// it takes the sequence that was not used for longest.
    pub(super) fn place(&mut self, histories: &[&[ItemIndex]]) -> Vec<Place> {
        debug_assert!(histories.len() <= self.sequences.len());
        let mut taken = vec![false; self.sequences.len()];
        let mut places: Vec<Option<Place>> = vec![None; histories.len()];
        for (place, history) in places.iter_mut().zip(histories) {
            let best = (0..self.sequences.len())
                .filter(|&sequence| !taken[sequence])
                .map(|sequence| Place { sequence, known: self.common(sequence, history) })
                .max_by(|a, b| a.known.cmp(&b.known).then(b.sequence.cmp(&a.sequence)));
            *place = best.filter(|best| best.known > 0 && best.known * 2 >= history.len());
            if let Some(place) = place {
                taken[place.sequence] = true;
            }
        }
        let mut free: Vec<usize> = (0..taken.len()).filter(|&sequence| !taken[sequence]).collect();
        free.sort_by_key(|&sequence| self.sequences[sequence].used);
        let mut free = free.into_iter();
        self.clock += 1;
        let placed: Vec<Place> = places
            .into_iter()
            .filter_map(|place| {
                place.or_else(|| free.next().map(|sequence| Place { sequence, known: 0 }))
            })
            .collect();
        for (place, history) in placed.iter().zip(histories) {
            let held = &mut self.sequences[place.sequence];
            held.items.clear();
            held.items.extend_from_slice(history);
            held.used = self.clock;
        }
        placed
    }

    fn common(&self, sequence: usize, history: &[ItemIndex]) -> usize {
        let held = &self.sequences[sequence].items;
        let common = held.iter().zip(history).take_while(|(a, b)| a == b).count();
        common.min(history.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(histories: &mut Histories, wanted: &[&[u32]]) -> Vec<(usize, usize)> {
        let wanted: Vec<Vec<ItemIndex>> =
            wanted.iter().map(|items| items.iter().copied().map(ItemIndex).collect()).collect();
        let wanted: Vec<&[ItemIndex]> = wanted.iter().map(Vec::as_slice).collect();
        histories.place(&wanted).iter().map(|place| (place.sequence, place.known)).collect()
    }

    #[test]
    fn a_history_that_grows_stays_where_it_is() {
        let mut histories = Histories::new(2);
        assert_eq!(place(&mut histories, &[&[1, 2]]), [(0, 0)]);
        assert_eq!(place(&mut histories, &[&[7, 8, 9]]), [(1, 0)]);
        assert_eq!(place(&mut histories, &[&[1, 2, 3]]), [(0, 2)]);
        // The last item is read again, for its logits.
        assert_eq!(place(&mut histories, &[&[1, 2, 3]]), [(0, 2)]);
        // One item taken back.
        assert_eq!(place(&mut histories, &[&[7, 8]]), [(1, 1)]);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut histories = Histories::new(2);
        place(&mut histories, &[&[1, 2], &[3, 4]]);
        place(&mut histories, &[&[1, 2, 5]]);
        assert_eq!(place(&mut histories, &[&[6]]), [(1, 0)]);
        // One item in common of three is not worth the sequence of the first.
        assert_eq!(place(&mut histories, &[&[6, 2, 3]]), [(0, 0)]);
        histories.clear();
        assert_eq!(place(&mut histories, &[&[6, 2, 4]]), [(0, 0)]);
    }

    #[test]
    fn together_they_do_not_share() {
        let mut histories = Histories::new(3);
        place(&mut histories, &[&[1, 2], &[3, 4]]);
        let places = place(&mut histories, &[&[9, 9], &[1, 2, 3], &[1, 2, 4]]);
        assert_eq!(places[1], (0, 2));
        let mut sequences: Vec<usize> = places.iter().map(|place| place.0).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, [0, 1, 2]);
    }
}
