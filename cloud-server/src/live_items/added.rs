//! The items that the database has and the catalogue in use lacks.

use std::{collections::BTreeSet, sync::Arc};

use roaring::RoaringBitmap;
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::{AddedItems, added_items::AddedItem};
use tandem_protocol::ItemId;

use super::{LiveItems, NOWHERE, State, positions};

/// Items beside those of a catalogue, by their position after it.
#[derive(Debug)]
pub(super) struct Added {
    items: Arc<AddedItems>,
    /// Numbers of the items whose title or text may have changed.
    changed: BTreeSet<u32>,
}

/// Items whose title and text have to be read.
#[derive(Debug)]
pub(crate) struct ChangedTexts {
    /// The catalogue that the positions follow.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The items as they were read last.
    pub(crate) items: Arc<AddedItems>,
    /// Id and position of each item.
    pub(crate) changed: Vec<(ItemId, ItemIndex)>,
}

impl Added {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        Self { items: Arc::new(AddedItems::new(catalogue)), changed: BTreeSet::new() }
    }

    /// Number of positions, those of the catalogue included.
    pub(super) fn positions(&self) -> usize {
        self.items.positions()
    }

    /// Whether there is an item at a position after the catalogue.
    pub(super) fn has(&self, position: usize) -> bool {
        self.items.get(ItemIndex(position as u32)).is_some()
    }
}

/// The position of each item in a catalogue and, if it lacks the `stored` item, after it.
pub(super) fn placed(
    ids: &[ItemId],
    stored: &RoaringBitmap,
    catalogue: &Catalogue,
) -> (Vec<u32>, Added) {
    let mut positions = positions(ids, catalogue);
    let mut items = AddedItems::new(catalogue);
    let lacks = |number: &u32| positions[*number as usize] == NOWHERE;
    let changed: BTreeSet<u32> = stored.iter().filter(lacks).collect();
    for number in &changed {
        positions[*number as usize] = items.push().0;
    }
    (positions, Added { items: Arc::new(items), changed })
}

impl State {
    /// Gives an item that the catalogue lacks a position after it, and remembers to read its text.
    pub(super) fn add(&mut self, number: u32, is_deleted: bool) {
        let position = &mut self.positions[number as usize];
        if *position != NOWHERE && (*position as usize) < self.catalogue.len() {
            return;
        }
        if *position == NOWHERE {
            if is_deleted {
                return;
            }
            *position = Arc::make_mut(&mut self.added.items).push().0;
        }
        self.added.changed.insert(number);
    }
}

impl LiveItems {
    /// The items beside those of a catalogue; `None` if it is not the one in use, or there are
    /// none.
    pub(crate) fn added(&self, catalogue: &Arc<Catalogue>) -> Option<Arc<AddedItems>> {
        let state = self.read();
        let is_in_use = Arc::ptr_eq(&state.catalogue, catalogue) && !state.added.items.is_empty();
        is_in_use.then(|| Arc::clone(&state.added.items))
    }

    /// The position of an item in a catalogue or, if it is the one in use, after it.
    pub(crate) fn position(&self, catalogue: &Arc<Catalogue>, id: &ItemId) -> Option<ItemIndex> {
        catalogue.index_of(id).or_else(|| {
            let state = self.read();
            let number = *state.numbers.get(id)?;
            let position = state.positions[number as usize];
            let is_known = Arc::ptr_eq(&state.catalogue, catalogue) && position != NOWHERE;
            is_known.then_some(ItemIndex(position))
        })
    }

    /// At most `limit` items whose title and text have to be read; they count as read. `None` if
    /// there are none.
    pub(crate) fn take_changed(&self, limit: usize) -> Option<ChangedTexts> {
        if self.read().added.changed.is_empty() {
            return None;
        }
        let mut state = self.write();
        let State { ids, positions, added, catalogue, .. } = &mut *state;
        let mut changed = Vec::new();
        while changed.len() < limit
            && let Some(number) = added.changed.pop_first()
        {
            let number = number as usize;
            changed.push((ids[number].clone(), ItemIndex(positions[number])));
        }
        let (catalogue, items) = (Arc::clone(catalogue), Arc::clone(&added.items));
        Some(ChangedTexts { catalogue, items, changed })
    }

    /// Uses the items that were read, if the catalogue is still in use.
    pub(crate) fn set_added(
        &self,
        catalogue: &Arc<Catalogue>,
        items: Vec<(ItemIndex, Option<Arc<AddedItem>>)>,
    ) {
        let mut state = self.write();
        if Arc::ptr_eq(&state.catalogue, catalogue) && !items.is_empty() {
            let added = Arc::make_mut(&mut state.added.items);
            for (position, item) in items {
                added.set(position, item);
            }
        }
    }

    /// Reads the items again that could not be read.
    pub(crate) fn take_back(&self, ChangedTexts { catalogue, changed, .. }: ChangedTexts) {
        let mut state = self.write();
        if Arc::ptr_eq(&state.catalogue, &catalogue) {
            let State { numbers, added, .. } = &mut *state;
            added.changed.extend(changed.iter().filter_map(|(id, _)| numbers.get(id)));
        }
    }
}
