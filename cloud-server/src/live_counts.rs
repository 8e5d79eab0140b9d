//! Events as they arrive, counted for the ranking signals: what visitors choose together is in
//! the next list.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tandem_dataset::{Catalogue, ItemIndex, counts::CountTable};
use tandem_generator::ranking_signals::RankingSignals;
use tandem_protocol::ItemId;
use tandem_storage::{EventPosition, Storage, StorageError, StoredEvent};

use crate::{
    clock::now,
    events::is_interaction,
    live_items::LiveItems,
    recommender::{CurrentRecommender, Recommender},
};

/// Number of events that are read from the database at a time.
const PAGE: u32 = 10_000;
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
    /// How far the events of the database were counted for the recommender in use; `None` without
    /// signals or events in a database. One reader at a time.
    read: tokio::sync::Mutex<Option<CountedEvents>>,
    /// Held while the events are counted anew.
    recounting: tokio::sync::Mutex<()>,
}

/// Which events of the database the counts of some signals have. Events of this server and of
/// others are counted when they are read, so each counts once.
#[derive(Clone, Debug)]
pub(crate) struct CountedEvents {
    position: EventPosition,
    /// Time of the newest event of the training in seconds since 1970. Of the events that are read
    /// at first only newer ones count; `None` after those.
    trained_until: Option<i64>,
    /// Number of erasures before the first event was read; `None` before that.
    erasures: Option<i64>,
}

impl CountedEvents {
    /// The events that the signals have from their training.
    pub(crate) fn new(signals: &RankingSignals) -> Self {
        let newest = signals.counts().map_or(i64::MAX, |counts| counts.newest());
        Self { position: EventPosition::default(), trained_until: Some(newest), erasures: None }
    }

    fn is_new(&self, event: &StoredEvent) -> bool {
        let seconds = (event.at / MILLISECONDS).cast_signed();
        is_interaction(event.kind) && self.trained_until.is_none_or(|trained| seconds > trained)
    }

    /// Hands the events that are missing to `count`: session, item and time.
    async fn read(
        &mut self,
        recommender: &Recommender,
        items: &LiveItems,
        storage: &Storage,
        mut count: impl FnMut((&str, &ItemId, u64)),
    ) -> Result<(), StorageError> {
        if self.erasures.is_none() {
            // Before the events: a removal that happens meanwhile is seen the next time.
            self.erasures = Some(storage.erasures().await?);
        }
        loop {
            let new = storage.new_events(0, &self.position, PAGE).await?;
            let wanted: Vec<_> = new.events.iter().filter(|it| self.is_new(it)).collect();
            // Another server may have stored an item since this one has looked.
            let position = |id: &ItemId| items.position(&recommender.catalogue, id);
            if wanted.iter().any(|event| position(&event.item).is_none()) {
                items.refresh(storage).await?;
            }
            // Without a point at which it can be cancelled.
            for event in wanted {
                count((&event.session, &event.item, event.at));
            }
            self.position = new.next;
            if !new.has_more {
                self.trained_until = None;
                return Ok(());
            }
        }
    }
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

/// The positions of the items before an event and of its own, and its time in seconds since 1970;
/// `None` if its item has no `position`. `at` is in milliseconds since 1970; a time in the future
/// counts as now.
fn pairs(
    before: &[ItemId],
    position: impl Fn(&ItemId) -> Option<ItemIndex>,
    (item, at): (&ItemId, u64),
) -> Option<(Vec<ItemIndex>, ItemIndex, i64)> {
    let index = position(item)?;
    let before = before.iter().filter_map(position).collect();
    Some((before, index, (at.min(now()) / MILLISECONDS).cast_signed()))
}

/// Counts that are made anew from those of the training, while lists use the earlier ones.
pub(crate) struct Recount {
    table: CountTable,
    sessions: Sessions,
    trained_until: i64,
}

impl Recount {
    /// Begins with the counts of the training. `None`, with an error in the log, if they cannot be
    /// read: then the counts stay until the next start or release. Blocks.
    pub(crate) fn begin(signals: &RankingSignals, catalogue: &Catalogue) -> Option<Self> {
        let reason = match signals.trained_counts(catalogue) {
            Ok(Some(table)) => {
                let trained_until = table.newest();
                return Some(Self { table, sessions: Sessions::default(), trained_until });
            }
            Ok(None) => "they are from no file".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            reason,
            "the counts of the ranking signals keep a visitor that was removed until the next start \
             or release"
        );
        None
    }

    fn count(
        &mut self,
        position: impl Fn(&ItemId) -> Option<ItemIndex>,
        (session, item, at): (&str, &ItemId, u64),
    ) {
        let before = self.sessions.push(session, item.clone());
        if let Some((before, index, seconds)) = pairs(&before, position, (item, at)) {
            self.table.add(&before, index, seconds);
        }
    }

    /// As [`Recount::count`], of an event that the training may have.
    pub(crate) fn replay(
        &mut self,
        position: impl Fn(&ItemId) -> Option<ItemIndex>,
        (session, item, at): (&str, &ItemId, u64),
    ) {
        if (at / MILLISECONDS).cast_signed() > self.trained_until {
            self.count(position, (session, item, at));
        }
    }
}

impl LiveCounts {
    /// Counts an item that was chosen in a session. `at` is in milliseconds since 1970 by the
    /// device's clock; a time in the future counts as now. Items without a `position` are not
    /// counted.
    pub(crate) fn count(
        &self,
        signals: &RankingSignals,
        position: impl Fn(&ItemId) -> Option<ItemIndex>,
        (session, item, at): (&str, &ItemId, u64),
    ) {
        let before = self.sessions().push(session, item.clone());
        if let Some((before, index, seconds)) = pairs(&before, position, (item, at)) {
            signals.count(&before, index, seconds);
        }
    }

    /// Uses counts that were made anew.
    pub(crate) fn finish(&self, signals: &RankingSignals, anew: Recount) {
        *self.sessions() = anew.sessions;
        signals.replace_counts(anew.table);
    }

    /// Counts all events anew if a visitor was removed since they were counted, by any server. Lists
    /// use the earlier counts meanwhile.
    pub(crate) async fn erase(
        &self,
        current: &CurrentRecommender,
        items: &LiveItems,
        storage: &Storage,
    ) -> Result<(), StorageError> {
        let _alone = self.recounting.lock().await;
        let Some(known) = self.read.lock().await.as_ref().map(|counted| counted.erasures) else {
            return Ok(());
        };
        let erasures = storage.erasures().await?;
        if known == Some(erasures) {
            return Ok(());
        }
        let recommender = current.get();
        let Some(signals) = recommender.signals.clone() else { return Ok(()) };
        let catalogue = Arc::clone(&recommender.catalogue);
        let reading = {
            let signals = Arc::clone(&signals);
            tokio::task::spawn_blocking(move || Recount::begin(&signals, &catalogue))
        };
        let Ok(Some(mut anew)) = reading.await else {
            if let Some(counted) = &mut *self.read.lock().await {
                counted.erasures = Some(erasures);
            }
            return Ok(());
        };
        let mut counted = CountedEvents {
            position: EventPosition::default(),
            trained_until: Some(anew.trained_until),
            erasures: Some(erasures),
        };
        let position = |id: &ItemId| items.position(&recommender.catalogue, id);
        counted.read(&recommender, items, storage, |event| anew.count(position, event)).await?;
        let mut read = self.read.lock().await;
        // Those that were counted meanwhile.
        counted.read(&recommender, items, storage, |event| anew.count(position, event)).await?;
        // Another release that is in use by now was counted for itself, and is looked at next time.
        if Arc::ptr_eq(&current.get(), &recommender) && read.is_some() {
            self.finish(&signals, anew);
            *read = Some(counted);
        }
        Ok(())
    }

    /// A function that counts earlier events, with session, item and time, if they are newer than
    /// the counts of the signals were when this was called.
    pub(crate) fn begin_replay(
        &self,
        signals: &RankingSignals,
        position: impl Fn(&ItemId) -> Option<ItemIndex>,
    ) -> impl FnMut(&str, &ItemId, u64) {
        let counted = signals.counts().map_or(i64::MAX, |counts| counts.newest());
        move |session, item, at| {
            if (at / MILLISECONDS).cast_signed() > counted {
                self.count(signals, &position, (session, item, at));
            }
        }
    }

    /// Counts the events of the database that `counted` lacks for the signals of `recommender`.
    pub(crate) async fn count_new(
        &self,
        counted: &mut CountedEvents,
        recommender: &Recommender,
        items: &LiveItems,
        storage: &Storage,
    ) -> Result<(), StorageError> {
        let Some(signals) = &recommender.signals else { return Ok(()) };
        let position = |id: &ItemId| items.position(&recommender.catalogue, id);
        let count = |event: (&str, &ItemId, u64)| self.count(signals, position, event);
        counted.read(recommender, items, storage, count).await
    }

    /// Counts the new events of the database, unless that of the number `until` was counted before.
    pub(crate) async fn follow(
        &self,
        recommender: &CurrentRecommender,
        items: &LiveItems,
        storage: &Storage,
        until: Option<i64>,
    ) -> Result<(), StorageError> {
        let mut read = self.read.lock().await;
        let Some(counted) = &mut *read else { return Ok(()) };
        if until.is_some_and(|number| counted.position.includes(number)) {
            return Ok(());
        }
        self.count_new(counted, &recommender.get(), items, storage).await
    }

    /// Begins with the signals of the first recommender, which have `counted`.
    pub(crate) fn begin(&mut self, counted: Option<CountedEvents>) {
        *self.read.get_mut() = counted;
    }

    /// Puts another recommender in use, whose signals have `counted`, and returns the earlier one.
    /// No events are counted meanwhile.
    pub(crate) async fn replace(
        &self,
        recommender: &CurrentRecommender,
        next: Arc<Recommender>,
        counted: Option<CountedEvents>,
    ) -> Arc<Recommender> {
        let mut read = self.read.lock().await;
        *read = counted;
        recommender.replace(next)
    }

    /// Forgets a session.
    pub(crate) fn forget(&self, session: &str) {
        let mut sessions = self.sessions();
        sessions.newer.remove(session);
        sessions.older.remove(session);
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Item, counts::CountOptions};
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
            let position = |id: &ItemId| catalogue.index_of(id);
            live.count(&signals, position, (session, &item.into(), 5_000));
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
