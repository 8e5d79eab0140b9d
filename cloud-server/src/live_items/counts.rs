//! How many items there are, and which were deleted.

use std::sync::Arc;

use tandem_dataset::Catalogue;
use tandem_protocol::ItemId;

use super::{LiveItems, State};

/// Numbers of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemCounts {
    /// Items of the catalogue and of the database that were not deleted.
    pub(crate) all: usize,
    /// Those that only the database has.
    pub(crate) added: usize,
    /// Items of the catalogue that were deleted from the database.
    pub(crate) deleted: usize,
}

impl LiveItems {
    /// Whether an item was deleted from the database, and not stored again.
    pub(crate) fn is_deleted(&self, id: &ItemId) -> bool {
        let state = self.read();
        state.numbers.get(id).is_some_and(|number| state.deleted.contains(*number))
    }

    /// The numbers of items of a catalogue and of the database.
    pub(crate) fn counts(&self, catalogue: &Arc<Catalogue>) -> ItemCounts {
        let state = self.read();
        // Of a release that is not in use any more, only its own items are known.
        if !Arc::ptr_eq(&state.catalogue, catalogue) {
            return ItemCounts { all: catalogue.len(), ..ItemCounts::default() };
        }
        let is_added = |number: &u32| state.positions[*number as usize] as usize >= catalogue.len();
        let added = (&state.stored - &state.deleted).iter().filter(is_added).count();
        let deleted = state.deleted.iter().filter(|number| !is_added(number)).count();
        ItemCounts { all: catalogue.len() + added - deleted, added, deleted }
    }
}

impl State {
    pub(super) fn set_deleted(&mut self, number: u32, is_deleted: bool) {
        if is_deleted {
            self.deleted.insert(number);
        } else {
            self.deleted.remove(number);
        }
    }
}
