use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tandem_dataset::{Catalogue, ItemIndex};
use tandem_protocol::ItemId;
use tandem_storage::{Storage, StorageError};
use tokio::sync::Mutex;

/// Time between two looks for changes that another process made.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// The items that must not be recommended, because the database says that they are not available
/// or were deleted. Kept in memory, so that lists go on while the database does not answer.
#[derive(Debug, Default)]
pub(crate) struct HiddenItems {
    ids: RwLock<Arc<HashSet<ItemId>>>,
    /// Those of the catalogue in use, found once for all lists.
    found: RwLock<Option<Found>>,
    /// How far the changes were read. One reader at a time.
    read: Mutex<(i64, i64)>,
}

/// The hidden items of a catalogue.
#[derive(Debug)]
struct Found {
    ids: Arc<HashSet<ItemId>>,
    catalogue_hash: String,
    items: Vec<ItemIndex>,
}

impl HiddenItems {
    /// Reads the changes since the last time.
    pub(crate) async fn refresh(&self, storage: &Storage) -> Result<(), StorageError> {
        let mut read = self.read.lock().await;
        let mut changes = storage.item_changes(*read).await?;
        if changes.items.is_empty() {
            return Ok(());
        }
        let mut ids = (*self.current()).clone();
        let (next, outcome) = loop {
            for item in changes.items {
                if item.deleted || !item.available {
                    ids.insert(item.id);
                } else {
                    ids.remove(&item.id);
                }
            }
            let next = changes.next;
            changes = match storage.item_changes(next).await {
                Ok(changes) if changes.items.is_empty() => break (next, Ok(())),
                Ok(changes) => changes,
                Err(error) => break (next, Err(error)),
            };
        };
        // A failure of a later page leaves the earlier ones read.
        self.replace(ids);
        *read = next;
        outcome
    }

    /// Adds the hidden items of the catalogue to those that must not be candidates.
    pub(crate) fn exclude(&self, catalogue: &Catalogue, exclude: &mut Vec<ItemIndex>) {
        let ids = self.current();
        if ids.is_empty() {
            return;
        }
        let is_of = |found: &&Found| {
            Arc::ptr_eq(&found.ids, &ids) && found.catalogue_hash == catalogue.hash()
        };
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.as_ref().filter(is_of) {
            exclude.extend_from_slice(&found.items);
            return;
        }
        drop(found);
        let items: Vec<ItemIndex> = ids.iter().filter_map(|id| catalogue.index_of(id)).collect();
        exclude.extend_from_slice(&items);
        let found = Found { ids, catalogue_hash: catalogue.hash().to_owned(), items };
        *self.found.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    fn current(&self) -> Arc<HashSet<ItemId>> {
        Arc::clone(&self.ids.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, ids: HashSet<ItemId>) {
        *self.ids.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ids);
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::Item;

    use super::*;

    #[test]
    fn hidden_items_are_those_of_the_catalogue_and_of_the_newest_changes() {
        let catalogue = |ids: &[&str]| {
            Catalogue::new(ids.iter().map(|id| Item::untitled((*id).into())).collect()).unwrap()
        };
        let hidden = HiddenItems::default();
        let excluded = |catalogue: &Catalogue| {
            let mut items = vec![ItemIndex(7)];
            hidden.exclude(catalogue, &mut items);
            items
        };
        let (first, second) = (catalogue(&["a", "b"]), catalogue(&["b", "c", "a"]));
        assert_eq!(excluded(&first), [ItemIndex(7)]);
        hidden.replace(["a", "unknown"].map(ItemId::new).into());
        // Twice: the second time they are known.
        for _ in 0..2 {
            assert_eq!(excluded(&first), [7, 0].map(ItemIndex));
        }
        assert_eq!(excluded(&second), [7, 2].map(ItemIndex));
        hidden.replace(["b"].map(ItemId::new).into());
        assert_eq!(excluded(&second), [7, 0].map(ItemIndex));
    }
}
