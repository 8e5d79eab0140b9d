use std::ops::Range;

use crate::{ReleaseStore, ReleaseStoreError, StoreUrl};

/// One object of a store, such as a file of a log, that is read in pieces.
#[derive(Debug)]
pub struct StoredObject {
    store: ReleaseStore,
    size: u64,
}

impl StoredObject {
    /// Finds the object at an address.
    ///
    /// # Errors
    /// If the store does not answer or refuses, or has no such object.
    pub fn open(url: StoreUrl) -> Result<Self, ReleaseStoreError> {
        let store = ReleaseStore::open(url)?;
        let size = store.size("")?;
        Ok(Self { store, size })
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of a range, which must be within the object.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ReleaseStoreError> {
        self.store.range("", range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.csv"), "user,item").unwrap();
        let url = |name| format!("file://{}/{name}", folder.path().display()).parse().unwrap();
        let object = StoredObject::open(url("log.csv")).unwrap();
        assert_eq!(object.size(), 9);
        assert_eq!(object.read(5..9).unwrap(), b"item");
        let error = StoredObject::open(url("none.csv")).unwrap_err();
        assert!(matches!(error, ReleaseStoreError::Missing { .. }), "{error}");
    }
}
