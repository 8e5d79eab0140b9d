use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, TryLockError},
    time::{Duration, Instant},
};

use actix_web::web::Bytes;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tandem_dataset::{Catalogue, ItemIndex, files::sha256_hex};
use tandem_protocol::{Artifact, Manifest, PROTOCOL_VERSION};

/// The manifest. The server does not interpret fusion, policy and learning.
type ServerManifest = Manifest<Value, Value, Value>;

/// Hexadecimal digits of a release's name.
const RELEASE_DIGITS: usize = 16;
/// Hexadecimal digits of a cell's name, its SHA-256.
const CELL_DIGITS: usize = 64;
/// Bytes before the item rows: item count and dimensions, `u32` little-endian each.
const ROWS_HEADER: usize = 8;
/// Bytes of the scale before the values of a row, `f32` little-endian.
const ROW_SCALE: usize = 4;
/// Time until a refused release is tried again. It doubles up to [`MAX_RETRY_INTERVAL`], because
/// an attempt reads and hashes every file of the release.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// The artefact folder that `tandem export` writes: one subfolder per release, named by its
/// hash, and the text file `current`, which names the release in use.
///
/// A release never changes after it was written. [`ArtifactStore::current`] follows the file
/// `current`. A new release that is incomplete, damaged or of another catalogue is refused
/// with a warning, the previous release stays in use, and the new one is tried again later:
/// a copy program may write `current` before the files of the release.
pub struct ArtifactStore {
    root: PathBuf,
    /// The file that names the release in use.
    pointer: PathBuf,
    catalogue: Arc<Catalogue>,
    current: RwLock<Arc<Release>>,
    refused: Mutex<Refused>,
}

/// The last refused release.
#[derive(Default)]
struct Refused {
    name: String,
    last_attempt: Option<Instant>,
    /// Time between the last attempt and the next one.
    wait: Duration,
    /// The last warning in the log, so that it is not repeated.
    warning: String,
}

impl ArtifactStore {
    /// Opens the folder and verifies every file of the current release.
    ///
    /// # Errors
    /// If `current` or a file of the release is missing, damaged or of another catalogue.
    pub fn open(root: &Path, catalogue: Arc<Catalogue>) -> Result<Self, ArtifactError> {
        Self::open_named_by(&root.join("current"), root, catalogue)
    }

    /// As [`ArtifactStore::open`], with the release that the file `pointer` names.
    ///
    /// # Errors
    /// As [`ArtifactStore::open`].
    pub fn open_named_by(
        pointer: &Path,
        root: &Path,
        catalogue: Arc<Catalogue>,
    ) -> Result<Self, ArtifactError> {
        let release = Release::load(root, &read_current(pointer)?, &catalogue)?;
        Ok(Self {
            root: root.to_owned(),
            pointer: pointer.to_owned(),
            catalogue,
            current: RwLock::new(Arc::new(release)),
            refused: Mutex::default(),
        })
    }

    /// The release that the file `current` names. Reads a file of 16 bytes, and a few
    /// megabytes after the name has changed.
    pub fn current(&self) -> Arc<Release> {
        let active = self.active();
        let name = match read_current(&self.pointer) {
            Ok(name) if name == active.hash => return active,
            Ok(name) => name,
            Err(error) => {
                self.lock_refused().warn(&error, &active);
                return active;
            }
        };
        // One thread loads at a time; the others answer with the release in use.
        let mut refused = match self.refused.try_lock() {
            Ok(refused) => refused,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return active,
        };
        let active = self.active();
        if name == active.hash {
            return active;
        }
        let recent = refused.last_attempt.is_some_and(|attempt| attempt.elapsed() < refused.wait);
        if refused.name == name && recent {
            return active;
        }
        match Release::load(&self.root, &name, &self.catalogue) {
            Ok(release) => {
                tracing::info!(from = active.hash, to = name, "switched to new artefacts");
                let release = Arc::new(release);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::clone(&release);
                *refused = Refused::default();
                release
            }
            Err(error) => {
                refused.warn(&error, &active);
                refused.wait = if refused.name == name {
                    (refused.wait * 2).min(MAX_RETRY_INTERVAL)
                } else {
                    RETRY_INTERVAL
                };
                refused.name = name;
                refused.last_attempt = Some(Instant::now());
                active
            }
        }
    }

    fn active(&self) -> Arc<Release> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_refused(&self) -> std::sync::MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Path of a file of a release; `None` for invalid names, so that no path leaves the
    /// folder.
    pub(crate) fn file_path(&self, release: &str, file: &str) -> Option<PathBuf> {
        (is_hash(release, RELEASE_DIGITS) && is_file_name(file))
            .then(|| self.root.join(release).join(file))
    }

    /// Path of a cell of a release; `None` for invalid names, as in
    /// [`ArtifactStore::file_path`].
    pub(crate) fn cell_path(&self, release: &str, cell: &str) -> Option<PathBuf> {
        (is_hash(release, RELEASE_DIGITS) && is_hash(cell, CELL_DIGITS))
            .then(|| self.root.join(release).join("cells").join(cell))
    }
}

impl Refused {
    /// Logs an error unless it was the last one logged.
    fn warn(&mut self, error: &ArtifactError, active: &Release) {
        let warning = error.to_string();
        if self.warning != warning {
            tracing::warn!(%error, in_use = active.hash, "refused new artefacts");
            self.warning = warning;
        }
    }
}

impl fmt::Debug for ArtifactStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactStore").field("root", &self.root).finish_non_exhaustive()
    }
}

/// One exported release: the manifest as bytes, and the item rows in memory.
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

    /// The bytes of `manifest.json`.
    #[must_use]
    pub fn manifest(&self) -> Bytes {
        self.manifest.clone()
    }

    /// SHA-256 of the item rows file, as in the manifest.
    #[must_use]
    pub fn rows_hash(&self) -> &str {
        &self.rows_sha256
    }

    /// The row of an item in Base64 ([`tandem_protocol::ItemRow::row`]).
    ///
    /// # Panics
    /// If the item is not in the catalogue of the store.
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
        if found[..RELEASE_DIGITS] != *hash {
            return Err(ArtifactError::Damaged { path, expected: hash.to_owned(), found });
        }
        let manifest: ServerManifest = serde_json::from_slice(&bytes)
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
        let cell_index = manifest.search.as_ref().and_then(|search| search.cells.as_ref());
        for artifact in [&manifest.body, &manifest.items].into_iter().chain(cell_index) {
            read_verified(&folder, artifact)?;
        }
        let rows = read_verified(&folder, &manifest.rows)?;
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

/// Why an artefact folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file is missing or cannot be read.
    #[error("cannot read the artefact {}: {source}; write the artefacts with `tandem export`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file `current` does not contain the name of a release.
    #[error("{} does not name a release: expected {RELEASE_DIGITS} hexadecimal digits; write the artefacts with `tandem export`", path.display())]
    Current {
        /// The file `current`.
        path: PathBuf,
    },
    /// The content of a file is not what was exported.
    #[error("the artefact {} is damaged: expected SHA-256 {expected}, found {found}; export it again with `tandem export`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The expected hash, or its first digits.
        expected: String,
        /// The hash of the content.
        found: String,
    },
    /// The manifest is not JSON of the expected shape.
    #[error("{} is not a manifest: {source}; export it again with `tandem export`", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        source: serde_json::Error,
    },
    /// The manifest names a file outside its folder.
    #[error("{} names the file `{name}`: expected a plain file name; export it again with `tandem export`", folder.display())]
    Name {
        /// The folder of the release.
        folder: PathBuf,
        /// The name in the manifest.
        name: String,
    },
    /// The manifest was written by a newer program.
    #[error("{} has version {found}, but this server reads versions up to {PROTOCOL_VERSION}; update the server", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The model was trained on another catalogue than that of the dataset.
    #[error("{} belongs to another catalogue than the dataset: expected hash {expected}, found {found}; train and export on this dataset", path.display())]
    OtherCatalogue {
        /// The manifest.
        path: PathBuf,
        /// The hash of the dataset's catalogue.
        expected: String,
        /// The hash in the manifest.
        found: String,
    },
    /// The rows file does not have one row per item.
    #[error("the item rows {} do not match the catalogue: expected {items} rows of {dims} dimensions, found {bytes} bytes; export them again with `tandem export`", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Number of items in the catalogue.
        items: usize,
        /// Dimensions of the model.
        dims: usize,
        /// Size of the file in bytes.
        bytes: usize,
    },
}

/// The name of a release in the file `pointer`.
pub(crate) fn read_current(pointer: &Path) -> Result<String, ArtifactError> {
    let text = read(pointer)?;
    let name = String::from_utf8_lossy(&text).trim().to_owned();
    if is_hash(&name, RELEASE_DIGITS) {
        Ok(name)
    } else {
        Err(ArtifactError::Current { path: pointer.to_owned() })
    }
}

/// Reads a file that the manifest names and verifies its hash.
fn read_verified(folder: &Path, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
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

fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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
    fn only_plain_file_names_and_hashes_are_valid() {
        for name in ["body.safetensors", "items.json", "rows-64_v1.bin"] {
            assert!(is_file_name(name), "{name} was refused");
        }
        for name in ["", ".", "..", ".env", "a/b", "../a", "a\\b", "a\0", "ä"] {
            assert!(!is_file_name(name), "{name:?} was accepted");
        }
        assert!(is_hash("0123456789abcdef", RELEASE_DIGITS));
        for name in ["0123456789abcde", "0123456789ABCDEF", "../0123456789abc", "current"] {
            assert!(!is_hash(name, RELEASE_DIGITS), "{name} was accepted");
        }
    }
}
