use std::{io, path::PathBuf};

use crate::StoreUrl;

/// Longest reason of a store that a message repeats, in characters.
const MAX_REASON: usize = 400;

/// Why a release was not read from or written to a store. What was in use stays in use.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseStoreError {
    /// The store does not answer, or answers with an error that may pass.
    #[error("the object store {store} does not answer: {reason}")]
    Unavailable {
        /// The store.
        store: StoreUrl,
        /// What failed.
        reason: String,
    },
    /// The store refuses, or it cannot be addressed: waiting does not help.
    #[error("cannot use the object store {store}: {reason}")]
    Refused {
        /// The store.
        store: StoreUrl,
        /// What failed and what to do.
        reason: String,
    },
    /// There is no release in use.
    #[error(
        "the object store {store} has no object `current`; upload a release with `tandem publish --to {store}`"
    )]
    NoRelease {
        /// The store.
        store: StoreUrl,
    },
    /// An object is missing: an upload has not ended, or something was deleted.
    #[error(
        "the object store {store} has no object `{object}`; upload the release again with `tandem publish`"
    )]
    Missing {
        /// The store.
        store: StoreUrl,
        /// Its path.
        object: String,
    },
    /// An object has another size or SHA-256 than the release says.
    #[error(
        "the object `{object}` of {store} is damaged: expected {expected}, found {found}; delete it and upload the release again with `tandem publish`"
    )]
    Damaged {
        /// The store.
        store: StoreUrl,
        /// Its path.
        object: String,
        /// Size or SHA-256 of the release.
        expected: String,
        /// That of the object.
        found: String,
    },
    /// `current` or a list of files has another content than expected.
    #[error("the object `{object}` of {store}: {reason}; upload the release with `tandem publish`")]
    Content {
        /// The store.
        store: StoreUrl,
        /// Its path.
        object: String,
        /// What was expected and found.
        reason: String,
    },
    /// A local file or folder.
    #[error("cannot {action} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file of the copy has changed since it was downloaded, and cannot be downloaded again.
    #[error(
        "the file {} of a release that was downloaded is damaged ({found}), and it cannot be downloaded again: {cause}", path.display()
    )]
    DamagedCopy {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        found: String,
        /// Why it cannot be downloaded.
        cause: Box<ReleaseStoreError>,
    },
    /// The same, of a folder that another process uses, which alone may write there.
    #[error(
        "the file {} of a release that was downloaded is damaged ({found}); restart the server that uses the folder, which downloads the file again", path.display()
    )]
    DamagedInUse {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        found: String,
    },
    /// The folder of the copy is that of the store, or within it.
    #[error(
        "the folder {} for the copies of releases is that of the store {store} or within it; give a folder of its own", path.display()
    )]
    OwnFolder {
        /// The store.
        store: StoreUrl,
        /// The folder of the copy.
        path: PathBuf,
    },
    /// Another process uses the folder of the copy.
    #[error(
        "another process uses the folder {}; give each server a folder of its own", path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A text is not the name of a release, or a file has a name that no release has.
    #[error("cannot upload `{name}`: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What was expected.
        reason: &'static str,
    },
    /// The program ends.
    #[error("stopped before the release was complete")]
    Stopped,
}

impl ReleaseStoreError {
    /// Whether it may succeed later without a change of options or objects.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::DamagedCopy { cause, .. } => cause.is_temporary(),
            _ => false,
        }
    }

    /// Whether options, local files or objects have to be changed.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        !self.is_temporary() && !matches!(self, Self::Stopped)
    }

    pub(crate) fn disk(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { action, path, source }
    }
}

/// The error of a store as a part of one sentence.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
    let text = words.join(" ");
    match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
