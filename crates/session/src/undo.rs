use std::collections::VecDeque;

use tandem_model::StepUndo;
use tandem_protocol::{Event, EventKind, ItemId};

use crate::Session;

/// How many of the newest events can be taken back.
pub const UNDO_LIMIT: usize = 10;

/// The newest events, with what is needed to take them back; oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoLog(VecDeque<Record>);

#[derive(Clone, Debug)]
struct Record {
    event: Event,
    /// Of a dislike: the item was not disliked before.
    new: bool,
    lesson: LearningState,
}

/// How far learning from an event has come.
#[derive(Clone, Debug)]
enum LearningState {
    /// There is nothing to learn.
    None,
    /// It waits to be learnt from.
    PendingExample,
    /// It was learnt from: what the step replaced.
    Learnt(Box<StepUndo<ItemId>>),
}

impl UndoLog {
    /// Notes a click or purchase; `teaches` if an example of it waits to be learnt from.
    pub(crate) fn clicked(&mut self, event: &Event, teaches: bool) {
        let lesson = if teaches { LearningState::PendingExample } else { LearningState::None };
        self.push(Record { event: event.clone(), new: false, lesson });
    }

    /// Notes a dislike.
    pub(crate) fn disliked(&mut self, event: &Event, new: bool) {
        self.push(Record { event: event.clone(), new, lesson: LearningState::None });
    }

    /// Notes that the oldest of `waiting` examples was learnt from, and what the step
    /// replaced; `None` if it was given up.
    pub(crate) fn learnt(&mut self, waiting: usize, replaced: Option<StepUndo<ItemId>>) {
        let noted =
            self.0.iter().filter(|record| matches!(record.lesson, LearningState::PendingExample));
        // Examples are learnt in order: with more of them than records wait, the oldest is
        // of an event that can no longer be taken back.
        if waiting > noted.count() {
            return;
        }
        let oldest =
            self.0.iter_mut().find(|record| matches!(record.lesson, LearningState::PendingExample));
        if let Some(record) = oldest {
            record.lesson = replaced
                .map_or(LearningState::None, |replaced| LearningState::Learnt(Box::new(replaced)));
        }
    }

    fn push(&mut self, record: Record) {
        if self.0.len() == UNDO_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }
}

impl Session {
    /// Takes back the newest click, purchase or dislike, with all that was learnt from it,
    /// and returns it; `None` if none is left of the last [`UNDO_LIMIT`] since the session
    /// began, was reset or imported.
    ///
    /// A list that was made meanwhile lacks the item until the next one comes.
    pub fn undo(&mut self) -> Option<Event> {
        let Record { event, new, lesson } = self.undo.0.pop_back()?;
        match event.kind {
            EventKind::Dislike => {
                if new {
                    self.disliked.remove(&event.item);
                }
            }
            EventKind::Click | EventKind::Purchase | EventKind::View => {
                self.history.pop();
            }
        }
        match lesson {
            LearningState::None => {}
            LearningState::PendingExample => {
                self.pending.pop_back();
            }
            LearningState::Learnt(replaced) => self.delta.revert(*replaced),
        }
        self.clicks = self.clicks.saturating_sub(1);
        Some(event)
    }
}
