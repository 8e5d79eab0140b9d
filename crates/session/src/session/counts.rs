//! Co-occurrence counts beside the small model: what others chose near the newest items.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tandem_model::{CountRows, ModelError, UserState, counts_direction};
use tandem_protocol::{Counts, ItemCounts, ItemId, ItemRow, RowsResponse};

use crate::{RowStore, Session, SessionError};

/// Counts, and their weight; see [`tandem_protocol::Counts`].
#[derive(Clone, Debug)]
pub(crate) struct WeightedCounts {
    source: CountSource,
    weight: f32,
}

#[derive(Clone, Debug)]
enum CountSource {
    /// The count rows of the catalogue, for devices with the whole item table.
    Catalogue(Arc<CountRows>),
    /// The neighbours of the newest items of the history, as the server sent them. An item
    /// without neighbours has an empty row.
    Sent(HashMap<ItemId, Vec<(ItemId, f32)>>),
}

/// What the counts add to the scores for one history, for each item that was chosen near it, in
/// order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CountScores {
    /// By position in the catalogue.
    Positions(Vec<(u32, f32)>),
    Items(Vec<(ItemId, f32)>),
}

impl Default for CountScores {
    fn default() -> Self {
        Self::Positions(Vec::new())
    }
}

impl CountScores {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Positions(near) => near.is_empty(),
            Self::Items(near) => near.is_empty(),
        }
    }

    fn scaled(mut self, factor: f32) -> Self {
        match &mut self {
            Self::Positions(near) => near.iter_mut().for_each(|(_, count)| *count *= factor),
            Self::Items(near) => near.iter_mut().for_each(|(_, count)| *count *= factor),
        }
        self
    }

    /// What is added to the score of an item.
    fn of(&self, item: &ItemId, rows: &RowStore) -> f32 {
        let found = match self {
            Self::Positions(near) => rows.position(item).and_then(|(_, position)| {
                let found = near.binary_search_by_key(&position, |(at, _)| *at as usize);
                found.ok().map(|at| near[at].1)
            }),
            Self::Items(near) => {
                near.binary_search_by(|(known, _)| known.cmp(item)).ok().map(|at| near[at].1)
            }
        };
        found.unwrap_or(0.0)
    }

    /// The items that were chosen near the history.
    fn items<'a>(&'a self, rows: &'a RowStore) -> Vec<&'a ItemId> {
        match self {
            Self::Positions(near) => {
                let items = rows.whole_table().map_or(&[][..], |(_, items)| items);
                near.iter().filter_map(|(position, _)| items.get(*position as usize)).collect()
            }
            Self::Items(near) => near.iter().map(|(item, _)| item).collect(),
        }
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
        check_weight(weight)?;
        let expected = self.rows.whole_table().map_or(0, |(table, _)| table.len());
        if rows.items() != expected {
            let found = rows.items();
            return Err(ModelError::Length { what: "count rows", expected, found }.into());
        }
        let source = CountSource::Catalogue(rows);
        self.counts = (weight > 0.0).then_some(WeightedCounts { source, weight });
        Ok(())
    }

    /// As [`set_counts`](Self::set_counts), for a session without the whole item table: the
    /// server sends the counts of the newest items of the history. Ask it for
    /// [`missing_counts`](Self::missing_counts).
    ///
    /// # Errors
    /// [`SessionError::Model`] for a weight that is negative or not finite.
    pub fn use_sent_counts(&mut self, weight: f32) -> Result<(), SessionError> {
        check_weight(weight)?;
        let source = CountSource::Sent(HashMap::new());
        self.counts = (weight > 0.0).then_some(WeightedCounts { source, weight });
        Ok(())
    }

    /// Ranks without counts from now on.
    pub fn remove_counts(&mut self) {
        self.counts = None;
    }

    /// Whether counts take part in the ranking.
    #[must_use]
    pub fn has_counts(&self) -> bool {
        self.counts.is_some()
    }

    /// The newest items of the history whose counts the server has not sent yet, newest first.
    #[must_use]
    pub fn missing_counts(&self) -> Vec<ItemId> {
        let Some(WeightedCounts { source: CountSource::Sent(sent), .. }) = &self.counts else {
            return Vec::new();
        };
        let mut missing: Vec<ItemId> = Vec::new();
        for item in self.counted_history() {
            if !sent.contains_key(item) && !missing.contains(item) {
                missing.push(item.clone());
            }
        }
        missing
    }

    /// Keeps the counts of `requested` items, and the rows of their neighbours, without which
    /// these could not be ranked. An item that the answer lacks has no neighbours. What belongs
    /// to items that are no longer among the newest of the history is dropped.
    ///
    /// # Errors
    /// [`SessionError::Row`] or [`SessionError::Model`] for a row or a weight that cannot be
    /// used; nothing is kept then.
    pub fn accept_counts(
        &mut self,
        requested: &[ItemId],
        response: &RowsResponse,
    ) -> Result<(), SessionError> {
        let near = || response.counts.iter().flat_map(|counts| &counts.near);
        if near().any(|near| !near.weight.is_finite() || near.weight < 0.0) {
            return Err(ModelError::NotFinite { what: "count row".into() }.into());
        }
        let newest: HashSet<ItemId> = self.counted_history().cloned().collect();
        let Some(WeightedCounts { source: CountSource::Sent(sent), .. }) = &mut self.counts else {
            return Ok(());
        };
        let with_row = near()
            .filter_map(|near| Some(ItemRow { item: near.item.clone(), row: near.row.clone()? }));
        self.rows.add_counted(&with_row.collect::<Vec<_>>())?;
        sent.extend(requested.iter().map(|item| (item.clone(), Vec::new())));
        for ItemCounts { item, near } in &response.counts {
            let near = near.iter().map(|near| (near.item.clone(), near.weight)).collect();
            sent.insert(item.clone(), near);
        }
        sent.retain(|item, _| newest.contains(item));
        let used: HashSet<&ItemId> = sent.values().flatten().map(|(item, _)| item).collect();
        self.rows.retain_counted(|item| used.contains(item));
        Ok(())
    }

    /// Forgets which counts the server sent.
    pub(crate) fn forget_sent_counts(&mut self) {
        if let Some(WeightedCounts { source: CountSource::Sent(sent), .. }) = &mut self.counts {
            sent.clear();
        }
        self.rows.retain_counted(|_| false);
    }

    /// The items of the history whose counts are read, newest first.
    fn counted_history(&self) -> impl Iterator<Item = &ItemId> {
        let history = self.visitor.history().iter().rev();
        history.filter(|item| !self.rows.is_unknown(item)).take(Counts::NEWEST)
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
        let newest_first = newest_first.into_iter();
        let direction = match &counts.source {
            CountSource::Catalogue(rows) => {
                let positions = newest_first.filter_map(|item| self.rows.position(item));
                CountScores::Positions(rows.direction(positions.map(|(_, position)| position)))
            }
            CountSource::Sent(sent) => {
                let known = newest_first.filter(|item| !self.rows.is_unknown(item));
                let rows = known.map(|item| sent.get(item).into_iter().flatten().cloned());
                CountScores::Items(counts_direction(rows))
            }
        };
        direction.scaled(counts.weight * length)
    }

    /// Adds what the counts say about `items` to their scores.
    pub(crate) fn add_counts<'a>(
        &self,
        counts: &CountScores,
        items: impl IntoIterator<Item = &'a ItemId>,
        scores: &mut [f32],
    ) {
        if counts.is_empty() {
            return;
        }
        for (item, score) in items.into_iter().zip(scores) {
            *score += counts.of(item, &self.rows);
        }
    }

    /// The items that were chosen near the history, whose rows are here, and that may be
    /// recommended.
    pub(crate) fn counted_items<'a>(
        &'a self,
        counts: &'a CountScores,
    ) -> impl Iterator<Item = &'a ItemId> {
        let items = counts.items(&self.rows).into_iter();
        items.filter(|item| self.rows.contains(item) && self.may_recommend(item))
    }
}

fn check_weight(weight: f32) -> Result<(), ModelError> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    Err(ModelError::Config(format!("expected counts with a weight of at least 0, found {weight}")))
}
