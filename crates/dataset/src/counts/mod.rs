//! Counts of a log. All score every item of a catalogue for a history.
//!
//! [`Popularity`], [`CoOccurrence`] and [`MarkovChain`] are baselines. The last two are strong on
//! sparse logs and on logs with an order: a model that does not beat them is not worth its cost.
//! [`CountTable`] is co-occurrence as a
//! ranking signal: it can be stored, updated by single events, decays and has bounded memory.

mod co_occurrence;
mod file;
mod markov_chain;
mod table;

pub use co_occurrence::CoOccurrence;
pub use markov_chain::MarkovChain;
pub use table::{CountOptions, CountTable};

use crate::ItemIndex;

/// Number of interactions with each item, the same for every user.
#[derive(Clone, Debug)]
pub struct Popularity {
    counts: Vec<u32>,
}

impl Popularity {
    /// Counts the interactions of `sequences` over a catalogue of `items` items.
    ///
    /// # Panics
    /// If a sequence holds an index outside the catalogue.
    pub fn fit<'a>(items: usize, sequences: impl IntoIterator<Item = &'a [ItemIndex]>) -> Self {
        let mut counts = vec![0; items];
        for item in sequences.into_iter().flatten() {
            counts[item.position()] += 1;
        }
        Self { counts }
    }

    /// Interactions of each item, in catalogue order.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The counts as scores, `[items]`.
    #[must_use]
    pub fn scores(&self) -> Vec<f32> {
        self.counts.iter().map(|&count| count as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_is_the_count() {
        let log = [vec![ItemIndex(0), ItemIndex(2), ItemIndex(2)], vec![ItemIndex(2)]];
        let popularity = Popularity::fit(4, log.iter().map(Vec::as_slice));
        assert_eq!(popularity.counts(), [1, 0, 3, 0]);
        assert_eq!(popularity.scores(), [1.0, 0.0, 3.0, 0.0]);
    }
}
