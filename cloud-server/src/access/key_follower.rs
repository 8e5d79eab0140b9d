use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tandem_storage::{Storage, StorageError, StoredKey, StoredKeys};
use tokio::{select, sync::Notify, time::sleep};

use super::KeySet;

/// Tells when the keys of a database have changed.
#[derive(Debug)]
pub(crate) struct KeyFollower {
    storage: Storage,
    /// Revision of the keys that were read last.
    read: AtomicI64,
    /// The operator wants them to be read again.
    asked: Notify,
    /// Another server or a command has changed something.
    announced: Notify,
}

impl KeyFollower {
    /// Reads the keys for the first time. Blocks.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub(crate) fn start(storage: &Storage) -> Result<(Self, KeySet), StorageError> {
        let StoredKeys { revision, keys } = storage.block_on(storage.keys())?;
        let read = AtomicI64::new(revision);
        let (asked, announced) = (Notify::new(), Notify::new());
        let follower = Self { storage: storage.clone(), read, asked, announced };
        Ok((follower, KeySet::stored(&keys, None)))
    }

    /// Ends a pause: the keys are read, whether or not they seem to have changed.
    pub(crate) fn read_again(&self) {
        self.asked.notify_one();
    }

    /// Ends a pause: the keys are read if they have changed.
    pub(crate) fn announced(&self) {
        self.announced.notify_one();
    }

    /// Waits for `time`, and returns whether [`KeyFollower::read_again`] was called.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        select! {
            () = self.asked.notified() => true,
            () = self.announced.notified() => false,
            () = sleep(time) => false,
        }
    }

    /// The keys, if they have changed since they were read last, or if `always` says so. One task at a
    /// time may call it, and has to use what it returns.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub(crate) async fn changed(
        &self,
        always: bool,
    ) -> Result<Option<Vec<StoredKey>>, StorageError> {
        let is_known = async || {
            let revision = self.storage.keys_revision().await?;
            Ok::<_, StorageError>(revision == self.read.load(Ordering::Relaxed))
        };
        if !always && is_known().await? {
            return Ok(None);
        }
        let StoredKeys { revision, keys } = self.storage.keys().await?;
        self.read.store(revision, Ordering::Relaxed);
        Ok(Some(keys))
    }
}
