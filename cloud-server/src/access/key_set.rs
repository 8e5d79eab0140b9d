use std::{collections::HashMap, path::Path, sync::Arc};

use tandem_dataset::files::sha256_hex;
use tandem_storage::StoredKey;

use super::{
    KeyFileError, KeyKind,
    key_file::{Entries, Entry, EntryError},
    rates::KeyRate,
};
use crate::{artifacts::is_sha256, origin::Origin};

/// A key of the server.
#[derive(Debug)]
pub struct Key {
    /// Its id, which is no secret.
    pub id: String,
    /// Name of its user.
    pub name: String,
    /// What it allows.
    pub kind: KeyKind,
    /// Pages that may use it; empty: all.
    pub origins: Vec<Origin>,
    /// The day on which it was made (`2026-11-27`, UTC), if that is known.
    pub created: Option<String>,
    pub(super) rate: Option<Arc<KeyRate>>,
}

/// The keys of a server, from a file or a database. Only their hashes are known. A set without keys
/// admits nobody.
#[derive(Debug, Default)]
pub struct KeySet {
    by_sha256: HashMap<String, Arc<Key>>,
}

impl KeySet {
    /// Reads a file that `cloud-server keys new` wrote.
    ///
    /// # Errors
    /// If it cannot be read, has another shape or has no keys.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::of_file(path, Entries::read(path)?)
    }

    /// As [`KeySet::read`], of the content of the file.
    pub(super) fn of_file(path: &Path, entries: Entries) -> Result<Self, KeyFileError> {
        let invalid = |reason: String| KeyFileError::Invalid { path: path.to_owned(), reason };
        let mut keys = Self::default();
        for entry in entries.keys {
            let id = entry.id.clone();
            let before = keys.insert(entry, None);
            if before.map_err(|error| invalid(format!("key {id}: {error}")))?.is_some() {
                return Err(invalid(format!("key {id} occurs twice")));
            }
        }
        if keys.is_empty() {
            return Err(invalid(
                "it has no keys; make one with `cloud-server keys new`".to_owned(),
            ));
        }
        Ok(keys)
    }

    /// The keys of a database. One that this version cannot read is left out, with a line in the
    /// log: the others, and those that were revoked, must not depend on it.
    ///
    /// The rate of a key that is also in `before` goes on, unless it was changed.
    pub(crate) fn stored(stored: &[StoredKey], before: Option<&Self>) -> Self {
        let mut keys = Self::default();
        for key in stored {
            let inserted = Entry::try_from(key).and_then(|entry| keys.insert(entry, before));
            if let Err(error) = inserted {
                tracing::warn!(id = key.id, %error, "a key of the storage is left out");
            }
        }
        keys
    }

    /// Adds a key, and returns the one of the same hash that it replaces.
    fn insert(
        &mut self,
        entry: Entry,
        before: Option<&Self>,
    ) -> Result<Option<Arc<Key>>, EntryError> {
        let Entry { id, name, kind, sha256, origins, requests_per_minute, created } = entry;
        if !is_sha256(&sha256) {
            return Err(EntryError::Sha256);
        }
        let origins = origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>()?;
        let before = before.and_then(|before| before.by_sha256.get(&sha256)?.rate.clone());
        let rate = requests_per_minute.map(|per_minute| {
            let same = before.filter(|rate| rate.per_minute() == per_minute);
            same.unwrap_or_else(|| Arc::new(KeyRate::new(per_minute)))
        });
        let key = Arc::new(Key { id, name, kind, origins, created, rate });
        Ok(self.by_sha256.insert(sha256, key))
    }

    /// Whether there are none, so that nobody is admitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_sha256.is_empty()
    }

    /// The key of this text. The time of the look-up depends on its hash only, which says nothing
    /// about other keys.
    pub(super) fn find(&self, text: &str) -> Option<&Arc<Key>> {
        self.by_sha256.get(&sha256_hex(text))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_sha256.values().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// A key whose text is its id.
    fn stored(id: &str, per_minute: u32) -> StoredKey {
        StoredKey {
            id: id.to_owned(),
            name: "shop".to_owned(),
            kind: "public".to_owned(),
            sha256: sha256_hex(id),
            origins: vec!["https://shop.example".to_owned()],
            requests_per_minute: NonZeroU32::new(per_minute),
            created: None,
        }
    }

    fn charge(keys: &KeySet, text: &str) -> bool {
        let rate = keys.find(text).unwrap().rate.as_ref().unwrap();
        rate.charge().is_ok()
    }

    #[test]
    fn the_rate_of_a_key_goes_on_unless_it_was_changed() {
        let first = KeySet::stored(&[stored("a", 1), stored("b", 1)], None);
        assert!(charge(&first, "a") && charge(&first, "b"));
        assert!(!charge(&first, "a") && !charge(&first, "b"));
        let later = [stored("b", 2), stored("c", 1), stored("a", 1)];
        let next = KeySet::stored(&later, Some(&first));
        assert!(!charge(&next, "a"), "it began anew");
        assert!(charge(&next, "b") && charge(&next, "b") && !charge(&next, "b"), "it was raised");
        assert!(charge(&next, "c") && !charge(&next, "c"));
        let unlimited = KeySet::stored(&[stored("a", 0)], Some(&next));
        assert!(unlimited.find("a").unwrap().rate.is_none());
    }

    #[test]
    fn a_key_that_cannot_be_read_admits_nobody_and_leaves_the_others_in_use() {
        let kind = StoredKey { kind: "reader".to_owned(), ..stored("a", 1) };
        let origin = StoredKey { origins: vec!["shop".to_owned()], ..stored("b", 1) };
        let hash = StoredKey { sha256: sha256_hex("c").to_uppercase(), ..stored("c", 1) };
        let keys = KeySet::stored(&[kind, origin, hash, stored("d", 1)], None);
        assert!(["a", "b", "c"].iter().all(|text| keys.find(text).is_none()));
        assert_eq!(keys.find("d").unwrap().origins.len(), 1);
        assert_eq!(keys.keys().count(), 1);
        assert!(KeySet::stored(&[], Some(&keys)).is_empty());
    }
}
