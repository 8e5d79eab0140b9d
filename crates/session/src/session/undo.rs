use std::collections::VecDeque;

use tandem_protocol::{Event, EventKind};

use crate::Session;

/// Number of newest events that can be undone.
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

    /// Number of the oldest event that can be undone.
    pub(crate) fn oldest(&self) -> u64 {
        self.records.front().map_or(self.next, |record| record.number)
    }

    /// Forgets all events.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
    }

    /// Records an event; `new`: a dislike of an item that was not disliked before.
    pub(crate) fn record(&mut self, event: &Event, new: bool) {
        if self.records.len() == UNDO_LIMIT {
            self.records.pop_front();
        }
        self.records.push_back(Record { number: self.next, event: event.clone(), new });
        self.next += 1;
    }
}

impl Session {
    /// Undoes the newest click, purchase or dislike with everything that was learnt from it,
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
        self.learning.undo_step(number, &mut self.delta);
        Some(event)
    }
}
