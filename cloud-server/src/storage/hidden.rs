use std::{
    collections::HashSet,
    sync::{Arc, RwLock},
    time::Duration,
};

use std::sync::PoisonError;

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
    /// How far the changes were read. One reader at a time.
    read: Mutex<(i64, i64)>,
}

impl HiddenItems {
    /// Reads the changes since the last time.
    pub(crate) async fn refresh(&self, storage: &Storage) -> Result<(), StorageError> {
        let mut read = self.read.lock().await;
        let mut ids: Option<HashSet<ItemId>> = None;
        loop {
            let changes = storage.item_changes(*read).await?;
            if changes.items.is_empty() {
                break;
            }
            let ids = ids.get_or_insert_with(|| (*self.current()).clone());
            for item in changes.items {
                if item.deleted || !item.available {
                    ids.insert(item.id);
                } else {
                    ids.remove(&item.id);
                }
            }
            // A failure of a later page leaves the earlier ones read.
            self.replace(ids.clone());
            *read = changes.next;
        }
        Ok(())
    }

    /// Adds the hidden items of the catalogue to those that must not be candidates.
    pub(crate) fn exclude(&self, catalogue: &Catalogue, exclude: &mut Vec<ItemIndex>) {
        exclude.extend(self.current().iter().filter_map(|id| catalogue.index_of(id)));
    }

    fn current(&self) -> Arc<HashSet<ItemId>> {
        Arc::clone(&self.ids.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, ids: HashSet<ItemId>) {
        *self.ids.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ids);
    }
}
