use std::sync::{Mutex, PoisonError};

use tandem_model::{EncodedHistory, UserState};
use tandem_protocol::ItemId;

use super::counts::CountScores;
use crate::{Session, SessionError};

/// The window over a long history moves in steps of its length divided by this.
const STRIDES: usize = 5;

/// The newest encoded history. While the history stays the same the network does not run,
/// and one more click costs one step of it.
#[derive(Debug, Default)]
pub(crate) struct EncodingCache(Mutex<Option<CachedEncoding>>);

#[derive(Clone, Debug)]
struct CachedEncoding {
    history: Vec<ItemId>,
    encoded: EncodedHistory,
}

/// Which items of a history up to some position the model reads: the first position, and the
/// number of items with a row from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    start: usize,
    items: usize,
}

impl EncodingCache {
    /// The user state of exactly this history.
    pub(crate) fn of(&self, history: &[&ItemId]) -> Option<UserState> {
        let (encoded, length) = self.prefix_of(history)?;
        (length == history.len()).then(|| encoded.user().clone())
    }

    /// The encoding of a prefix of this history, and the prefix's length.
    fn prefix_of(&self, history: &[&ItemId]) -> Option<(EncodedHistory, usize)> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let CachedEncoding { history: known, encoded } = cached.as_ref()?;
        let prefix = history.get(..known.len())?;
        known.iter().eq(prefix.iter().copied()).then(|| (encoded.clone(), known.len()))
    }

    fn put(&self, history: &[&ItemId], encoded: EncodedHistory) {
        let history = history.iter().copied().cloned().collect();
        let cached = CachedEncoding { history, encoded };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cached);
    }
}

impl Session {
    /// The small model's scores of `items`, in their order. `None` without a history that it
    /// can read. An item whose row is missing gets `NaN`.
    pub(crate) async fn score(&self, items: &[&ItemId]) -> Result<Option<Vec<f32>>, SessionError> {
        let Some(user) = self.user().await? else { return Ok(None) };
        let counts = self.count_scores(&user, self.visitor.history().iter().rev());
        self.score_for(&user, &counts, items).await
    }

    /// The visitor's state now. `None` without a history that the model can read.
    pub(crate) async fn user(&self) -> Result<Option<UserState>, SessionError> {
        let history = self.readable_history();
        if history.is_empty() {
            return Ok(None);
        }
        if let Some(user) = self.encoding_cache.of(&history) {
            return Ok(Some(user));
        }
        let encoded = self.encode(&history).await?;
        let user = encoded.user().clone();
        self.encoding_cache.put(&history, encoded);
        Ok(Some(user))
    }

    /// As [`score`](Self::score), for any user state and counts. `None` without items.
    pub(crate) async fn score_for(
        &self,
        user: &UserState,
        counts: &CountScores,
        items: &[&ItemId],
    ) -> Result<Option<Vec<f32>>, SessionError> {
        if items.is_empty() {
            return Ok(None);
        }
        let mut rows = Vec::with_capacity(items.len() * self.rows.dims());
        let mut scored = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let start = rows.len();
            if self.rows.gather(item, &mut rows) {
                self.delta.apply_row(item, &mut rows[start..]);
                scored.push(at);
            }
        }
        let scores = self.scorer.personal_scores(user, &self.delta, rows.into()).await?;
        let mut all = vec![f32::NAN; items.len()];
        for (at, score) in scored.into_iter().zip(scores) {
            all[at] = score;
        }
        self.add_counts(counts, items.iter().copied(), &mut all);
        Ok(Some(all))
    }

    /// The user state after a history of items whose rows are here. `None` for an empty one.
    pub(crate) async fn user_after(
        &self,
        history: &[&ItemId],
    ) -> Result<Option<UserState>, SessionError> {
        if history.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.encode(history).await?.user().clone()))
    }

    /// Encodes a history. Continues from the cached encoding if that is of a prefix.
    pub(crate) async fn encode(&self, history: &[&ItemId]) -> Result<EncodedHistory, SessionError> {
        if let Some((prefix, length)) = self.encoding_cache.prefix_of(history) {
            let new = self.gather(&history[length..]);
            if new.is_empty() {
                return Ok(prefix);
            }
            if let Some(encoded) = self.scorer.encode_next(&prefix, &new).await? {
                return Ok(encoded);
            }
        }
        Ok(self.scorer.encode(&self.gather(history)).await?)
    }

    /// Rows of the shared table `[items, dims]`, without those that are not here.
    pub(crate) fn gather(&self, items: &[&ItemId]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(items.len() * self.rows.dims());
        for item in items {
            self.rows.gather(item, &mut rows);
        }
        rows
    }

    /// The items of the history that the model reads: see
    /// [`readable_before`](Self::readable_before).
    pub(crate) fn readable_history(&self) -> Vec<&ItemId> {
        self.readable_before(self.visitor.end()).1
    }

    /// The newest items before position `end` whose rows are here, oldest first, at most as
    /// many as the model reads.
    ///
    /// Positions are counted from the oldest of them. Sliding by one item per click would
    /// shift every position and invalidate the cache, so the window of a long history moves
    /// in strides: it starts at a multiple of the stride, and is a few items shorter than the
    /// model allows. Positions are those of the whole session, so that the window does not
    /// slide either when the oldest items are dropped.
    pub(crate) fn readable_before(&self, end: usize) -> (Window, Vec<&ItemId>) {
        let most = self.scorer.config().max_length;
        let (history, dropped) = (self.visitor.history(), self.visitor.dropped());
        let before = &history[..end.saturating_sub(dropped).min(history.len())];
        let newest_first = before.iter().enumerate().rev().map(|(at, item)| (dropped + at, item));
        let readable = newest_first.filter(|(_, item)| self.rows.contains(item));
        let mut items: Vec<(usize, &ItemId)> = readable.take(most).collect();
        if let Some((oldest, _)) = items.last().filter(|_| items.len() == most) {
            let start = oldest.next_multiple_of((most / STRIDES).max(1));
            items.retain(|(position, _)| *position >= start);
        }
        let start = items.last().map_or(end, |(position, _)| *position);
        let window = Window { start, items: items.len() };
        (window, items.into_iter().rev().map(|(_, item)| item).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_lite::future::block_on;
    use tandem_model::{Body, Device, QuantisedRow, Scorer};
    use tandem_protocol::{Event, EventKind, ModelConfig, ModelKind};

    use super::*;
    use crate::{MAX_HISTORY, RowStore, Settings, encode_row};

    const MAX_LENGTH: usize = 10;
    const STRIDE: usize = MAX_LENGTH / STRIDES;

    fn id(number: usize) -> ItemId {
        ItemId::new(number.to_string())
    }

    fn weights(config: &ModelConfig) -> Vec<u8> {
        let device = Device::flex();
        device.seed(7);
        let body = Body::new(config, 0.0, &device).unwrap();
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
        let scorer = Scorer::new(config, weights).unwrap();
        Session::new(scorer, store, Settings::default()).unwrap()
    }

    fn config(kind: ModelKind) -> ModelConfig {
        ModelConfig { kind, dims: 8, blocks: 2, heads: 2, max_length: MAX_LENGTH }
    }

    #[test]
    fn the_window_over_a_long_history_moves_by_strides() {
        let config = config(ModelKind::Gru4rec);
        let mut session = session(&weights(&config), &config, 0..40);
        for length in 1..=40 {
            session.prepend_history([id(40 - length)]);
            let read = session.readable_history();
            assert!(read.len() > (MAX_LENGTH - STRIDE).min(length - 1), "{length}: {read:?}");
            assert!(read.len() <= MAX_LENGTH && *read[read.len() - 1] == id(39));
            assert_eq!((length - read.len()) % STRIDE, 0, "{length}: {read:?}");
        }
    }

    #[test]
    fn the_window_moves_by_strides_when_the_oldest_items_are_dropped() {
        let config = config(ModelKind::Gru4rec);
        let mut session = session(&weights(&config), &config, 0..40);
        session.prepend_history((0..MAX_HISTORY - 5).map(|number| id(number % 40)));
        let mut starts = Vec::new();
        for click in 0..20 {
            session.track(&Event { kind: EventKind::Click, item: id(click) });
            let read = session.readable_history().len();
            assert!(read > MAX_LENGTH - STRIDE && read <= MAX_LENGTH, "{read}");
            starts.push(MAX_HISTORY - 4 + click - read);
        }
        assert_eq!(session.history().len(), MAX_HISTORY);
        assert!(starts.iter().all(|start| start % STRIDE == 0), "{starts:?}");
    }

    #[test]
    fn items_without_a_row_do_not_shorten_a_short_history() {
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
