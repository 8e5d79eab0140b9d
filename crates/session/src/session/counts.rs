//! Co-occurrence counts beside the small model: what others chose near the newest items.

use std::sync::Arc;

use tandem_model::{CountRows, ModelError, UserState};
use tandem_protocol::ItemId;

use crate::{Session, SessionError};

/// The count rows of a catalogue, and their weight; see [`tandem_protocol::Counts`].
#[derive(Clone, Debug)]
pub(crate) struct WeightedCounts {
    rows: Arc<CountRows>,
    weight: f32,
}

/// What the counts add to the scores for one history: positions in the catalogue, ascending,
/// with what is added to the score.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CountScores(Vec<(u32, f32)>);

impl CountScores {
    /// Positions and scores of the items that were chosen near the history.
    pub(crate) fn near(&self) -> &[(u32, f32)] {
        &self.0
    }

    fn of(&self, position: usize) -> f32 {
        let found = self.0.binary_search_by_key(&position, |(at, _)| *at as usize);
        found.map_or(0.0, |at| self.0[at].1)
    }
}

impl Session {
    /// Adds co-occurrence counts to the scores of the small model. They take part in rankings,
    /// in the search, in the disagreement and in what a decision compares; learning on the
    /// device leaves them as they are.
    ///
    /// `rows` are those of the catalogue, in its order; the session must hold the whole item
    /// table. For DIN, whose scores have no scale to weigh counts by, they change nothing.
    ///
    /// # Errors
    /// [`SessionError::Model`] for a weight that is negative or not finite, or if there are not
    /// as many rows as in the item table.
    pub fn set_counts(&mut self, rows: Arc<CountRows>, weight: f32) -> Result<(), SessionError> {
        if !(weight.is_finite() && weight >= 0.0) {
            let text = format!("expected counts with a weight of at least 0, found {weight}");
            return Err(ModelError::Config(text).into());
        }
        let expected = self.rows.whole_table().map_or(0, |(table, _)| table.len());
        if rows.items() != expected {
            let found = rows.items();
            return Err(ModelError::Length { what: "count rows", expected, found }.into());
        }
        self.counts = (weight > 0.0).then_some(WeightedCounts { rows, weight });
        Ok(())
    }

    /// Whether counts take part in the ranking.
    #[must_use]
    pub fn has_counts(&self) -> bool {
        self.counts.is_some()
    }

    /// What the counts add for a history, newest item first.
    pub(crate) fn count_scores<'a>(
        &self,
        user: &UserState,
        newest_first: impl IntoIterator<Item = &'a ItemId>,
    ) -> CountScores {
        let (Some(counts), Some(length)) = (&self.counts, self.scorer.hidden_length(user)) else {
            return CountScores::default();
        };
        let positions = newest_first.into_iter().filter_map(|item| self.rows.position(item));
        let mut near = counts.rows.direction(positions.map(|(_, position)| position));
        let factor = counts.weight * length;
        for (_, count) in &mut near {
            *count *= factor;
        }
        CountScores(near)
    }

    /// Adds what the counts say about `items` to their scores.
    pub(crate) fn add_counts<'a>(
        &self,
        counts: &CountScores,
        items: impl IntoIterator<Item = &'a ItemId>,
        scores: &mut [f32],
    ) {
        if counts.0.is_empty() {
            return;
        }
        for (item, score) in items.into_iter().zip(scores) {
            if let Some((_, position)) = self.rows.position(item) {
                *score += counts.of(position);
            }
        }
    }

    /// The items that were chosen near the history and may be recommended.
    pub(crate) fn counted_items<'a>(
        &'a self,
        counts: &'a CountScores,
    ) -> impl Iterator<Item = &'a ItemId> {
        let items = self.rows.whole_table().map_or(&[][..], |(_, items)| items);
        let named = counts.near().iter().filter_map(|(position, _)| items.get(*position as usize));
        named.filter(|item| self.may_recommend(item))
    }
}
