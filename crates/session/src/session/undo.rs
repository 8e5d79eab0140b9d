use std::collections::VecDeque;

use tandem_protocol::{Event, EventKind};

use crate::Session;

/// Number of newest events that can be taken back.
pub const UNDO_LIMIT: usize = 10;

/// The newest events, oldest first, numbered in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoLog {
    records: VecDeque<Record>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Record {
    number: u64,
    event: Event,
    /// For a dislike: the item was not disliked before.
    new: bool,
}

impl UndoLog {
    /// Number of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Number of the oldest event that can be taken back.
    pub(crate) fn oldest(&self) -> u64 {
        self.records.front().map_or(self.next, |record| record.number)
    }

    /// Records a click or purchase.
    pub(crate) fn clicked(&mut self, event: &Event) {
        self.push(event, false);
    }

    /// Records a dislike; `new` if the item was not disliked before.
    pub(crate) fn disliked(&mut self, event: &Event, new: bool) {
        self.push(event, new);
    }

    /// Forgets all events.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
    }

    fn push(&mut self, event: &Event, new: bool) {
        if self.records.len() == UNDO_LIMIT {
            self.records.pop_front();
        }
        self.records.push_back(Record { number: self.next, event: event.clone(), new });
        self.next += 1;
    }
}

impl Session {
    /// Takes back the newest click, purchase or dislike, with all that was learnt from it,
    /// and returns it. `None` if none is left of the last [`UNDO_LIMIT`] since the session
    /// began, was reset or imported.
    ///
    /// A list that was made in the meantime lacks the item until the next list.
    pub fn undo(&mut self) -> Option<Event> {
        let Record { number, event, new } = self.undo.records.pop_back()?;
        match event.kind {
            EventKind::Dislike => self.visitor.undo_dislike(&event.item, new),
            EventKind::Click | EventKind::Purchase | EventKind::View => self.visitor.undo_click(),
        }
        self.learning.take_back(number, &mut self.delta);
        Some(event)
    }
}
