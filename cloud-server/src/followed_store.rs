//! The object store of `--release` and its copy on the disk.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tandem_release_store::{LocalCopy, ReleaseStore, ReleaseStoreError, Start, StoreUrl};

use crate::priority::in_background;

/// An object store, its copy on the disk, and whether it answers.
#[derive(Debug)]
pub(crate) struct FollowedStore {
    pub(crate) copy: LocalCopy,
    answers: AtomicBool,
}

impl FollowedStore {
    /// Downloads the release in use into the folder of the copy. If the store does not answer, waits
    /// for it as long as `patience`, unless the folder has a release to start with.
    ///
    /// # Errors
    /// If there is no release to start with.
    pub(crate) fn open(
        url: &StoreUrl,
        folder: &Path,
        patience: Duration,
    ) -> Result<Self, ReleaseStoreError> {
        let copy = LocalCopy::open(ReleaseStore::open(url.clone())?, folder)?;
        let seconds = patience.as_secs();
        let waiting = |error: &ReleaseStoreError| {
            tracing::warn!(%error, "waiting up to {seconds} s for the object store");
        };
        let answers = match copy.start(patience, waiting)? {
            Start::Current => true,
            Start::Earlier(error) => {
                tracing::warn!(%error, "the server starts with the release that its folder has");
                !error.is_temporary()
            }
        };
        Ok(Self { copy, answers: AtomicBool::new(answers) })
    }

    pub(crate) fn url(&self) -> &StoreUrl {
        self.copy.store().url()
    }

    /// Whether the last request was answered.
    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// Notes whether the last request was answered.
    pub(crate) fn note(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    /// Whether the store or the folder has the release. Blocks.
    pub(crate) fn has(&self, name: &str) -> Result<bool, ReleaseStoreError> {
        if self.copy.has(name) { Ok(true) } else { self.copy.store().has(name) }
    }

    /// Downloads a release unless the folder has it. Blocks.
    pub(crate) fn fetch(&self, name: &str) -> Result<(), ReleaseStoreError> {
        in_background(|| self.copy.fetch(name))
    }

    /// Makes all servers of the store use a release. Blocks.
    pub(crate) fn put_in_use(&self, name: &str) -> Result<(), ReleaseStoreError> {
        self.copy.put_in_use(name)
    }
}
