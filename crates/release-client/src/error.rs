use std::{io, path::PathBuf};

use tandem_dataset::DatasetError;

/// Why a release was not sent or put in use, or another request failed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseClientError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A folder has no release in use.
    #[error(
        "{}: expected the folder of a recommender with the file `current`, as `tandem quickstart --out` writes it; it {found}", path.display()
    )]
    NoRecommender {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        found: &'static str,
    },
    /// The dataset of the release cannot be read or copied.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder has no complete release of this name.
    #[error("{}: expected the release {name} with {missing}, found none; see `tandem quickstart --out`", folder.display())]
    Incomplete {
        /// The folder of releases.
        folder: PathBuf,
        /// Name of the release.
        name: String,
        /// What is missing.
        missing: String,
    },
    /// The name is not that of a release.
    #[error(
        "`{name}` is not the name of a release: expected 16 hexadecimal digits, as `cloud-server releases list` prints them"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The address is not one of HTTP.
    #[error(
        "the address {url}: expected one such as https://rec.example.com, without user, password and query"
    )]
    Url {
        /// The address, without user, password and query.
        url: String,
    },
    /// The key cannot be a header.
    #[error(
        "the key has characters that no key has; give the text that `cloud-server keys new` has printed"
    )]
    Key,
    /// No answer.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server refused the key.
    #[error("{url} refused the key: {detail}; give an admin key in TANDEM_KEY or with --key-file")]
    KeyRefused {
        /// The address.
        url: String,
        /// What the server says.
        detail: String,
    },
    /// The server refused the release; the one in use stays.
    #[error("{url} refused the release, and the release in use stays: {detail}")]
    ReleaseRefused {
        /// The address.
        url: String,
        /// What the server says.
        detail: String,
    },
    /// The server cannot do this now, or does not have the release.
    #[error("{url} refused the request: {detail}")]
    Refused {
        /// The address.
        url: String,
        /// What the server says.
        detail: String,
    },
    /// Another answer than expected.
    #[error("{url} answered with status {status}: {detail}")]
    Answer {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// What the server says, or what was expected.
        detail: String,
    },
}

impl ReleaseClientError {
    /// Whether the options or files have to be changed.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        match self {
            Self::Dataset(error) => error.blames_input(),
            Self::Unreachable { .. } | Self::Answer { .. } => false,
            _ => true,
        }
    }
}
