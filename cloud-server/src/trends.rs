//! How often each item was chosen lately: sums over all visitors, in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use tandem_protocol::ItemId;
use tandem_storage::{EventPosition, Storage, StorageError};

use crate::{clock::now, events::is_interaction, live_items::LiveItems};

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Age of the events that are read at the start. Older ones have a weight below 0.01.
const HISTORY_MS: u64 = 7 * DAY_MS;
/// Number of events that are read at a time.
const PAGE: u32 = 10_000;

/// The time over which events count for a trend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Window {
    /// An event counts half after an hour.
    Hour,
    /// An event counts half after a day.
    #[default]
    Day,
}

/// Counts of clicks and purchases of the items that are known.
#[derive(Debug)]
pub(crate) struct Trends {
    activities: Mutex<HashMap<ItemId, Activity>>,
    /// When the server started, in milliseconds since 1970.
    started: u64,
    /// Which events were read from the database. One reader at a time.
    read: tokio::sync::Mutex<Read>,
}

/// How far the events of the database were counted.
#[derive(Debug, Default)]
struct Read {
    position: EventPosition,
    /// Number of erasures before the first of them was read; `None` before that.
    erasures: Option<i64>,
}

/// The events of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Activity {
    /// The time of the two sums, in milliseconds since 1970.
    at: u64,
    /// Each event has the weight 2 to the power of minus its age in hours.
    hour: f64,
    /// The same in days.
    day: f64,
    /// Number of events since the server started.
    live: u64,
}

/// The weight of an event after some time.
fn weight(age_ms: u64, half_life_ms: u64) -> f64 {
    (-(age_ms as f64) / half_life_ms as f64).exp2()
}

impl Activity {
    /// Adds an event. An older one than the newest is added with the weight that it has by then.
    /// A newest event after `now` is from before the time was set back: it counts as now, or those
    /// that follow would count for nothing.
    fn add(&mut self, at: u64, now: u64) {
        let at = at.min(now);
        self.at = self.at.min(now);
        let (later, earlier) = (at.saturating_sub(self.at), self.at.saturating_sub(at));
        self.hour = self.hour * weight(later, HOUR_MS) + weight(earlier, HOUR_MS);
        self.day = self.day * weight(later, DAY_MS) + weight(earlier, DAY_MS);
        self.at = self.at.max(at);
    }

    fn score(&self, window: Window, now: u64) -> f64 {
        let age = now.saturating_sub(self.at);
        match window {
            Window::Hour => self.hour * weight(age, HOUR_MS),
            Window::Day => self.day * weight(age, DAY_MS),
        }
    }
}

impl Default for Trends {
    /// No events; the server starts now.
    fn default() -> Self {
        Self { activities: Mutex::default(), started: now(), read: tokio::sync::Mutex::default() }
    }
}

impl Trends {
    /// Counts the items of the events that are received now. All count the same: the events of a
    /// request have one time of arrival.
    pub(crate) fn count<'a>(&self, items: &LiveItems, chosen: impl Iterator<Item = &'a ItemId>) {
        let received = now();
        for item in chosen {
            self.add(items, item, received, true);
        }
    }

    /// Counts an event from before the start. `at` is in milliseconds since 1970; a time in the
    /// future counts as now.
    pub(crate) fn replay(&self, items: &LiveItems, item: &ItemId, at: u64) {
        self.add(items, item, at, false);
    }

    fn add(&self, items: &LiveItems, item: &ItemId, at: u64, is_live: bool) {
        add(&mut self.activities(), items, (item, at, is_live));
    }

    /// Reads the events that were stored since the last time, also by other servers. After the
    /// removal of a visitor, by any server, all are read again: nothing tells which were the
    /// visitor's.
    pub(crate) async fn refresh(
        &self,
        items: &LiveItems,
        storage: &Storage,
    ) -> Result<(), StorageError> {
        self.read_new(&mut *self.read.lock().await, items, storage).await
    }

    /// As [`refresh`](Self::refresh), unless the event with the number `last` has been read.
    pub(crate) async fn follow(
        &self,
        items: &LiveItems,
        storage: &Storage,
        last: i64,
    ) -> Result<(), StorageError> {
        let mut read = self.read.lock().await;
        if read.position.includes(last) {
            return Ok(());
        }
        self.read_new(&mut read, items, storage).await
    }

    async fn read_new(
        &self,
        read: &mut Read,
        items: &LiveItems,
        storage: &Storage,
    ) -> Result<(), StorageError> {
        // Before the events: a removal that happens meanwhile is seen the next time.
        let erasures = storage.erasures().await?;
        let recent = now().saturating_sub(HISTORY_MS);
        if read.erasures.is_some_and(|known| known != erasures) {
            let mut all = HashMap::new();
            let mut position = EventPosition::default();
            self.read_into(recent.min(self.started), &mut position, storage, |event| {
                add(&mut all, items, event);
            })
            .await?;
            *self.activities() = all;
            read.position = position;
        } else {
            self.read_into(recent, &mut read.position, storage, |(item, at, is_live)| {
                self.add(items, item, at, is_live);
            })
            .await?;
        }
        read.erasures = Some(erasures);
        Ok(())
    }

    /// Hands the events after `position` to `each`: item, time, and whether it was received since
    /// the start.
    async fn read_into(
        &self,
        since: u64,
        position: &mut EventPosition,
        storage: &Storage,
        mut each: impl FnMut((&ItemId, u64, bool)),
    ) -> Result<(), StorageError> {
        loop {
            let new = storage.new_events(since, position, PAGE).await?;
            for event in new.events.iter().filter(|event| is_interaction(event.kind)) {
                each((&event.item, event.received, event.received >= self.started));
            }
            *position = new.next;
            if !new.has_more {
                return Ok(());
            }
        }
    }

    /// Counts anew what `replay` calls its argument with: item and time, as [`Trends::replay`] does.
    /// Events after the start count as received since then. After a failure the counts stay.
    pub(crate) fn recount<E>(
        &self,
        items: &LiveItems,
        replay: impl FnOnce(&mut dyn FnMut(&ItemId, u64)) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut all = HashMap::new();
        replay(&mut |item, at| add(&mut all, items, (item, at, at >= self.started)))?;
        *self.activities() = all;
        Ok(())
    }

    /// The items that were chosen, with their scores, best first, ties by id.
    pub(crate) fn trending(&self, window: Window) -> Vec<(ItemId, f64)> {
        let now = now();
        let score = |(id, it): (&ItemId, &Activity)| (id.clone(), it.score(window, now));
        let mut ranked: Vec<_> = self.activities().iter().map(score).collect();
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked
    }

    /// The items that were chosen since the server started, and how often.
    pub(crate) fn since_start(&self) -> HashMap<ItemId, u64> {
        let activities = self.activities();
        let live = activities.iter().filter(|(_, activity)| activity.live > 0);
        live.map(|(id, activity)| (id.clone(), activity.live)).collect()
    }

    fn activities(&self) -> MutexGuard<'_, HashMap<ItemId, Activity>> {
        self.activities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds an event: item, time, and whether it was received since the start.
fn add(
    activities: &mut HashMap<ItemId, Activity>,
    items: &LiveItems,
    (item, at, is_live): (&ItemId, u64, bool),
) {
    // Events may have any item: memory is bounded by the items that are known.
    if items.knows(item) {
        let activity = activities.entry(item.clone()).or_default();
        activity.add(at, now());
        activity.live += u64::from(is_live);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tandem_dataset::{Catalogue, Item};
    use tandem_storage::Location;

    use super::*;

    fn items() -> LiveItems {
        let items = ["a", "b"].map(|id| Item::untitled(id.into()));
        LiveItems::new(&Arc::new(Catalogue::new(items.into()).unwrap()))
    }

    proptest! {
        #[test]
        fn a_score_is_the_sum_of_the_weights_in_any_order(
            ages in prop::collection::vec(0..50 * HOUR_MS, 1..20),
        ) {
            let now = 1_700_000_000_000;
            let mut activity = Activity::default();
            for age in &ages {
                activity.add(now - age, now);
            }
            for (window, half_life) in [(Window::Hour, HOUR_MS), (Window::Day, DAY_MS)] {
                let expected: f64 = ages.iter().map(|age| weight(*age, half_life)).sum();
                let found = activity.score(window, now);
                prop_assert!((found - expected).abs() < 1e-9 * expected, "{found} {expected}");
            }
        }
    }

    #[test]
    fn events_count_after_a_time_that_was_set_forward_and_back() {
        let (mut activity, now) = (Activity::default(), 1_700_000_000_000);
        let wrong = now + 400 * DAY_MS;
        activity.add(wrong, wrong);
        for _ in 0..3 {
            activity.add(now, now);
        }
        assert!((activity.score(Window::Hour, now) - 4.0).abs() < 1e-9, "{activity:?}");
        assert!((activity.score(Window::Day, now + DAY_MS) - 2.0).abs() < 1e-9, "{activity:?}");
        // Another server with a wrong time stored this one.
        activity.add(wrong, now);
        assert!((activity.score(Window::Hour, now) - 5.0).abs() < 1e-9, "{activity:?}");
    }

    #[test]
    fn what_was_chosen_in_the_last_hour_trends_before_what_was_chosen_yesterday() {
        let (items, trends) = (items(), Trends::default());
        for _ in 0..10 {
            trends.replay(&items, &"a".into(), now() - DAY_MS);
        }
        trends.count(&items, ["b", "b", "unknown"].map(ItemId::from).iter());
        let order = |window| {
            let ranked = trends.trending(window).into_iter();
            ranked.map(|(id, _)| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(Window::Hour), ["b", "a"]);
        assert_eq!(order(Window::Day), ["a", "b"]);
        assert_eq!(trends.since_start(), [("b".into(), 2)].into());
    }

    #[test]
    fn the_items_of_a_request_have_the_same_time() {
        let (items, trends) = (items(), Trends::default());
        let chosen = ["b", "a"].map(ItemId::from);
        // Counting these takes several milliseconds.
        trends.count(&items, chosen.iter().cycle().take(200_000));
        let [a, b] = &trends.trending(Window::Hour)[..] else { panic!("two items") };
        assert!((a.1 - b.1).abs() < f64::EPSILON, "{a:?} {b:?}");
    }

    #[test]
    fn stored_events_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&Location::Sqlite(folder.path().join("shop.db"))).unwrap();
        let (items, trends) = (items(), Trends::default());
        let event = |id: &str, item: &str, kind: &str| {
            let event = serde_json::json!({ "id": id, "type": kind, "item": item, "at": 5 });
            serde_json::from_value(event).unwrap()
        };
        storage.block_on(async {
            for (session, id) in [("ann", "1"), ("bob", "2")] {
                let events = vec![event(id, "a", "click"), event("v", "b", "view")];
                storage.append_events(session, events).await.unwrap();
                for _ in 0..2 {
                    trends.refresh(&items, &storage).await.unwrap();
                }
            }
        });
        // Views do not count; the time is that of the server.
        let trending = trends.trending(Window::Hour);
        assert_eq!(trending.len(), 1);
        assert!((trending[0].1 - 2.0).abs() < 0.01, "{trending:?}");
        assert_eq!(trends.since_start(), [("a".into(), 2)].into());

        // Another server removes a visitor.
        storage.block_on(async {
            storage.forget_user("ann").await.unwrap();
            trends.refresh(&items, &storage).await.unwrap();
        });
        assert_eq!(trends.since_start(), [("a".into(), 1)].into());
        assert!((trends.trending(Window::Day)[0].1 - 1.0).abs() < 0.01);
        storage.block_on(async {
            storage.forget_user("bob").await.unwrap();
            trends.refresh(&items, &storage).await.unwrap();
        });
        assert_eq!((trends.trending(Window::Day), trends.since_start()), (vec![], [].into()));
    }
}
