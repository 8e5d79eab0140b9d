use std::collections::{HashMap, HashSet};

use tandem_protocol::ItemId;

/// Maximum length of a history. The oldest items are dropped, so that the cost of a click
/// stays bounded.
pub const MAX_HISTORY: usize = 1_000;

/// Maximum number of disliked items. The oldest are dropped.
pub const MAX_DISLIKES: usize = 10_000;

/// Maximum of a stored count: no sum of counts overflows.
const MAX_COUNT: usize = 1 << 30;

/// What a session knows about its visitor: history, dislikes and counts.
///
/// Holds at most [`MAX_HISTORY`] and [`MAX_DISLIKES`] items, whatever it is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    /// Oldest first.
    history: Vec<ItemId>,
    /// Number of items that were dropped in front of `history`.
    dropped: usize,
    /// How often each item is in `history`.
    occurrences: HashMap<ItemId, usize>,
    /// In the order of the events.
    dislikes: Vec<ItemId>,
    disliked: HashSet<ItemId>,
    clicks: u64,
    calls: u64,
    distinct: usize,
}

/// The counts of a [`Visitor`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Clicks, purchases and dislikes.
    pub(crate) clicks: u64,
    /// Items that joined the history and were not in it before.
    pub(crate) distinct: usize,
}

/// A visitor as it is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedVisitor {
    pub(crate) history: Vec<ItemId>,
    pub(crate) dropped: usize,
    pub(crate) dislikes: Vec<ItemId>,
    pub(crate) clicks: u64,
    pub(crate) calls: u64,
    /// Absent in older sessions: the number of distinct items in the history.
    pub(crate) distinct: Option<usize>,
}

impl Visitor {
    /// Restores a visitor. What exceeds the limits is dropped, oldest first.
    pub(crate) fn restored(saved: SavedVisitor) -> Self {
        let dropped = saved.dropped.min(MAX_COUNT);
        let mut visitor = Self { dropped, calls: saved.calls, ..Self::default() };
        visitor.prepend(saved.history);
        for item in saved.dislikes {
            visitor.dislike(item);
        }
        visitor.distinct = saved.distinct.unwrap_or(0).min(MAX_COUNT).max(visitor.distinct);
        // The dislikes were counted as clicks already.
        visitor.clicks = saved.clicks;
        visitor
    }

    /// Adds items before the history, without counting them as clicks. Returns their number, by
    /// which the positions of the other items move.
    pub(crate) fn prepend(&mut self, items: impl IntoIterator<Item = ItemId>) -> usize {
        let before = self.history.len();
        self.history.splice(0..0, items);
        let added = self.history.len() - before;
        for item in &self.history[..added] {
            let count = self.occurrences.entry(item.clone()).or_insert(0);
            self.distinct += usize::from(*count == 0);
            *count += 1;
        }
        self.trim_history();
        added
    }

    /// Adds a clicked or purchased item.
    pub(crate) fn click(&mut self, item: ItemId) {
        let count = self.occurrences.entry(item.clone()).or_insert(0);
        self.distinct += usize::from(*count == 0);
        *count += 1;
        self.history.push(item);
        self.trim_history();
        self.clicks = self.clicks.saturating_add(1);
    }

    /// Removes the newest item of the history.
    pub(crate) fn undo_click(&mut self) {
        if let Some(item) = self.history.pop()
            && self.forget(&item)
        {
            self.distinct = self.distinct.saturating_sub(1);
        }
        self.clicks = self.clicks.saturating_sub(1);
    }

    /// Adds a disliked item. Returns `false` if it was disliked before.
    pub(crate) fn dislike(&mut self, item: ItemId) -> bool {
        self.clicks = self.clicks.saturating_add(1);
        if !self.disliked.insert(item.clone()) {
            return false;
        }
        self.dislikes.push(item);
        if self.dislikes.len() > MAX_DISLIKES {
            let oldest = self.dislikes.remove(0);
            self.disliked.remove(&oldest);
        }
        true
    }

    /// Takes a dislike back; `new` is what [`dislike`](Self::dislike) returned.
    pub(crate) fn undo_dislike(&mut self, item: &ItemId, new: bool) {
        if new && self.disliked.remove(item) {
            self.dislikes.retain(|other| other != item);
        }
        self.clicks = self.clicks.saturating_sub(1);
    }

    /// Counts a request for a list.
    pub(crate) fn count_call(&mut self) {
        self.calls = self.calls.saturating_add(1);
    }

    /// The history, oldest first.
    pub(crate) fn history(&self) -> &[ItemId] {
        &self.history
    }

    /// Number of items that were dropped in front of the history.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Position of the next click, counted from the first item of the session. It does not
    /// change when the oldest items are dropped.
    pub(crate) fn end(&self) -> usize {
        self.dropped + self.history.len()
    }

    /// Disliked items in the order of the events.
    pub(crate) fn dislikes(&self) -> &[ItemId] {
        &self.dislikes
    }

    /// Whether the item is in the history.
    pub(crate) fn has_seen(&self, item: &ItemId) -> bool {
        self.occurrences.contains_key(item)
    }

    /// Whether the item is disliked.
    pub(crate) fn dislikes_item(&self, item: &ItemId) -> bool {
        self.disliked.contains(item)
    }

    pub(crate) fn clicks(&self) -> u64 {
        self.clicks
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { clicks: self.clicks, distinct: self.distinct }
    }

    fn trim_history(&mut self) {
        let surplus = self.history.len().saturating_sub(MAX_HISTORY);
        for item in self.history.drain(..surplus).collect::<Vec<_>>() {
            self.forget(&item);
        }
        self.dropped += surplus;
    }

    /// Counts one occurrence less. Returns `true` if it was the last one.
    fn forget(&mut self, item: &ItemId) -> bool {
        let Some(count) = self.occurrences.get_mut(item) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.occurrences.remove(item);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ItemId {
        ItemId::new(number.to_string())
    }

    #[test]
    fn restored_data_is_trimmed_to_the_limits() {
        let mut visitor = Visitor::restored(SavedVisitor {
            history: (0..=MAX_HISTORY).map(id).collect(),
            dislikes: (0..MAX_DISLIKES + 5).map(id).collect(),
            clicks: 7,
            calls: 3,
            ..SavedVisitor::default()
        });
        assert_eq!((visitor.history().len(), &visitor.history()[0]), (MAX_HISTORY, &id(1)));
        assert_eq!((visitor.dislikes().len(), &visitor.dislikes()[0]), (MAX_DISLIKES, &id(5)));
        assert!(!visitor.has_seen(&id(0)) && !visitor.dislikes_item(&id(4)));
        assert_eq!((visitor.clicks(), visitor.calls(), visitor.dropped()), (7, 3, 1));
        // The limit holds for what comes afterwards.
        visitor.click(id(5_000));
        visitor.dislike(id(50_000));
        assert_eq!(visitor.history().len(), MAX_HISTORY);
        assert_eq!(visitor.dislikes().len(), MAX_DISLIKES);
        assert_eq!(visitor.end(), MAX_HISTORY + 2);
    }

    #[test]
    fn distinct_items_are_counted_beyond_the_limit_and_back() {
        let mut visitor = Visitor::default();
        for number in 0..MAX_HISTORY + 10 {
            visitor.click(id(number));
        }
        visitor.click(id(MAX_HISTORY));
        assert_eq!(visitor.counts().distinct, MAX_HISTORY + 10);
        visitor.undo_click();
        assert_eq!(visitor.counts().distinct, MAX_HISTORY + 10, "it is in the history once more");
        visitor.undo_click();
        assert_eq!(visitor.counts().distinct, MAX_HISTORY + 9);
        assert_eq!(visitor.clicks(), MAX_HISTORY as u64 + 9);
    }
}
