use std::collections::HashSet;

use tandem_protocol::{ItemId, RowsResponse};

use crate::{RowStore, Session, SessionError};

/// The items that the site allows to be recommended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Availability {
    /// `None`: every item is available.
    available: Option<HashSet<ItemId>>,
    excluded: HashSet<ItemId>,
    /// Whether `excluded` is sent with a request for candidates.
    send_excluded: bool,
    /// Available items whose rows cannot be had: they are not requested again.
    without_row: HashSet<ItemId>,
    /// One bit per row of the whole table: set if the item is allowed. `None` while every item
    /// is. Made when the site changes the sets, so that a search of a shop where most items
    /// are sold out does not look up every name.
    allowed_rows: Option<Vec<u64>>,
}

impl Availability {
    pub(crate) fn allows(&self, item: &ItemId) -> bool {
        self.available.as_ref().is_none_or(|available| available.contains(item))
            && !self.excluded.contains(item)
    }

    /// Whether the item at this position of the whole table is allowed.
    pub(crate) fn allows_row(&self, position: usize) -> bool {
        self.allowed_rows.as_ref().is_none_or(|rows| {
            rows.get(position / 64).is_some_and(|bits| bits >> (position % 64) & 1 == 1)
        })
    }

    /// Exclusions that are sent with a request.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &ItemId> {
        self.excluded.iter().filter(|_| self.send_excluded)
    }

    fn update_rows(&mut self, rows: &RowStore) {
        self.allowed_rows = None;
        if self.available.is_none() && self.excluded.is_empty() {
            return;
        }
        let Some((_, items)) = rows.whole_table() else { return };
        let mut bits = vec![0_u64; items.len().div_ceil(64)];
        for (position, item) in items.iter().enumerate() {
            bits[position / 64] |= u64::from(self.allows(item)) << (position % 64);
        }
        self.allowed_rows = Some(bits);
    }
}

impl Session {
    /// Sets the items that can be recommended, for example those in stock. `None` for all.
    /// Applies to the list, to the device's own search, to popular and to similar items.
    pub fn set_available(&mut self, items: Option<HashSet<ItemId>>) {
        self.availability.available = items;
        self.availability.update_rows(&self.rows);
    }

    /// Sets the items that are never recommended. Applies as
    /// [`set_available`](Self::set_available).
    ///
    /// With `send`, they are also sent with requests for candidates, so that the list does not
    /// contain them: the server then learns which items they are.
    pub fn set_excluded(&mut self, items: HashSet<ItemId>, send: bool) {
        self.availability.excluded = items;
        self.availability.send_excluded = send;
        self.availability.update_rows(&self.rows);
    }

    /// Available items whose rows to request from the server, at most `most` in order of their
    /// ids. Only for a catalogue in cells with a readable history, while the ranking that was
    /// shown last has fewer items than the search adds.
    #[must_use]
    pub fn missing_available(&self, most: usize) -> Vec<ItemId> {
        let is_full = self.shown_items >= self.settings.search_k;
        if is_full || self.rows.cells().is_none() || self.readable_history().is_empty() {
            return Vec::new();
        }
        let mut missing: Vec<&ItemId> = self.absent_available().collect();
        missing.sort_unstable();
        missing.into_iter().take(most).cloned().collect()
    }

    /// Keeps the rows of available items. Those without a row in the answer are unknown to the
    /// server and not requested again.
    ///
    /// # Errors
    /// As [`accept_rows`](Self::accept_rows).
    pub fn accept_available_rows(
        &mut self,
        requested: &[ItemId],
        response: &RowsResponse,
    ) -> Result<(), SessionError> {
        self.rows.add_allowed(&response.rows, |item| self.availability.allows(item))?;
        self.rows.note_unknown(requested);
        Ok(())
    }

    /// Does not request the rows of these available items again.
    pub fn give_up_available_rows(&mut self, items: &[ItemId]) {
        self.availability.without_row.extend(items.iter().cloned());
    }

    /// Whether an item that the ranking lacks may be in a cell that is not here: not if the rows
    /// of all available items are here.
    pub(crate) fn may_be_in_a_cell(&self) -> bool {
        self.availability.available.is_none() || self.absent_available().next().is_some()
    }

    /// Available items that may be recommended and whose rows are not here.
    fn absent_available(&self) -> impl Iterator<Item = &ItemId> {
        let Availability { available, without_row, .. } = &self.availability;
        available.iter().flatten().filter(|item| {
            self.rows.is_missing(item) && !without_row.contains(*item) && self.may_recommend(item)
        })
    }

    /// Whether an item may be recommended: allowed by the site, not disliked, and not in the
    /// history unless items may be repeated.
    pub(crate) fn may_recommend(&self, item: &ItemId) -> bool {
        (self.settings.repeats || !self.visitor.has_seen(item))
            && !self.visitor.dislikes_item(item)
            && self.availability.allows(item)
    }
}
