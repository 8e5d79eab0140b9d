//! How often items were chosen: the order of `GET /v1/items/popular` and of the admin page.

use std::{collections::HashMap, sync::RwLockReadGuard};

use tandem_dataset::{Item, ItemIndex, counts::CountTable};
use tandem_protocol::ItemId;

use crate::{recommender::Recommender, trends::Trends};

/// How often items were chosen, in the training log and since then.
pub(crate) struct Popularity<'r> {
    /// They have the events since the training, too; older ones count less if there is a half-life.
    counts: Option<RwLockReadGuard<'r, CountTable>>,
    /// Choices since the start of the server.
    since_start: HashMap<ItemId, u64>,
}

impl<'r> Popularity<'r> {
    /// The popularity with a recommender. Events are not counted while it is held.
    pub(crate) fn new(recommender: &'r Recommender, trends: &Trends) -> Self {
        let counts = recommender.signals.as_ref().and_then(|signals| signals.counts());
        Self { counts, since_start: trends.since_start() }
    }

    /// Of an item of the recommender's catalogue, at its position.
    pub(crate) fn of_known(&self, index: ItemIndex, item: &Item) -> f64 {
        match &self.counts {
            Some(counts) => f64::from(counts.popularity(index)),
            None => f64::from(item.count) + self.of_added(&item.id),
        }
    }

    /// Of an item that the catalogue lacks.
    pub(crate) fn of_added(&self, id: &ItemId) -> f64 {
        self.since_start.get(id).map_or(0.0, |count| *count as f64)
    }

    /// The items that were chosen since the start of the server.
    pub(crate) fn chosen_since_start(&self) -> impl Iterator<Item = &ItemId> {
        self.since_start.keys()
    }
}
