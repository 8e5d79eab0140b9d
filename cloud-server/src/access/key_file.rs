use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tandem_storage::{MAX_LIVE_KEYS, StoredKey};

use crate::{files::check_regular, origin::OriginError};

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Candidates, rows, artefacts and events; may be part of a web page.
    Public,
    /// Everything; for the operator's own programs.
    Admin,
}

impl KeyKind {
    /// Its name on the command line, in files and in databases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
        }
    }
}

/// A key as it is stored: its hash, not its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: KeyKind,
    /// SHA-256 of the key's text.
    pub(super) sha256: String,
    /// Pages that may use the key; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) origins: Vec<String>,
    /// Requests per minute of all clients together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requests_per_minute: Option<NonZeroU32>,
    /// The day on which it was made (`2026-11-27`, UTC); unknown for older keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<String>,
}

/// The content of a key file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entries {
    #[serde(default, rename = "key")]
    pub(super) keys: Vec<Entry>,
}

/// Why an entry is no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    #[error("expected `sha256` of 64 hexadecimal digits")]
    Sha256,
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error("expected the kind `public` or `admin`, found `{found}`; use a newer program")]
    Kind { found: String },
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {}: {source}; make one with `cloud-server keys new`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file has another shape.
    #[error("{} is not a key file: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
}

impl Entries {
    pub(super) fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = check_regular(path)
            .and_then(|()| fs::read_to_string(path))
            .map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| KeyFileError::Invalid {
            path: path.to_owned(),
            reason: error.to_string().replace('\n', " ").trim().to_owned(),
        })
    }

    /// Adds a key, unless its name has two of its kind already: then their ids.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), Vec<String>> {
        let same = |other: &&Entry| other.name == entry.name && other.kind == entry.kind;
        let live: Vec<_> = self.keys.iter().filter(same).map(|entry| entry.id.clone()).collect();
        if live.len() >= MAX_LIVE_KEYS {
            return Err(live);
        }
        self.keys.push(entry);
        Ok(())
    }
}

impl From<Entry> for StoredKey {
    fn from(entry: Entry) -> Self {
        let Entry { id, name, kind, sha256, origins, requests_per_minute, created } = entry;
        let kind = kind.name().to_owned();
        Self { id, name, kind, sha256, origins, requests_per_minute, created }
    }
}

impl TryFrom<&StoredKey> for Entry {
    type Error = EntryError;

    fn try_from(key: &StoredKey) -> Result<Self, EntryError> {
        let StoredKey { id, name, kind, sha256, origins, requests_per_minute, created } =
            key.clone();
        let kind = KeyKind::from_str(&kind, false).map_err(|_| EntryError::Kind { found: kind })?;
        Ok(Self { id, name, kind, sha256, origins, requests_per_minute, created })
    }
}
