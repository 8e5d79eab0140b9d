use std::collections::VecDeque;

use tandem_model::{LearningExample, LearningOutcome, PersonalDelta, StepUndo, UserState};
use tandem_protocol::ItemId;

use super::encoding::Window;
use crate::{Session, SessionError};

/// Maximum number of clicks that wait to be learnt from. The oldest are dropped.
const MAX_PENDING: usize = 64;

/// A click that waits to be learnt from.
///
/// It holds ids instead of rows, because a burst of clicks can queue many examples. The rows
/// are gathered when the step is taken. It waits until the row of its item is here.
#[derive(Clone, Debug)]
pub(crate) struct PendingExample {
    /// Number of the event.
    number: u64,
    /// Position of the click in the history: the model reads the items before it.
    position: usize,
    /// The encoded history before the click, if it was known then.
    encoded: Option<(Window, UserState)>,
    /// The clicked item, then the items that it was chosen from.
    items: Vec<ItemId>,
}

/// A learning step that can be undone.
#[derive(Clone, Debug)]
struct LearntStep {
    example: PendingExample,
    undo: StepUndo<ItemId>,
}

/// Clicks that wait to be learnt from, and the steps that can be undone.
#[derive(Clone, Debug, Default)]
pub(crate) struct LearningQueue {
    /// By event, oldest first.
    pending: VecDeque<PendingExample>,
    /// In the order in which they were taken.
    steps: VecDeque<LearntStep>,
}

impl LearningQueue {
    fn push(&mut self, example: PendingExample) {
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(example);
    }

    /// Moves the positions of all examples: items were added before the history.
    pub(crate) fn shift(&mut self, added: usize) {
        let steps = self.steps.iter_mut().map(|step| &mut step.example);
        for example in self.pending.iter_mut().chain(steps) {
            example.position += added;
            example.encoded = None;
        }
    }

    /// Drops the steps of events before `oldest`, which can no longer be undone. Such a step
    /// stays while one that was taken before it can be undone.
    pub(crate) fn keep_steps_from(&mut self, oldest: u64) {
        while self.steps.front().is_some_and(|step| step.example.number < oldest) {
            self.steps.pop_front();
        }
    }

    /// Undoes the learning step of an event, or drops its pending example.
    ///
    /// Steps that were taken later are reverted too, because each builds on the one before it.
    /// Their examples are pending again.
    pub(crate) fn undo_step(&mut self, number: u64, delta: &mut PersonalDelta<ItemId>) {
        self.pending.retain(|example| example.number != number);
        let is_it = |step: &LearntStep| step.example.number == number;
        let Some(at) = self.steps.iter().position(is_it) else { return };
        for LearntStep { example, undo } in self.steps.drain(at..).rev().collect::<Vec<_>>() {
            delta.revert(undo);
            if example.number != number {
                let place = self.pending.partition_point(|other| other.number < example.number);
                self.pending.insert(place, example);
            }
        }
    }
}

impl Session {
    /// Learns from the oldest click that can be learnt from. `None` if there is none: a click
    /// on an item whose row is missing waits for [`accept_rows`](Self::accept_rows).
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails or the step would leave the finite
    /// numbers. The delta is then unchanged and the click is dropped.
    pub async fn learn(&mut self) -> Result<Option<LearningOutcome>, SessionError> {
        let ready = self.learning.pending.iter().position(|example| self.is_ready(example));
        let Some(mut example) = ready.and_then(|at| self.learning.pending.remove(at)) else {
            return Ok(None);
        };
        let (window, history) = self.readable_before(example.position);
        let user = match example.encoded.take() {
            Some((known, user)) if known == window => user,
            _ => self.encode(&history).await?.user().clone(),
        };
        let keys: Vec<ItemId> =
            example.items.iter().filter(|item| self.rows.contains(item)).cloned().collect();
        let rows = self.gather(&keys.iter().collect::<Vec<_>>());
        let learnt = LearningExample { keys, rows, target: 0 };
        let learning = &self.settings.learning;
        let (outcome, undo) = self.scorer.learn(&mut self.delta, &user, &learnt, learning).await?;
        self.learning.steps.push_back(LearntStep { example, undo });
        self.learning.keep_steps_from(self.undo.oldest());
        Ok(Some(outcome))
    }

    /// Whether the rows are here of the item, of one that it was chosen from, and of one of
    /// the history before it.
    fn is_ready(&self, example: &PendingExample) -> bool {
        let Some((item, others)) = example.items.split_first() else { return false };
        self.rows.contains(item)
            && others.iter().any(|other| self.rows.contains(other))
            && !self.readable_before(example.position).1.is_empty()
    }

    /// Notes what the click on `item`, which is about to join the history, teaches: it was
    /// chosen from the ranking that is shown (without a search on the device: from the list).
    /// A first click, and a click where nothing is shown, teach nothing.
    pub(crate) fn note_example(&mut self, number: u64, item: &ItemId) {
        if self.visitor.history().is_empty() {
            return;
        }
        let most = self.settings.learning.negatives;
        let others = |items: &mut dyn Iterator<Item = &ItemId>| -> Vec<ItemId> {
            items.filter(|other| *other != item).take(most).cloned().collect()
        };
        let others = if self.settings.search_k > 0 && !self.shown.is_empty() {
            others(&mut self.shown.iter().filter(|item| self.may_recommend(item)))
        } else {
            others(&mut self.remaining_candidates().map(|candidate| &candidate.item))
        };
        let items: Vec<ItemId> = [item.clone()].into_iter().chain(others).collect();
        if items.len() < 2 {
            return;
        }
        let position = self.visitor.end();
        let (window, history) = self.readable_before(position);
        let encoded = self.encoding_cache.of(&history).map(|user| (window, user));
        self.learning.push(PendingExample { number, position, encoded, items });
    }
}
