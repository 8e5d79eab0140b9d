use std::{
    collections::HashMap,
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tandem_dataset::files::sha256_hex;

use super::rates::KeyRate;
use crate::{
    artifacts::is_sha256,
    files::check_regular,
    origin::{Origin, OriginError},
};

/// Live keys of one name: the old one and its successor.
const MAX_LIVE: usize = 2;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Candidates, rows, artefacts and events; may be part of a web page.
    Public,
    /// Everything; for the operator's own programs.
    Admin,
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
    pub(super) rate: Option<KeyRate>,
}

/// The keys of a file. Only their hashes are known.
#[derive(Debug, Default)]
pub struct KeyFile {
    by_sha256: HashMap<String, Arc<Key>>,
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

impl KeyFile {
    /// Reads a file that `cloud-server keys new` wrote.
    ///
    /// # Errors
    /// If it cannot be read or has another shape.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::of(&Entries::read(path)?, path)
    }

    fn of(entries: &Entries, path: &Path) -> Result<Self, KeyFileError> {
        let invalid = |reason: String| KeyFileError::Invalid { path: path.to_owned(), reason };
        let mut by_sha256 = HashMap::new();
        for entry in &entries.keys {
            if !is_sha256(&entry.sha256) {
                let reason = "expected `sha256` of 64 hexadecimal digits";
                return Err(invalid(format!("key {}: {reason}", entry.id)));
            }
            let origins: Result<_, OriginError> =
                entry.origins.iter().map(|origin| origin.parse()).collect();
            let origins = origins.map_err(|error| invalid(format!("key {}: {error}", entry.id)))?;
            let rate = entry.requests_per_minute.map(KeyRate::new);
            let Entry { id, name, kind, created, .. } = entry.clone();
            let key = Arc::new(Key { id, name, kind, origins, created, rate });
            if by_sha256.insert(entry.sha256.clone(), key).is_some() {
                return Err(invalid(format!("key {} occurs twice", entry.id)));
            }
        }
        if by_sha256.is_empty() {
            return Err(invalid(
                "it has no keys; make one with `cloud-server keys new`".to_owned(),
            ));
        }
        Ok(Self { by_sha256 })
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

    /// Adds a key, unless its name has two already.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), Vec<String>> {
        let same = |other: &&Entry| other.name == entry.name && other.kind == entry.kind;
        let live: Vec<_> = self.keys.iter().filter(same).map(|entry| entry.id.clone()).collect();
        if live.len() >= MAX_LIVE {
            return Err(live);
        }
        self.keys.push(entry);
        Ok(())
    }
}
