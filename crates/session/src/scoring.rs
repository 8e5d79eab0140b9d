use std::sync::{Mutex, PoisonError};

use tandem_model::{EncodedHistory, UserState};
use tandem_protocol::ItemId;

use crate::{Session, SessionError};

/// What the model reads of a long history moves on by this share of it.
const STRIDES: usize = 5;

/// The newest history that was read, as the small model has it: while it stays the same the
/// network rests, and a click more costs one step of it.
#[derive(Debug, Default)]
pub(crate) struct EncodingCache(Mutex<Option<Read>>);

#[derive(Clone, Debug)]
struct Read {
    history: Vec<ItemId>,
    reading: EncodedHistory,
}

impl EncodingCache {
    /// What was made of just this history.
    pub(crate) fn of(&self, history: &[&ItemId]) -> Option<UserState> {
        let (reading, length) = self.beginning_of(history)?;
        (length == history.len()).then(|| reading.user().clone())
    }

    /// What was made of this history's beginning, and its length.
    fn beginning_of(&self, history: &[&ItemId]) -> Option<(EncodedHistory, usize)> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Read { history: known, reading } = last.as_ref()?;
        let beginning = history.get(..known.len())?;
        known.iter().eq(beginning.iter().copied()).then(|| (reading.clone(), known.len()))
    }

    fn keep(&self, history: &[&ItemId], reading: EncodedHistory) {
        let history = history.iter().copied().cloned().collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Read { history, reading });
    }
}

impl Session {
    /// The small model's scores of `candidates`, in their order; `None` without a history
    /// it can read. A candidate whose row is missing gets `NaN`.
    pub(crate) async fn score(
        &self,
        candidates: &[&ItemId],
    ) -> Result<Option<Vec<f32>>, SessionError> {
        let Some(user) = self.user().await? else { return Ok(None) };
        self.score_for(&user, candidates).await
    }

    /// What the small model makes of the visitor now; `None` without a history it can read.
    pub(crate) async fn user(&self) -> Result<Option<UserState>, SessionError> {
        let history = self.readable_history();
        if history.is_empty() {
            return Ok(None);
        }
        if let Some(user) = self.encoding_cache.of(&history) {
            return Ok(Some(user));
        }
        let reading = self.read(&history).await?;
        let user = reading.user().clone();
        self.encoding_cache.keep(&history, reading);
        Ok(Some(user))
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
        let scores = self.scorer.personal_scores(user, &self.delta, rows.into()).await?;
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
    ) -> Result<Option<UserState>, SessionError> {
        if history.is_empty() {
            return Ok(None);
        }
        if let Some(user) = self.encoding_cache.of(history) {
            return Ok(Some(user));
        }
        Ok(Some(self.read(history).await?.user().clone()))
    }

    /// Reads a history, from where the last one stopped if it began alike.
    async fn read(&self, history: &[&ItemId]) -> Result<EncodedHistory, SessionError> {
        if let Some((before, length)) = self.encoding_cache.beginning_of(history) {
            let new = self.gather(&history[length..]);
            if let Some(reading) = self.scorer.read_on(&before, &new).await? {
                return Ok(reading);
            }
        }
        Ok(self.scorer.read(&self.gather(history)).await?)
    }

    /// Rows of the shared table, `[items, dims]`, of items that are here.
    pub(crate) fn gather(&self, items: &[&ItemId]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(items.len() * self.rows.dims());
        for item in items {
            self.rows.gather(item, &mut rows);
        }
        rows
    }

    /// The newest items whose rows are here, oldest first, no more than the model reads.
    ///
    /// Positions count from the oldest of them: were it another one after each click, each
    /// would be read anew at another position. So the oldest is one whose place in the history
    /// is a multiple of a stride, and of a long history a few fewer are read than could be.
    pub(crate) fn readable_history(&self) -> Vec<&ItemId> {
        let most = self.scorer.config().max_length;
        let readable = self.history.iter().enumerate();
        let newest = readable.rev().filter(|(_, item)| self.rows.contains(item)).take(most);
        let mut items: Vec<(usize, &ItemId)> = newest.collect();
        if let Some((oldest, _)) = items.last().filter(|_| items.len() == most) {
            let oldest = oldest.next_multiple_of((most / STRIDES).max(1));
            items.retain(|(place, _)| *place >= oldest);
        }
        items.into_iter().rev().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_lite::future::block_on;
    use tandem_collaboration::{Fusion, Policy};
    use tandem_model::{Body, Device, LearningConfig, QuantisedRow, Scorer};
    use tandem_protocol::{Event, EventKind, ModelConfig, ModelKind};

    use super::*;
    use crate::{RowStore, Settings, encode_row};

    const MOST: usize = 10;
    const STRIDE: usize = MOST / STRIDES;

    fn id(number: usize) -> ItemId {
        ItemId::new(number.to_string())
    }

    fn weights(config: &ModelConfig) -> Vec<u8> {
        let body = Body::new(config, 0.0, &Device::flex()).unwrap();
        body.to_bytes(&HashMap::new()).unwrap()
    }

    /// A session that holds the rows of these items.
    fn session(weights: &[u8], config: &ModelConfig, rows: std::ops::Range<usize>) -> Session {
        let mut store = RowStore::new(config.dims);
        for number in rows {
            let values: Vec<f32> =
                (0..config.dims).map(|at| ((number * 7 + at * 13) as f32 * 0.37).sin()).collect();
            store.add(&encode_row(id(number), &QuantisedRow::quantise(&values).unwrap())).unwrap();
        }
        let settings = Settings {
            fusion: Fusion::default(),
            policy: Policy::default(),
            learning: LearningConfig::default(),
            base: String::new(),
            catalogue_hash: String::new(),
        };
        let scorer = Scorer::new(config, weights, &Device::flex()).unwrap();
        Session::new(scorer, store, settings).unwrap()
    }

    fn config(kind: ModelKind) -> ModelConfig {
        ModelConfig { kind, dims: 8, blocks: 2, heads: 2, max_length: MOST }
    }

    #[test]
    fn the_window_over_a_long_history_moves_by_strides() {
        let config = config(ModelKind::Gru4rec);
        let mut session = session(&weights(&config), &config, 0..40);
        for length in 1..=40 {
            session.prepend_history([id(40 - length)]);
            let read = session.readable_history();
            assert!(read.len() > (MOST - STRIDE).min(length - 1), "{length}: {read:?}");
            assert!(read.len() <= MOST && *read[read.len() - 1] == id(39));
            assert_eq!((length - read.len()) % STRIDE, 0, "{length}: {read:?}");
        }
    }

    #[test]
    fn items_without_a_row_cost_a_short_history_nothing() {
        let config = config(ModelKind::Gru4rec);
        let mut session = session(&weights(&config), &config, 1..9);
        session.prepend_history((0..4).map(id));
        assert_eq!(session.readable_history(), [&id(1), &id(2), &id(3)]);
    }

    #[test]
    fn a_click_after_another_scores_as_the_whole_history_does() {
        for kind in [ModelKind::Sasrec, ModelKind::Gru4rec, ModelKind::Din] {
            let config = config(kind);
            let weights = weights(&config);
            let mut live = session(&weights, &config, 0..40);
            let candidates = [&id(37), &id(38), &id(39)];
            for length in 1..25 {
                live.track(&Event { kind: EventKind::Click, item: id(length) });
                let mut anew = session(&weights, &config, 0..40);
                anew.prepend_history((1..=length).map(id));
                let found = block_on(live.score(&candidates)).unwrap().unwrap();
                let expected = block_on(anew.score(&candidates)).unwrap().unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-4, "{kind:?} after {length}");
                }
            }
        }
    }
}
