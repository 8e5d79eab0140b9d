//! Items as lists for pages show them: as they are stored or, while the database does not answer, as
//! far as they are known.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tandem_dataset::{Catalogue, Item};
use tandem_protocol::ItemId;
use tandem_storage::{AttributeValue, Storage, StoredItem, serialize_optional_number};

use crate::{access::Role, live_items::LiveItems};

/// Number of items in each of two generations; the older one is forgotten when the newer one is full.
const KEPT: usize = 10_000;

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct ShownItem {
    #[schema(value_type = String)]
    id: ItemId,
    /// The number that the list is ordered by. Only its order has a meaning across lists. Absent for
    /// callers with a public key, because the score of an item with few events tells when they were.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_number")]
    score: Option<f64>,
    title: String,
    categories: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    brand: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    year: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_number")]
    price: Option<f64>,
    /// The fields of the database that pages do not show, so that the item can be sent back. Absent
    /// for callers with a public key.
    #[serde(flatten)]
    own: Option<OwnFields>,
}

/// What the shop has stored of an item and does not show.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
struct OwnFields {
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, AttributeValue>,
    available: bool,
}

impl ShownItem {
    /// The item as a caller may see it.
    pub(crate) fn shown_to(mut self, role: Role) -> Self {
        if role == Role::Public {
            (self.score, self.own) = (None, None);
        }
        self
    }
}

impl From<StoredItem> for ShownItem {
    fn from(item: StoredItem) -> Self {
        let StoredItem { id, title, categories, brand, year, price, .. } = item;
        let StoredItem { description, attributes, available, .. } = item;
        let own = Some(OwnFields { description, attributes, available });
        Self { id, score: None, title, categories, brand, year, price, own }
    }
}

impl From<&Item> for ShownItem {
    fn from(item: &Item) -> Self {
        Self {
            id: item.id.clone(),
            score: None,
            title: item.title.clone(),
            categories: item.genres.clone(),
            brand: item.brand.clone(),
            year: item.year.map(i64::from),
            price: None,
            own: None,
        }
    }
}

/// The items that were shown lately, as they were read from the database, in memory.
#[derive(Debug, Default)]
pub(crate) struct ShownItems(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    newer: HashMap<ItemId, ShownItem>,
    older: HashMap<ItemId, ShownItem>,
}

impl Generations {
    fn get(&self, id: &ItemId) -> Option<&ShownItem> {
        self.newer.get(id).or_else(|| self.older.get(id))
    }

    fn insert(&mut self, item: ShownItem) {
        if self.newer.len() >= KEPT {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(item.id.clone(), item);
    }
}

impl ShownItems {
    /// The newest items: of the database or, while it does not answer, those known last.
    pub(crate) async fn latest(
        &self,
        (items, catalogue): (&LiveItems, &Arc<Catalogue>),
        storage: &Storage,
        category: Option<String>,
        limit: u32,
    ) -> Vec<ShownItem> {
        match storage.latest_items(category.clone(), limit).await {
            Ok(stored) => self.read(stored.into_iter().map(ShownItem::from)),
            Err(error) => {
                tracing::debug!(%error, "the latest items are those known last");
                let ids = items.latest(category.as_deref(), limit as usize);
                let known = ids.iter().filter_map(|id| self.known(items, catalogue, id));
                known.collect()
            }
        }
    }

    /// The items of a ranking with their scores: as they are stored, or as in the catalogue. While
    /// the database does not answer, as they were shown last or became known.
    pub(crate) async fn ranked(
        &self,
        (items, catalogue): (&LiveItems, &Arc<Catalogue>),
        storage: Option<&Storage>,
        ranked: Vec<(ItemId, f64)>,
    ) -> Vec<ShownItem> {
        let ids: Vec<ItemId> = ranked.iter().map(|(id, _)| id.clone()).collect();
        let stored = match storage {
            Some(storage) => storage.items_by_id(&ids).await.map(Some),
            None => Ok(None),
        };
        let mut found: HashMap<ItemId, ShownItem> = match stored {
            Ok(stored) => {
                let read = self.read(stored.into_iter().flatten().map(ShownItem::from));
                let mut found: HashMap<_, _> =
                    read.into_iter().map(|item| (item.id.clone(), item)).collect();
                for index in ids.iter().filter_map(|id| catalogue.index_of(id)) {
                    let item = catalogue.get(index);
                    found.entry(item.id.clone()).or_insert_with(|| item.into());
                }
                found
            }
            Err(error) => {
                tracing::debug!(%error, "items are shown as they were known last");
                let known = ids.iter().filter_map(|id| self.known(items, catalogue, id));
                known.map(|item| (item.id.clone(), item)).collect()
            }
        };
        let scored =
            |(id, score)| found.remove(&id).map(|item| ShownItem { score: Some(score), ..item });
        ranked.into_iter().filter_map(scored).collect()
    }

    /// Keeps items that were read.
    fn read(&self, items: impl Iterator<Item = ShownItem>) -> Vec<ShownItem> {
        let items: Vec<ShownItem> = items.collect();
        let mut kept = self.kept();
        for item in &items {
            kept.insert(item.clone());
        }
        items
    }

    /// What is known of an item without the database: its price as it was followed, the rest as it
    /// was shown last, else as a list of the language model has it, else as in the catalogue.
    fn known(
        &self,
        items: &LiveItems,
        catalogue: &Arc<Catalogue>,
        id: &ItemId,
    ) -> Option<ShownItem> {
        let of_catalogue = || catalogue.index_of(id).map(|index| catalogue.get(index).into());
        let added = || {
            let (added, position) = (items.added(catalogue)?, items.position(catalogue, id)?);
            added.get(position).map(|added| ShownItem::from(&added.item))
        };
        let kept = self.kept().get(id).cloned();
        let item = kept.or_else(of_catalogue).or_else(added)?;
        Some(ShownItem { price: items.price(id), ..item })
    }

    fn kept(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_was_shown_last_stays() {
        let shown = ShownItems::default();
        let item = |id: &str| ShownItem::from(&Item::untitled(id.into()));
        for number in 0..3 * KEPT {
            shown.read([item(&number.to_string()), item("often")].into_iter());
        }
        let kept = shown.kept();
        assert!(kept.newer.len() + kept.older.len() <= 2 * KEPT);
        assert!(kept.get(&"often".into()).is_some() && kept.get(&"0".into()).is_none());
    }
}
