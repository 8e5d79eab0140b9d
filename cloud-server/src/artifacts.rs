use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use actix_web::web::Bytes;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tandem_dataset::{Catalogue, ItemIndex, files::sha256_hex};
use tandem_protocol::{Artifact, Manifest, PROTOCOL_VERSION};

/// The manifest with its parts that are of no concern to the server left as they are.
type OpaqueManifest = Manifest<Value, Value, Value>;

/// Hexadecimal digits of a release's name.
const HASH_DIGITS: usize = 16;
/// Item count and dimensions before the rows, `u32` little-endian each.
const ROWS_HEADER: usize = 8;
/// The scale before a row's values, `f32` little-endian.
const ROW_SCALE: usize = 4;

/// The folder that `tandem export` writes: releases under their hash, and `current`, a
/// text file that names the one in use.
///
/// A release never changes once written. [`ArtifactStore::current`] follows `current` on
/// disk; a new release that is damaged or of another catalogue is refused once, with a
/// warning in the log, and the old one stays.
pub struct ArtifactStore {
    root: PathBuf,
    catalogue: Arc<Catalogue>,
    current: RwLock<Arc<Release>>,
    refused: Mutex<Option<String>>,
}

impl ArtifactStore {
    /// Opens the folder and checks every file of the current release against its hash.
    pub fn open(root: &Path, catalogue: Arc<Catalogue>) -> Result<Self, ArtifactError> {
        let release = Release::load(root, &named_by_current(root)?, &catalogue)?;
        Ok(Self {
            root: root.to_owned(),
            catalogue,
            current: RwLock::new(Arc::new(release)),
            refused: Mutex::default(),
        })
    }

    /// The release that `current` names now. Reads a 16-byte file; a few megabytes when
    /// the name has changed.
    pub fn current(&self) -> Arc<Release> {
        let held = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let Ok(named) = named_by_current(&self.root) else { return held };
        if named == held.hash {
            return held;
        }
        // One loader at a time; whoever comes second finds the work done.
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let held = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        if named == held.hash || refused.as_ref() == Some(&named) {
            return held;
        }
        match Release::load(&self.root, &named, &self.catalogue) {
            Ok(release) => {
                tracing::info!(from = held.hash, to = named, "new artefacts are in use");
                let release = Arc::new(release);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::clone(&release);
                *refused = None;
                release
            }
            Err(error) => {
                tracing::warn!(%error, kept = held.hash, "new artefacts are refused");
                *refused = Some(named);
                held
            }
        }
    }

    /// Where a file of a release lies, or `None` for names that no release has: neither
    /// can reach outside the folder.
    pub(crate) fn path_of(&self, hash: &str, file: &str) -> Option<PathBuf> {
        (is_hash(hash) && is_file_name(file)).then(|| self.root.join(hash).join(file))
    }
}

impl fmt::Debug for ArtifactStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactStore").field("root", &self.root).finish_non_exhaustive()
    }
}

/// One exported model: the manifest as it lies on disk, and the item rows in memory.
pub struct Release {
    hash: String,
    manifest: Bytes,
    rows_sha256: String,
    rows: Vec<u8>,
    row_bytes: usize,
}

impl Release {
    /// Name of the release: the first 16 hexadecimal digits of the SHA-256 of its manifest.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// `manifest.json`, byte for byte.
    #[must_use]
    pub fn manifest(&self) -> Bytes {
        self.manifest.clone()
    }

    /// SHA-256 of the file of rows, as in the manifest.
    #[must_use]
    pub fn rows_hash(&self) -> &str {
        &self.rows_sha256
    }

    /// An item's row in Base64 ([`tandem_protocol::ItemRow::row`]).
    ///
    /// # Panics
    /// If the item is beyond the catalogue the store was opened for, like a slice.
    #[must_use]
    pub fn row(&self, item: ItemIndex) -> String {
        let start = ROWS_HEADER + item.position() * self.row_bytes;
        BASE64_STANDARD.encode(&self.rows[start..start + self.row_bytes])
    }

    fn load(root: &Path, hash: &str, catalogue: &Catalogue) -> Result<Self, ArtifactError> {
        let folder = root.join(hash);
        let path = folder.join("manifest.json");
        let bytes = read(&path)?;
        let found = sha256_hex(&bytes);
        if found[..HASH_DIGITS] != *hash {
            return Err(ArtifactError::Damaged { path, expected: hash.to_owned(), found });
        }
        let manifest: OpaqueManifest = serde_json::from_slice(&bytes)
            .map_err(|source| ArtifactError::Manifest { path: path.clone(), source })?;
        if manifest.version > PROTOCOL_VERSION {
            return Err(ArtifactError::Version { path, found: manifest.version });
        }
        if manifest.catalogue.hash != catalogue.hash() {
            return Err(ArtifactError::OtherCatalogue {
                path,
                expected: catalogue.hash().to_owned(),
                found: manifest.catalogue.hash,
            });
        }
        for artifact in [&manifest.body, &manifest.items] {
            checked(&folder, artifact)?;
        }
        let rows = checked(&folder, &manifest.rows)?;
        let row_bytes = ROW_SCALE + manifest.model.dims;
        let expected = ROWS_HEADER + catalogue.len() * row_bytes;
        let header = [catalogue.len(), manifest.model.dims].map(|n| (n as u32).to_le_bytes());
        if rows.len() != expected || rows[..ROWS_HEADER] != header.concat() {
            return Err(ArtifactError::Rows {
                path: folder.join(&manifest.rows.path),
                items: catalogue.len(),
                dims: manifest.model.dims,
                bytes: rows.len(),
            });
        }
        Ok(Self {
            hash: hash.to_owned(),
            manifest: Bytes::from(bytes),
            rows_sha256: manifest.rows.sha256,
            rows,
            row_bytes,
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Why a folder of artefacts cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file is missing or cannot be read.
    #[error("cannot read the artefact {}: {source}; write the artefacts with `tandem export`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `current` does not hold the name of a release.
    #[error("{} does not name a release: expected {HASH_DIGITS} hexadecimal digits; write the artefacts with `tandem export`", path.display())]
    Current {
        /// The file `current`.
        path: PathBuf,
    },
    /// A file is not the one that was exported.
    #[error("the artefact {} is damaged: expected SHA-256 {expected}, found {found}; export it again with `tandem export`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The hash that names it, or its first digits.
        expected: String,
        /// The hash it has.
        found: String,
    },
    /// The manifest is not of the known shape.
    #[error("{} is not a manifest: {source}; export it again with `tandem export`", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The manifest names a file outside its folder.
    #[error("{} names the file `{name}`: expected a plain file name; export it again with `tandem export`", folder.display())]
    Name {
        /// The release's folder.
        folder: PathBuf,
        /// The name in the manifest.
        name: String,
    },
    /// The manifest was written by a newer program.
    #[error("{} is of version {found}, and this server reads up to {PROTOCOL_VERSION}; update the server", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The model was trained on another catalogue than the dataset's.
    #[error("{} is of another catalogue than the dataset: expected hash {expected}, found {found}; train and export on this dataset", path.display())]
    OtherCatalogue {
        /// The manifest.
        path: PathBuf,
        /// The dataset's catalogue.
        expected: String,
        /// The manifest's catalogue.
        found: String,
    },
    /// The file of rows does not have one row an item.
    #[error("the item rows {} do not fit the catalogue: expected {items} rows of {dims} dimensions, found {bytes} bytes; export them again with `tandem export`", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Items of the catalogue.
        items: usize,
        /// Dimensions of the model.
        dims: usize,
        /// Size of the file.
        bytes: usize,
    },
}

fn named_by_current(root: &Path) -> Result<String, ArtifactError> {
    let path = root.join("current");
    let text = read(&path)?;
    let name = String::from_utf8_lossy(&text).trim().to_owned();
    if is_hash(&name) { Ok(name) } else { Err(ArtifactError::Current { path }) }
}

/// The bytes of a file that the manifest names, if they are the ones that were exported.
fn checked(folder: &Path, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
    if !is_file_name(&artifact.path) {
        return Err(ArtifactError::Name { folder: folder.to_owned(), name: artifact.path.clone() });
    }
    let path = folder.join(&artifact.path);
    let bytes = read(&path)?;
    let found = sha256_hex(&bytes);
    if found == artifact.sha256 {
        Ok(bytes)
    } else {
        Err(ArtifactError::Damaged { path, expected: artifact.sha256.clone(), found })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ArtifactError> {
    fs::read(path).map_err(|source| ArtifactError::Unreadable { path: path.to_owned(), source })
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["body.safetensors", "items.json", "rows-64_v1.bin"] {
            assert!(is_file_name(name), "{name} was refused");
        }
        for name in ["", ".", "..", ".env", "a/b", "../a", "a\\b", "a\0", "ä"] {
            assert!(!is_file_name(name), "{name:?} was accepted");
        }
        assert!(is_hash("0123456789abcdef"));
        for name in ["0123456789abcde", "0123456789ABCDEF", "../0123456789abc", "current"] {
            assert!(!is_hash(name), "{name} was accepted");
        }
    }
}
