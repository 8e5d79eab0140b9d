use std::collections::HashMap;

use tandem_protocol::ItemId;

use crate::{DatasetError, Item, ItemIndex, files::Sha256Hex};

/// The items of a shop in a fixed order. Immutable.
///
/// Models, candidate lists and artefacts refer to their catalogue by [`Catalogue::hash`].
/// Readers sort items by [`compare_ids`](crate::compare_ids).
#[derive(Clone, Debug)]
pub struct Catalogue {
    items: Vec<Item>,
    positions: HashMap<ItemId, ItemIndex>,
    hash: String,
}

impl Catalogue {
    /// A catalogue of items in the given order.
    ///
    /// # Errors
    /// [`DatasetError::InvalidId`] for an id that is empty or contains a control character,
    /// [`DatasetError::DuplicateItem`] for one that occurs twice, and
    /// [`DatasetError::TooManyItems`] beyond `u32::MAX` items.
    pub fn new(items: Vec<Item>) -> Result<Self, DatasetError> {
        if u32::try_from(items.len()).is_err() {
            return Err(DatasetError::TooManyItems { items: items.len() });
        }
        let mut positions = HashMap::with_capacity(items.len());
        let mut hash = Sha256Hex::default();
        for (position, item) in items.iter().enumerate() {
            let id = item.id.as_str();
            if id.is_empty() || id.contains(char::is_control) {
                return Err(DatasetError::InvalidId { id: id.to_owned() });
            }
            let index = ItemIndex(position as u32);
            if positions.insert(item.id.clone(), index).is_some() {
                return Err(DatasetError::DuplicateItem { id: id.to_owned() });
            }
            hash.update(id);
            hash.update("\n");
        }
        Ok(Self { items, positions, hash: hash.finish() })
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the catalogue has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All items in order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// All indices in order.
    pub fn indices(&self) -> impl ExactSizeIterator<Item = ItemIndex> + use<> {
        (0..self.items.len() as u32).map(ItemIndex)
    }

    /// The item at an index.
    ///
    /// # Panics
    /// If the index is out of bounds.
    #[must_use]
    pub fn get(&self, index: ItemIndex) -> &Item {
        &self.items[index.position()]
    }

    /// The index of the item with this id, or `None`.
    #[must_use]
    pub fn index_of(&self, id: &ItemId) -> Option<ItemIndex> {
        self.positions.get(id).copied()
    }

    /// The index of the item with this id as text, or `None`.
    pub(crate) fn position(&self, id: &str) -> Option<ItemIndex> {
        self.positions.get(id).copied()
    }

    /// SHA-256 over the ids in order, each followed by a line feed, in lower-case
    /// hexadecimal. Titles and counts do not change it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Sets the interaction counts, given in catalogue order.
    pub(crate) fn set_counts(&mut self, counts: &[u32]) {
        for (item, &count) in self.items.iter_mut().zip(counts) {
            item.count = count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(ids: &[&str]) -> Result<Catalogue, DatasetError> {
        Catalogue::new(ids.iter().map(|&id| Item::untitled(id.into())).collect())
    }

    #[test]
    fn the_hash_covers_the_ids_in_order() {
        // printf 'a\nb\n' | sha256sum
        let expected = "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2";
        let found = catalogue(&["a", "b"]).unwrap();
        assert_eq!(found.hash(), expected);
        assert_ne!(catalogue(&["b", "a"]).unwrap().hash(), expected);
        assert_ne!(catalogue(&["ab"]).unwrap().hash(), expected);
    }

    #[test]
    fn ids_are_found_at_their_index() {
        let found = catalogue(&["x", "10", "9"]).unwrap();
        assert_eq!(found.index_of(&"9".into()), Some(ItemIndex(2)));
        assert_eq!(found.index_of(&"8".into()), None);
        assert_eq!(found.get(ItemIndex(1)).id.as_str(), "10");
        assert_eq!(found.indices().len(), found.len());
    }

    #[test]
    fn duplicate_and_invalid_ids_are_refused() {
        let twice = catalogue(&["a", "b", "a"]).unwrap_err();
        assert!(matches!(twice, DatasetError::DuplicateItem { id } if id == "a"));
        for id in ["", "a\nb", "\u{7f}"] {
            assert!(matches!(catalogue(&[id]), Err(DatasetError::InvalidId { .. })));
        }
    }
}
