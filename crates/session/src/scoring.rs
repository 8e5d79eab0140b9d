use std::sync::{Arc, Mutex, PoisonError};

use tandem_model::UserState;
use tandem_protocol::ItemId;

use crate::{Session, SessionError};

/// What the small model made of the newest history it read: the network is asked again only
/// when the history has changed.
#[derive(Debug, Default)]
pub(crate) struct LastRead(Mutex<Option<Read>>);

#[derive(Clone, Debug)]
struct Read {
    history: Vec<ItemId>,
    user: Arc<UserState>,
}

impl LastRead {
    /// What was made of just this history.
    pub(crate) fn of(&self, history: &[&ItemId]) -> Option<Arc<UserState>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| last.history.iter().eq(history.iter().copied()))?;
        Some(Arc::clone(&last.user))
    }

    fn keep(&self, history: &[&ItemId], user: &Arc<UserState>) {
        let history = history.iter().copied().cloned().collect();
        let read = Read { history, user: Arc::clone(user) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }
}

impl Session {
    /// The small model's scores of `candidates`, in their order; `None` without a history
    /// it can read. A candidate whose row is missing gets `NaN`.
    pub(crate) async fn score(
        &self,
        candidates: &[&ItemId],
    ) -> Result<Option<Vec<f32>>, SessionError> {
        let history = self.readable_history();
        let Some(user) = self.user_after(&history).await? else { return Ok(None) };
        self.last_read.keep(&history, &user);
        self.score_for(&user, candidates).await
    }

    /// As [`score`](Self::score), for any visitor.
    pub(crate) async fn score_for(
        &self,
        user: &UserState,
        candidates: &[&ItemId],
    ) -> Result<Option<Vec<f32>>, SessionError> {
        if candidates.is_empty() {
            return Ok(None);
        }
        let mut rows = Vec::with_capacity(candidates.len() * self.rows.dims());
        let mut scored = Vec::with_capacity(candidates.len());
        for (at, item) in candidates.iter().enumerate() {
            let start = rows.len();
            if self.rows.gather(item, &mut rows) {
                self.delta.apply_row(item, &mut rows[start..]);
                scored.push(at);
            }
        }
        let scores = self.scorer.personal_scores(user, &self.delta, rows).await?;
        let mut all = vec![f32::NAN; candidates.len()];
        for (at, score) in scored.into_iter().zip(scores) {
            all[at] = score;
        }
        Ok(Some(all))
    }

    /// What the small model makes of a history, which names items whose rows are here; `None`
    /// of an empty one.
    pub(crate) async fn user_after(
        &self,
        history: &[&ItemId],
    ) -> Result<Option<Arc<UserState>>, SessionError> {
        if history.is_empty() {
            return Ok(None);
        }
        if let Some(user) = self.last_read.of(history) {
            return Ok(Some(user));
        }
        let mut rows = Vec::with_capacity(history.len() * self.rows.dims());
        for item in history {
            self.rows.gather(item, &mut rows);
        }
        Ok(Some(Arc::new(self.scorer.user(&rows).await?)))
    }

    /// The newest items whose rows are here, oldest first, as many as the model reads.
    pub(crate) fn readable_history(&self) -> Vec<&ItemId> {
        let newest = self.history.iter().rev().filter(|item| self.rows.contains(item));
        let mut items: Vec<&ItemId> = newest.take(self.scorer.config().max_length).collect();
        items.reverse();
        items
    }
}
