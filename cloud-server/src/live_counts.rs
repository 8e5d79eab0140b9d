//! Events as they arrive, counted for the ranking signals: what visitors choose together is in
//! the next list.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::ranking_signals::RankingSignals;
use tandem_protocol::ItemId;

use crate::clock::now;

/// Number of newest items of a session that a new one is counted with.
const RECENT: usize = 5;
/// Number of sessions in each of two generations; the older one is forgotten when the newer one is
/// full.
const SESSIONS: usize = 50_000;
const MILLISECONDS: u64 = 1_000;

/// The newest items of the newest sessions, in memory only.
#[derive(Debug, Default)]
pub(crate) struct LiveCounts {
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    newer: HashMap<String, Vec<ItemId>>,
    older: HashMap<String, Vec<ItemId>>,
}

impl Sessions {
    /// Adds an item to a session and returns the items before it, oldest first.
    fn push(&mut self, session: &str, item: ItemId) -> Vec<ItemId> {
        let known = self.newer.remove(session).or_else(|| self.older.remove(session));
        let before = known.unwrap_or_default();
        if self.newer.len() >= SESSIONS {
            self.older = std::mem::take(&mut self.newer);
        }
        let mut items = before.clone();
        items.push(item);
        items.drain(..items.len().saturating_sub(RECENT));
        self.newer.insert(session.to_owned(), items);
        before
    }
}

impl LiveCounts {
    /// Counts an item that was chosen in a session. `at` is in milliseconds since 1970 by the
    /// device's clock; a time in the future counts as now. Items that the catalogue lacks are not
    /// counted.
    pub(crate) fn count(
        &self,
        signals: &RankingSignals,
        catalogue: &Catalogue,
        (session, item, at): (&str, &ItemId, u64),
    ) {
        let before = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.push(session, item.clone())
        };
        let Some(index) = catalogue.index_of(item) else { return };
        let before: Vec<ItemIndex> =
            before.iter().filter_map(|item| catalogue.index_of(item)).collect();
        let seconds = at.min(now()) / MILLISECONDS;
        signals.count(&before, index, seconds.cast_signed());
    }

    /// A function that counts earlier events, with session, item and time, if they are newer than
    /// the counts of the signals were when this was called.
    pub(crate) fn begin_replay(
        &self,
        signals: &RankingSignals,
        catalogue: &Catalogue,
    ) -> impl FnMut(&str, &ItemId, u64) {
        let counted = signals.counts().map_or(i64::MAX, |counts| counts.newest());
        move |session, item, at| {
            if (at / MILLISECONDS).cast_signed() > counted {
                self.count(signals, catalogue, (session, item, at));
            }
        }
    }

    /// Forgets a session.
    pub(crate) fn forget(&self, session: &str) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.newer.remove(session);
        sessions.older.remove(session);
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{
        Item,
        counts::{CountOptions, CountTable},
    };
    use tandem_generator::ranking_signals::SignalWeights;

    use super::*;

    #[test]
    fn items_of_one_session_are_counted_together() {
        let ids = ["a", "b", "c"].map(|id| Item::untitled(id.into()));
        let catalogue = Catalogue::new(ids.into()).unwrap();
        let weights = SignalWeights {
            language_model: 1.0,
            counts: 1.0,
            text: 0.0,
            small_model: 0.0,
            temperature: 1.0,
        };
        let table = CountTable::new(3, CountOptions::default());
        let signals = RankingSignals::new(weights, None, Some(table));
        let live = LiveCounts::default();
        let choose = |session: &str, item: &str| {
            live.count(&signals, &catalogue, (session, &item.into(), 5_000));
        };
        choose("x", "a");
        choose("y", "c");
        choose("x", "unknown");
        choose("x", "b");
        let after = |item: u32| {
            let mut scores = vec![0.0; 3];
            signals.counts().unwrap().add_scores(&[ItemIndex(item)], &mut scores);
            scores
        };
        assert!(after(0)[1] > 0.0 && after(0)[2] == 0.0, "{:?}", after(0));
        assert!(after(2).iter().all(|score| *score == 0.0), "another session");
        assert_eq!(signals.counts().unwrap().newest(), 5);

        live.forget("x");
        choose("x", "c");
        assert!(after(1)[2] == 0.0, "nothing is remembered of a forgotten session");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_sessions_stay() {
        let mut sessions = Sessions::default();
        for number in 0..3 * SESSIONS {
            sessions.push(&number.to_string(), "a".into());
            sessions.push("active", "b".into());
        }
        assert!(sessions.newer.len() + sessions.older.len() <= 2 * SESSIONS);
        assert_eq!(sessions.push("active", "c".into()).len(), RECENT);
    }
}
