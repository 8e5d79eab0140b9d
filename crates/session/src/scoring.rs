use tandem_protocol::ItemId;

use crate::{Session, SessionError};

impl Session {
    /// The small model's scores of `candidates`, in their order; `None` without a history
    /// it can read. A candidate whose row is missing gets `NaN`.
    pub(crate) async fn score(
        &self,
        candidates: &[&ItemId],
    ) -> Result<Option<Vec<f32>>, SessionError> {
        self.score_after(&self.readable_history(), candidates).await
    }

    /// As [`score`](Self::score), after another history; `history` names items whose rows
    /// are here.
    pub(crate) async fn score_after(
        &self,
        history: &[&ItemId],
        candidates: &[&ItemId],
    ) -> Result<Option<Vec<f32>>, SessionError> {
        let history = self.rows_of(history);
        if history.is_empty() || candidates.is_empty() {
            return Ok(None);
        }
        let dims = self.rows.dims();
        let mut rows = Vec::with_capacity(candidates.len() * dims);
        let mut scored = Vec::with_capacity(candidates.len());
        for (at, item) in candidates.iter().enumerate() {
            let start = rows.len();
            if self.rows.gather(item, &mut rows) {
                self.delta.apply_row(item, &mut rows[start..]);
                self.delta.adapt(&mut rows[start..]);
                scored.push(at);
            }
        }
        let mut scores = self.scorer.score(&history, &rows).await?;
        self.delta.lean(&rows, &mut scores);
        let mut all = vec![f32::NAN; candidates.len()];
        for (at, score) in scored.into_iter().zip(scores) {
            all[at] = score;
        }
        Ok(Some(all))
    }

    /// The newest items whose rows are here, oldest first, as many as the model reads.
    pub(crate) fn readable_history(&self) -> Vec<&ItemId> {
        let newest = self.history.iter().rev().filter(|item| self.rows.contains(item));
        let mut items: Vec<&ItemId> = newest.take(self.scorer.config().max_length).collect();
        items.reverse();
        items
    }

    /// Rows `[length, dims]` of a history, with their deltas.
    fn rows_of(&self, history: &[&ItemId]) -> Vec<f32> {
        let mut rows = Vec::new();
        for item in history {
            let start = rows.len();
            self.rows.gather(item, &mut rows);
            self.delta.apply_row(item, &mut rows[start..]);
        }
        rows
    }
}
