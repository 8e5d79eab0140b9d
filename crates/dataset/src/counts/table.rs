use super::CoOccurrence;
use crate::{Dataset, DatasetError, DatasetFolder, ItemIndex, Sequence};

/// Stored weights grow with time instead of all older ones shrinking. They are scaled down before
/// the newest reach 2 to this power, far from the limits of single precision.
const MAX_EXPONENT: f64 = 40.0;

/// Memory of a new row, in pairs.
const FIRST_PAIRS: usize = 4;

/// How a [`CountTable`] forgets, and how much it remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountOptions {
    /// Seconds after which an event counts half; `None`: all count alike.
    pub half_life: Option<f64>,
    /// Number of other items that are kept for each item, the heaviest.
    pub max_neighbours: usize,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self { half_life: None, max_neighbours: 256 }
    }
}

/// Co-occurrence of items with the weights and the score of [`CoOccurrence`], updated by single
/// events.
///
/// Memory: 8 bytes for each of at most `max_neighbours` pairs of each item, and a quarter more.
#[derive(Clone, Debug, PartialEq)]
pub struct CountTable {
    pub(super) options: CountOptions,
    /// For each item the weights towards others, by ascending target.
    pub(super) rows: Vec<Vec<(ItemIndex, f32)>>,
    /// Decayed number of interactions with each item.
    pub(super) popularity: Vec<f32>,
    /// The time, in seconds since 1970, at which a new event has the stored weight 1.
    pub(super) origin: i64,
    /// The newest event, in the same way.
    pub(super) newest: i64,
}

impl CountTable {
    /// An empty table for a catalogue of `items` items.
    #[must_use]
    pub fn new(items: usize, options: CountOptions) -> Self {
        Self {
            options,
            rows: vec![Vec::new(); items],
            popularity: vec![0.0; items],
            origin: 0,
            newest: 0,
        }
    }

    /// Counts the sequences of a dataset without the last `hold_out` items of each.
    #[must_use]
    pub fn of_dataset(dataset: &Dataset, hold_out: usize, options: CountOptions) -> Self {
        let newest = dataset.sequences.iter().filter_map(|it| newest_time(it, hold_out)).max();
        let mut table = Self::until(newest, dataset.catalogue.len(), options);
        for sequence in &dataset.sequences {
            table.add_sequence(sequence, hold_out);
        }
        table
    }

    /// As [`CountTable::of_dataset`], one sequence in memory at a time.
    ///
    /// # Errors
    /// As [`DatasetFolder::for_each_sequence`].
    pub fn of_folder(
        folder: &DatasetFolder,
        hold_out: usize,
        options: CountOptions,
    ) -> Result<Self, DatasetError> {
        let mut newest = None;
        folder.for_each_sequence(|it| newest = newest.max(newest_time(&it, hold_out)))?;
        let mut table = Self::until(newest, folder.catalogue.len(), options);
        folder.for_each_sequence(|sequence| table.add_sequence(&sequence, hold_out))?;
        Ok(table)
    }

    /// An empty table whose newest event will be at this time.
    fn until(newest: Option<i64>, items: usize, options: CountOptions) -> Self {
        let newest = newest.unwrap_or(0);
        Self { origin: newest, newest, ..Self::new(items, options) }
    }

    fn add_sequence(&mut self, sequence: &Sequence, hold_out: usize) {
        for at in 0..sequence.items.len().saturating_sub(hold_out) {
            let first = at.saturating_sub(CoOccurrence::MAX_DISTANCE);
            let time = sequence.times.as_ref().map_or(self.origin, |times| times[at]);
            self.add(&sequence.items[first..at], sequence.items[at], time);
        }
    }

    /// How it forgets, and how much it remembers.
    #[must_use]
    pub fn options(&self) -> CountOptions {
        self.options
    }

    /// Number of items of the catalogue, and of added items that were counted.
    #[must_use]
    pub fn items(&self) -> usize {
        self.rows.len()
    }

    /// Number of stored pairs.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// The time of the newest event, in seconds since 1970; 0 without times.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// Counts one event: an item after the items `before` it in the same session, oldest first.
    /// `time` is in seconds since 1970. The table grows for items beyond the catalogue.
    pub fn add(&mut self, before: &[ItemIndex], item: ItemIndex, time: i64) {
        let last = before.iter().copied().chain([item]).max().unwrap_or(item);
        if last.position() >= self.rows.len() {
            self.rows.resize_with(last.position() + 1, Vec::new);
            self.popularity.resize(last.position() + 1, 0.0);
        }
        self.newest = self.newest.max(time);
        let weight = self.weight_at(time);
        self.popularity[item.position()] += weight;
        let first = before.len().saturating_sub(CoOccurrence::MAX_DISTANCE);
        for (distance, &earlier) in (1_u8..).zip(before[first..].iter().rev()) {
            let weight = weight / f32::from(distance);
            self.add_pair(earlier, item, weight);
            self.add_pair(item, earlier, CoOccurrence::BACKWARDS * weight);
        }
    }

    fn add_pair(&mut self, from: ItemIndex, to: ItemIndex, weight: f32) {
        let limit = self.options.max_neighbours;
        let most = limit + limit / 4;
        let row = &mut self.rows[from.position()];
        match row.binary_search_by_key(&to, |&(target, _)| target) {
            Ok(at) => row[at].1 += weight,
            Err(at) => {
                // By a quarter, not to the next power of two, and not beyond a full row.
                if row.len() == row.capacity() {
                    let more = (row.len() / 4).max(FIRST_PAIRS);
                    row.reserve_exact(more.min((most + 1).saturating_sub(row.len()).max(1)));
                }
                row.insert(at, (to, weight));
            }
        }
        // Not at every event, so that a new pair has the time to grow.
        if row.len() > most {
            row.select_nth_unstable_by(limit, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            row.truncate(limit);
            row.sort_unstable_by_key(|&(target, _)| target);
        }
    }

    /// The stored weight of an event at `time`; scales everything down if it gets too large.
    fn weight_at(&mut self, time: i64) -> f32 {
        let Some(half_life) = self.options.half_life else { return 1.0 };
        let exponent = |origin: i64| (time - origin) as f64 / half_life;
        if exponent(self.origin) > MAX_EXPONENT {
            let factor = (-exponent(self.origin)).exp2() as f32;
            self.origin = time;
            self.popularity.iter_mut().for_each(|count| *count *= factor);
            for row in &mut self.rows {
                for (_, weight) in row.iter_mut() {
                    *weight *= factor;
                }
                row.retain(|&(_, weight)| weight > 0.0);
            }
        }
        exponent(self.origin).exp2() as f32
    }

    /// For each item the at most `most` others that it says most about: their catalogue positions
    /// and their weights divided by the root of their popularity, as in
    /// [`add_scores`](Self::add_scores), by descending weight.
    #[must_use]
    pub fn nearest(&self, most: usize) -> Vec<Vec<(u32, f32)>> {
        let now = self.weight_of_newest();
        let nearest = |row: &Vec<(ItemIndex, f32)>| {
            let weighted = row.iter().map(|&(to, weight)| (to.0, now * weight * self.rarity(to)));
            let mut row: Vec<(u32, f32)> = weighted.collect();
            row.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            row.truncate(most);
            row
        };
        self.rows.iter().map(nearest).collect()
    }

    /// How often an item was chosen; older events count less if there is a half-life. At the time
    /// of the newest event.
    ///
    /// # Panics
    /// If the item is outside the catalogue.
    #[must_use]
    pub fn popularity(&self, item: ItemIndex) -> f32 {
        self.popularity[item.position()] * self.weight_of_newest()
    }

    /// The factor from a stored weight to that at the time of the newest event.
    fn weight_of_newest(&self) -> f32 {
        match self.options.half_life {
            Some(half_life) => (-((self.newest - self.origin) as f64 / half_life)).exp2() as f32,
            None => 1.0,
        }
    }

    /// 1 / sqrt(popularity + 1) at the time of the newest event.
    fn rarity(&self, item: ItemIndex) -> f32 {
        (self.popularity[item.position()] * self.weight_of_newest() + 1.0).sqrt().recip()
    }

    /// Adds the score of every item for a history, oldest first, to `scores` `[items]`. The score
    /// is that of [`CoOccurrence`] at the time of the newest event. Returns whether any was added.
    ///
    /// Items beyond `scores` get no score, and items that were never counted give none.
    pub fn add_scores(&self, history: &[ItemIndex], scores: &mut [f32]) -> bool {
        let mut any = false;
        self.for_each_score(history, |item, score| {
            if let Some(sum) = scores.get_mut(item.position()) {
                *sum += score;
                any = true;
            }
        });
        any
    }

    /// Calls `add` with parts of the scores for a history, oldest first: an item's score, as in
    /// [`add_scores`](Self::add_scores), is the sum of its parts.
    pub fn for_each_score(&self, history: &[ItemIndex], mut add: impl FnMut(ItemIndex, f32)) {
        let now = self.weight_of_newest();
        let mut worth = now;
        for item in history.iter().rev().take(CoOccurrence::MAX_AGE) {
            for &(to, weight) in self.rows.get(item.position()).map_or(&[][..], Vec::as_slice) {
                let rarity = (self.popularity[to.position()] * now + 1.0).sqrt().recip();
                add(to, worth * weight * rarity);
            }
            worth *= CoOccurrence::DECAY;
        }
    }
}

/// The time of the newest item of a sequence without its last `hold_out` items.
fn newest_time(sequence: &Sequence, hold_out: usize) -> Option<i64> {
    let last = sequence.items.len().checked_sub(hold_out)?.checked_sub(1)?;
    sequence.times.as_ref().map(|times| times[last])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Catalogue, Item, counts::Popularity};

    fn items(indices: &[u32]) -> Vec<ItemIndex> {
        indices.iter().copied().map(ItemIndex).collect()
    }

    fn dataset(log: &[Vec<u32>], items_: usize, times: Option<&[Vec<i64>]>) -> Dataset {
        let catalogue =
            (0..items_).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let sequences = log.iter().enumerate().map(|(user, indices)| Sequence {
            user: user.to_string(),
            items: items(indices),
            times: times.map(|times| times[user].clone()),
        });
        Dataset::new("d", Catalogue::new(catalogue).unwrap(), sequences.collect(), None).unwrap()
    }

    fn scores(table: &CountTable, history: &[u32]) -> Vec<f32> {
        let mut scores = vec![0.0; table.items()];
        table.add_scores(&items(history), &mut scores);
        scores
    }

    proptest! {
        #[test]
        fn without_decay_and_bound_it_is_co_occurrence(
            log in prop::collection::vec(prop::collection::vec(0_u32..9, 1..8), 1..6),
            history in prop::collection::vec(0_u32..9, 0..12),
        ) {
            let sequences: Vec<Vec<ItemIndex>> = log.iter().map(|it| items(it)).collect();
            let of = || sequences.iter().map(Vec::as_slice);
            let expected = CoOccurrence::fit(of(), &Popularity::fit(9, of()));
            let mut table = CountTable::new(9, CountOptions::default());
            for sequence in &sequences {
                for at in 0..sequence.len() {
                    table.add(&sequence[..at], sequence[at], 0);
                }
            }
            let expected = expected.scores(&items(&history));
            for (found, expected) in scores(&table, &history).iter().zip(expected) {
                prop_assert!((found - expected).abs() < 1e-4);
            }
        }

        #[test]
        fn scaling_down_changes_no_score(times in prop::collection::vec(0_u32..2_000, 2..20)) {
            let options = CountOptions { half_life: Some(10.0), max_neighbours: 9 };
            let mut table = CountTable::new(4, options);
            let mut expected = [0.0_f64; 4];
            for &time in &times {
                table.add(&items(&[0]), ItemIndex(time % 3 + 1), time.into());
            }
            let newest = *times.iter().max().unwrap();
            for &time in &times {
                expected[(time % 3) as usize + 1] +=
                    ((f64::from(time) - f64::from(newest)) / 10.0).exp2();
            }
            // Each event of an item is also its only pair from item 0.
            for (item, found) in scores(&table, &[0]).iter().enumerate().skip(1) {
                let count = expected[item];
                let score = count / (count + 1.0).sqrt();
                prop_assert!((f64::from(*found) - score).abs() < 1e-4, "{found} {score}");
            }
        }
    }

    #[test]
    fn old_events_count_half_after_the_half_life() {
        let log = [vec![0, 1], vec![0, 2]];
        let times = vec![vec![0, 0], vec![100, 100]];
        let options = CountOptions { half_life: Some(100.0), max_neighbours: 10 };
        let table = CountTable::of_dataset(&dataset(&log, 3, Some(&times)), 0, options);
        let found = scores(&table, &[0]);
        assert!((found[1] - 0.5 / 1.5_f32.sqrt()).abs() < 1e-6, "{found:?}");
        assert!((found[2] - 1.0 / 2.0_f32.sqrt()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_folder_gives_the_counts_of_its_dataset() {
        let log = [vec![0, 1, 2, 0, 2], vec![], vec![3], vec![2, 1, 3, 0]];
        let times = log.each_ref().map(|items| (0_i64..).step_by(90).take(items.len()).collect());
        let options = CountOptions { half_life: Some(100.0), max_neighbours: 2 };
        let folder = tempfile::tempdir().unwrap();
        for times in [None, Some(times.as_slice())] {
            let dataset = dataset(&log, 4, times);
            dataset.save(folder.path()).unwrap();
            let opened = DatasetFolder::open(folder.path()).unwrap();
            for hold_out in [0, 1, 9] {
                let expected = CountTable::of_dataset(&dataset, hold_out, options);
                assert_eq!(CountTable::of_folder(&opened, hold_out, options).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_row_has_no_more_memory_than_its_limit() {
        let options = CountOptions { half_life: None, max_neighbours: 100 };
        let mut table = CountTable::new(1_000, options);
        for item in 0..10_000 {
            table.add(&items(&[0]), ItemIndex(1 + item % 999), 0);
        }
        assert!(table.rows[0].len() <= 125, "{}", table.rows[0].len());
        assert!(table.rows[0].capacity() <= 126, "{}", table.rows[0].capacity());
    }

    #[test]
    fn held_out_items_are_not_counted() {
        let table =
            CountTable::of_dataset(&dataset(&[vec![0, 1, 2]], 3, None), 1, CountOptions::default());
        assert_eq!(scores(&table, &[1]), [0.5 / 2.0_f32.sqrt(), 0.0, 0.0]);
        assert!(!table.clone().add_scores(&[], &mut [0.0; 3]));
    }

    #[test]
    fn items_beyond_the_catalogue_are_counted_like_others() {
        let mut table = CountTable::new(2, CountOptions::default());
        assert!(!table.add_scores(&items(&[4]), &mut [0.0; 5]), "never counted");
        table.add(&items(&[0]), ItemIndex(4), 7);
        assert_eq!((table.items(), table.newest()), (5, 7));
        let after_first = scores(&table, &[0]);
        assert!(after_first[..4].iter().all(|score| score.abs() < 1e-6), "{after_first:?}");
        assert!((after_first[4] - 1.0 / 2.0_f32.sqrt()).abs() < 1e-6, "{after_first:?}");
        assert!((scores(&table, &[4])[0] - 0.5).abs() < 1e-6);
        // A caller that knows the catalogue only.
        let mut known = [0.0; 2];
        assert!(!table.add_scores(&items(&[0]), &mut known));
        assert!(known.iter().all(|score| score.abs() < 1e-6), "{known:?}");
    }

    #[test]
    fn the_nearest_items_have_the_largest_scores() {
        let log = [vec![0, 1, 2], vec![0, 1], vec![2, 0, 3], vec![3, 3]];
        let table = CountTable::of_dataset(&dataset(&log, 5, None), 0, CountOptions::default());
        let expected = scores(&table, &[0]);
        let nearest = table.nearest(2);
        assert_eq!(nearest.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 0]);
        for &(item, weight) in &nearest[0] {
            assert!((weight - expected[item as usize]).abs() < 1e-6);
        }
        let mut sorted = expected.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        assert!((nearest[0][0].1 - sorted[0]).abs() < 1e-6);
        assert!((nearest[0][1].1 - sorted[1]).abs() < 1e-6);
    }

    #[test]
    fn a_row_keeps_its_heaviest_pairs() {
        let options = CountOptions { half_life: None, max_neighbours: 8 };
        let mut table = CountTable::new(40, options);
        for other in 1..40_u32 {
            for _ in 0..=other % 5 {
                table.add(&items(&[0]), ItemIndex(other), 0);
            }
        }
        assert!(table.rows[0].len() <= 10);
        let found = scores(&table, &[0]);
        assert!(found[4] > 0.0 && found[1] == 0.0, "{found:?}");
    }
}
