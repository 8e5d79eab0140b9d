//! The items as they are now, in memory: which may be recommended, and which meet a filter.
//!
//! Fields come from the database where it has the item, else from the catalogue of the release.
//! Lists go on while the database does not answer, with the items known last.

mod added;
mod check;
mod counts;
mod fields;
mod index;

use std::{
    borrow::Cow,
    collections::HashMap,
    mem,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use roaring::RoaringBitmap;
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_protocol::{ItemFilter, ItemId};
use tandem_storage::{ChangedItem, ChangesRead, Storage, StorageError};
use tokio::{sync::Mutex, task::yield_now};

pub(crate) use added::ChangedTexts;
use added::{Added, placed};
pub(crate) use check::check_filter;
pub(crate) use counts::ItemCounts;
use fields::Fields;
use index::FieldIndex;

/// Time between two looks for changes that another process made.
pub(crate) const POLL: Duration = Duration::from_secs(1);
/// Number of items that are changed at a time, about a millisecond: lists wait meanwhile.
const BATCH: usize = 500;
/// The same of items of which only the availability changes.
const AVAILABILITIES: usize = 5_000;
/// The position of an item that the catalogue lacks.
const NOWHERE: u32 = u32::MAX;

/// The items as they are now.
#[derive(Debug)]
pub(crate) struct LiveItems {
    state: RwLock<State>,
    /// How far the changes of the database were read. One reader at a time.
    read: Mutex<ChangesRead>,
}

/// Items are numbered in the order in which they become known. A number is never used again.
#[derive(Debug)]
struct State {
    numbers: HashMap<ItemId, u32>,
    ids: Vec<ItemId>,
    fields: FieldIndex,
    /// Items that may be recommended.
    visible: RoaringBitmap,
    /// Items that must not be, because the database says that they are not available or deleted.
    hidden: RoaringBitmap,
    /// Items that the database has, also deleted ones.
    stored: RoaringBitmap,
    /// When each stored item was stored first, in milliseconds since 1970; 0 of others.
    created: Vec<u64>,
    /// Items that were deleted from the database.
    deleted: RoaringBitmap,
    /// The catalogue in use.
    catalogue: Arc<Catalogue>,
    /// Position of each item in it or, if it lacks a stored item, after it.
    positions: Vec<u32>,
    /// The stored items that it lacks.
    added: Added,
    /// Positions of the hidden items.
    hidden_positions: Vec<ItemIndex>,
}

impl LiveItems {
    /// The items of a catalogue, all of them available.
    pub(crate) fn new(catalogue: &Arc<Catalogue>) -> Self {
        let state = State {
            numbers: HashMap::with_capacity(catalogue.len()),
            ids: Vec::with_capacity(catalogue.len()),
            fields: FieldIndex::default(),
            visible: RoaringBitmap::new(),
            hidden: RoaringBitmap::new(),
            stored: RoaringBitmap::new(),
            created: Vec::new(),
            deleted: RoaringBitmap::new(),
            catalogue: Arc::clone(catalogue),
            positions: Vec::with_capacity(catalogue.len()),
            added: Added::new(catalogue),
            hidden_positions: Vec::new(),
        };
        let items = Self { state: RwLock::new(state), read: Mutex::default() };
        items.follow(catalogue);
        items
    }

    /// Follows a new catalogue: its items that the database lacks have the fields of the catalogue,
    /// and those of earlier catalogues that it lacks, too, are gone.
    pub(crate) fn follow(&self, catalogue: &Arc<Catalogue>) {
        for items in catalogue.items().chunks(BATCH) {
            let mut state = self.write();
            for item in items {
                let number = state.number(&item.id);
                if !state.stored.contains(number) {
                    state.fields.set(number, Fields::from(item));
                    state.visible.insert(number);
                }
            }
        }
        // What takes long is found while lists go on.
        let (mut positions, added, stored) = {
            let state = self.read();
            let (positions, added) = placed(&state.ids, &state.stored, catalogue);
            (positions, added, state.stored.clone())
        };
        let earlier = {
            let mut state = self.write();
            let state = &mut *state;
            // What the database has told meanwhile.
            let newer = state.ids[positions.len()..].iter();
            positions.extend(newer.map(|id| position(id, catalogue)));
            let earlier = (
                mem::replace(&mut state.positions, positions),
                mem::replace(&mut state.added, added),
            );
            state.catalogue = Arc::clone(catalogue);
            for number in &(&state.stored - &stored) {
                state.add(number, false);
            }
            state.hidden_positions = state.hidden_positions();
            let gone: Vec<u32> = (&state.visible - &state.stored)
                .iter()
                .filter(|number| state.positions[*number as usize] == NOWHERE)
                .collect();
            for number in gone {
                state.visible.remove(number);
                state.fields.set(number, Fields::default());
            }
            earlier
        };
        // Not while lists wait for the lock.
        drop(earlier);
    }

    /// Reads the changes of the database since the last time.
    pub(crate) async fn refresh(&self, storage: &Storage) -> Result<(), StorageError> {
        let mut read = self.read.lock().await;
        loop {
            let changes = storage.item_changes(*read).await?;
            if changes.is_empty() {
                *read = changes.next;
                return Ok(());
            }
            let mut items = changes.items.into_iter().peekable();
            while items.peek().is_some() {
                self.change(items.by_ref().take(BATCH));
                // Other requests of the thread have their turn.
                yield_now().await;
            }
            for told in changes.availability.chunks(AVAILABILITIES) {
                self.set_availability(told);
                yield_now().await;
            }
            self.find_hidden();
            // A failure of a later page leaves the earlier ones read.
            *read = changes.next;
        }
    }

    /// Lists follow after [`LiveItems::find_hidden`].
    fn change(&self, items: impl Iterator<Item = ChangedItem>) {
        let mut state = self.write();
        items.for_each(|item| state.change(item));
    }

    /// As [`LiveItems::change`], of availabilities. Ids that are not known are of items whose
    /// fields have not been read yet: these come with their availability.
    fn set_availability(&self, told: &[(ItemId, bool)]) {
        let mut state = self.write();
        for (id, available) in told {
            if let Some(&number) = state.numbers.get(id) {
                state.show(number, *available);
            }
        }
    }

    /// Lists use the hidden items found last while these are found.
    fn find_hidden(&self) {
        let (positions, catalogue) = {
            let state = self.read();
            (state.hidden_positions(), Arc::clone(&state.catalogue))
        };
        let mut state = self.write();
        // Another catalogue is in use meanwhile: its positions are other ones.
        let is_current = Arc::ptr_eq(&state.catalogue, &catalogue);
        state.hidden_positions = if is_current { positions } else { state.hidden_positions() };
    }

    /// Positions of the items of a catalogue that the database does not have, and never had.
    pub(crate) fn not_stored(&self, catalogue: &Catalogue) -> Vec<ItemIndex> {
        let state = self.read();
        let is_stored = |item: &ItemIndex| {
            let number = state.numbers.get(&catalogue.get(*item).id);
            number.is_some_and(|number| state.stored.contains(*number))
        };
        catalogue.indices().filter(|item| !is_stored(item)).collect()
    }

    /// Adds the hidden items of a catalogue, and those after it, to those that must not be
    /// candidates.
    pub(crate) fn exclude(&self, catalogue: &Arc<Catalogue>, exclude: &mut Vec<ItemIndex>) {
        let state = self.read();
        if Arc::ptr_eq(&state.catalogue, catalogue) {
            exclude.extend_from_slice(&state.hidden_positions);
        } else {
            let ids = state.hidden.iter().map(|number| &state.ids[number as usize]);
            exclude.extend(ids.filter_map(|id| catalogue.index_of(id)));
        }
    }

    /// Positions of the items of a catalogue, and of those after it whose title is known, that meet
    /// a filter and may be recommended; and the number of all items that do.
    pub(crate) fn matching(
        &self,
        catalogue: &Arc<Catalogue>,
        filter: &ItemFilter,
    ) -> (RoaringBitmap, usize) {
        let state = self.read();
        let numbers = state.fields.matching(filter, state.visible.clone());
        let total = numbers.len() as usize;
        let is_in_use = Arc::ptr_eq(&state.catalogue, catalogue);
        let positions = if is_in_use {
            Cow::Borrowed(&state.positions)
        } else {
            // A request that began with the catalogue before.
            Cow::Owned(positions(&state.ids, catalogue))
        };
        // The numbers are in the order in which items became known, so the positions are not
        // ascending: a table of bits is faster than single insertions.
        let known = catalogue.len();
        let len = if is_in_use { state.added.positions() } else { known };
        let mut bits = vec![0_u8; len.div_ceil(8)];
        for number in numbers {
            let position = positions[number as usize] as usize;
            if position < known || position < len && state.added.has(position) {
                bits[position / 8] |= 1 << (position % 8);
            }
        }
        (RoaringBitmap::from_lsb0_bytes(0, &bits), total)
    }

    /// Whether all of these items may be recommended.
    pub(crate) fn are_visible<'i>(&self, ids: impl IntoIterator<Item = &'i ItemId>) -> bool {
        let state = self.read();
        let is_visible = |id: &ItemId| {
            state.numbers.get(id).is_some_and(|number| state.visible.contains(*number))
        };
        ids.into_iter().all(is_visible)
    }

    /// Whether an item is in the catalogue or in the database.
    pub(crate) fn knows(&self, id: &ItemId) -> bool {
        self.read().numbers.contains_key(id)
    }

    /// The first `limit` of the items that may be recommended and have a category, if one is
    /// given.
    pub(crate) fn first_visible<T>(
        &self,
        items: impl IntoIterator<Item = (ItemId, T)>,
        category: Option<&str>,
        limit: usize,
    ) -> Vec<(ItemId, T)> {
        let state = self.read();
        let is_wanted = |id: &ItemId| {
            state.numbers.get(id).is_some_and(|&number| {
                state.visible.contains(number)
                    && category.is_none_or(|it| state.fields.has_category(number, it))
            })
        };
        items.into_iter().filter(|(id, _)| is_wanted(id)).take(limit).collect()
    }

    /// The `limit` stored items that may be recommended, have a category, if one is given, and were
    /// stored first last; newest first, ties by id.
    pub(crate) fn latest(&self, category: Option<&str>, limit: usize) -> Vec<ItemId> {
        let state = self.read();
        let mut found: Vec<u32> = (&state.visible & &state.stored)
            .iter()
            .filter(|number| category.is_none_or(|it| state.fields.has_category(*number, it)))
            .collect();
        let key = |number: &u32| {
            let at = *number as usize;
            (std::cmp::Reverse(state.created[at]), &state.ids[at])
        };
        if found.len() > limit {
            found.select_nth_unstable_by(limit, |a, b| key(a).cmp(&key(b)));
            found.truncate(limit);
        }
        found.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        found.iter().map(|number| state.ids[*number as usize].clone()).collect()
    }

    /// The price of an item, as it was read last.
    pub(crate) fn price(&self, id: &ItemId) -> Option<f64> {
        let state = self.read();
        state.fields.price(*state.numbers.get(id)?)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The number of an item, which may be new.
    fn number(&mut self, id: &ItemId) -> u32 {
        if let Some(&number) = self.numbers.get(id) {
            return number;
        }
        let number = self.ids.len() as u32;
        self.numbers.insert(id.clone(), number);
        self.ids.push(id.clone());
        self.positions.push(position(id, &self.catalogue));
        number
    }

    /// Uses what the database says of an item.
    fn change(&mut self, item: ChangedItem) {
        let number = self.number(&item.id);
        self.stored.insert(number);
        let at = number as usize;
        if self.created.len() <= at {
            self.created.resize(at + 1, 0);
        }
        self.created[at] = item.created;
        self.set_deleted(number, item.deleted);
        self.add(number, item.deleted);
        self.show(number, item.available && !item.deleted);
        let fields = if item.deleted { Fields::default() } else { Fields::from(item) };
        self.fields.set(number, fields);
    }

    /// Whether an item may be recommended.
    fn show(&mut self, number: u32, is_visible: bool) {
        let (to, from) = if is_visible {
            (&mut self.visible, &mut self.hidden)
        } else {
            (&mut self.hidden, &mut self.visible)
        };
        to.insert(number);
        from.remove(number);
    }

    /// The positions of the hidden items, found once for all lists.
    fn hidden_positions(&self) -> Vec<ItemIndex> {
        let positions = self.hidden.iter().map(|number| self.positions[number as usize]);
        let known = positions.filter(|position| *position != NOWHERE);
        known.map(ItemIndex).collect()
    }
}

/// The position of each item in a catalogue.
fn positions(ids: &[ItemId], catalogue: &Catalogue) -> Vec<u32> {
    ids.iter().map(|id| position(id, catalogue)).collect()
}

fn position(id: &ItemId, catalogue: &Catalogue) -> u32 {
    catalogue.index_of(id).map_or(NOWHERE, |item| item.0)
}

#[cfg(test)]
mod tests;
