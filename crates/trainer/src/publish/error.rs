use std::{io, path::PathBuf};

/// Why a release was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The folder has no complete release of this name.
    #[error("{}: expected the release {name} with {missing}, found none; see `tandem quickstart --out`", folder.display())]
    Incomplete { folder: PathBuf, name: String, missing: String },
    /// The address is not one of HTTP.
    #[error("--to {url}: expected an address such as https://rec.example.com")]
    Url { url: String },
    /// The key cannot be a header.
    #[error(
        "the key has characters that no key has; give the text that `cloud-server keys new` has printed"
    )]
    Key,
    /// No answer.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server refused the key.
    #[error("{url} refused the key: {detail}; give an admin key in TANDEM_KEY or with --key-file")]
    KeyRefused { url: String, detail: String },
    /// The server refused the release; the one in use stays.
    #[error("{url} refused the release, and the release in use stays: {detail}")]
    ReleaseRefused { url: String, detail: String },
    /// Another answer than expected.
    #[error("{url} answered with status {status}: {detail}")]
    Answer { url: String, status: u16, detail: String },
}

impl PublishError {
    /// Whether the options or files have to be changed.
    pub(crate) fn blames_input(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Answer { .. })
    }
}
