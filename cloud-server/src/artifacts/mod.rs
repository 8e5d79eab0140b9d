//! The artefact folder that `tandem export` writes.

mod error;
mod names;
mod release;
mod verified;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError},
    time::{Duration, Instant},
};

use actix_files::NamedFile;
use actix_web::http::header::ContentEncoding;
use tandem_dataset::Catalogue;

pub use error::ArtifactError;
pub(crate) use names::{is_release, is_sha256};
pub use release::Release;
pub(crate) use verified::OpenError;

use names::is_file_name;
use release::{hashes_of_files, read};
use verified::VerifiedFiles;

/// Time until a refused release is tried again. It doubles up to [`MAX_RETRY_INTERVAL`], because
/// an attempt reads and hashes every file of the release.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_INTERVAL: Duration = Duration::from_mins(1);
/// Number of releases in memory beside the current one, for devices that hold their weights.
const MAX_OLDER: usize = 3;
/// Number of releases whose lists of files are remembered.
const MAX_INDEXES: usize = 100;

/// The artefact folder that `tandem export` writes: one subfolder per release, named by its
/// hash, and the text file `current`, which names the release in use.
///
/// A release never changes after it was written. [`ArtifactStore::refresh`] follows the file
/// `current`. A new release that is incomplete, damaged or of another catalogue is refused
/// with a warning, the previous release stays in use, and the new one is tried again later:
/// a copy program may write `current` before the files of the release.
pub struct ArtifactStore {
    root: PathBuf,
    /// The file that names the release in use.
    pointer: PathBuf,
    catalogue: Arc<Catalogue>,
    current: RwLock<Arc<Release>>,
    /// Other releases, the one used last at the front.
    older: Mutex<VecDeque<Arc<Release>>>,
    /// Held while a release that is not current is read from the disk: one at a time.
    loading: Mutex<()>,
    refused: Mutex<Refused>,
    /// SHA-256 of the files of releases, by release and file name.
    hashes: Mutex<HashMap<String, Arc<HashMap<String, String>>>>,
    verified: VerifiedFiles,
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
    /// Number of refusals since the start.
    count: u64,
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
            older: Mutex::default(),
            loading: Mutex::default(),
            refused: Mutex::default(),
            hashes: Mutex::default(),
            verified: VerifiedFiles::default(),
        })
    }

    /// The release in use. Does not read the disk; see [`ArtifactStore::refresh`].
    pub fn current(&self) -> Arc<Release> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses the release that the file `current` names, and returns it. Blocks: it reads a file
    /// of 16 bytes, and a few megabytes after the name has changed.
    pub fn refresh(&self) -> Arc<Release> {
        let active = self.current();
        let name = match read_current(&self.pointer) {
            Ok(name) if name == active.hash() => return active,
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
        let active = self.current();
        if name == active.hash() {
            return active;
        }
        let recent = refused.last_attempt.is_some_and(|attempt| attempt.elapsed() < refused.wait);
        if refused.name == name && recent {
            return active;
        }
        match Release::load(&self.root, &name, &self.catalogue) {
            Ok(release) => {
                tracing::info!(from = active.hash(), to = name, "switched to new artefacts");
                let release = Arc::new(release);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::clone(&release);
                self.keep(active);
                *refused = Refused { count: refused.count, ..Refused::default() };
                release
            }
            Err(error) => {
                refused.warn(&error, &active);
                refused.count += 1;
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

    /// The release of this name, if it is in memory.
    pub(crate) fn held(&self, name: &str) -> Option<Arc<Release>> {
        let current = self.current();
        if current.hash() == name {
            return Some(current);
        }
        let older = self.lock_older();
        older.iter().find(|release| release.hash() == name).cloned()
    }

    /// The release of this name, from memory or from the disk. Blocks.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be used.
    pub(crate) fn release(&self, name: &str) -> Result<Arc<Release>, ArtifactError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(release) = self.held(name) {
            return Ok(release);
        }
        let release = Arc::new(Release::load(&self.root, name, &self.catalogue)?);
        self.keep(Arc::clone(&release));
        Ok(release)
    }

    /// Number of attempts to use a new release that failed.
    pub(crate) fn refusals(&self) -> u64 {
        self.lock_refused().count
    }

    /// Opens a file of any release on the disk; `None` if there is none of this name. With
    /// `brotli`, opens its compressed copy if there is one. Blocks.
    ///
    /// # Errors
    /// If the content is not that of the release, or cannot be read.
    pub(crate) fn open_file(
        &self,
        release: &str,
        file: &str,
        brotli: bool,
    ) -> Result<Option<NamedFile>, OpenError> {
        // Names are checked first, so that no path leaves the folder.
        if !is_release(release) || !is_file_name(file) {
            return Ok(None);
        }
        let Ok(hashes) = self.hashes(release) else { return Ok(None) };
        let Some(expected) = hashes.get(file) else { return Ok(None) };
        let path = self.root.join(release).join(file);
        let Some(plain) = self.verified.open(&path, expected)? else { return Ok(None) };
        let copy = if brotli { self.open_copy(&path, expected, &plain) } else { None };
        Ok(Some(copy.unwrap_or(plain)))
    }

    /// Opens the Brotli copy of the file `plain`. One that is damaged is as good as none.
    fn open_copy(&self, path: &Path, expected: &str, plain: &NamedFile) -> Option<NamedFile> {
        let mut name = path.as_os_str().to_owned();
        name.push(".br");
        let opened = self.verified.open_brotli(Path::new(&name), expected, plain.metadata().len());
        let copy = opened.unwrap_or_else(|error| {
            tracing::warn!(%error, "a compressed copy of an artefact is not used");
            None
        })?;
        let kind = plain.content_type().clone();
        Some(copy.set_content_type(kind).set_content_encoding(ContentEncoding::Brotli))
    }

    /// Opens a cell of any release on the disk, as [`ArtifactStore::open_file`].
    ///
    /// # Errors
    /// If the content does not have the hash that is the cell's name, or cannot be read.
    pub(crate) fn open_cell(
        &self,
        release: &str,
        cell: &str,
    ) -> Result<Option<NamedFile>, OpenError> {
        if !is_release(release) || !is_sha256(cell) {
            return Ok(None);
        }
        let path = self.root.join(release).join("cells").join(cell);
        self.verified.open(&path, cell)
    }

    /// SHA-256 of the files of a release, by name. Blocks.
    fn hashes(&self, release: &str) -> Result<Arc<HashMap<String, String>>, ArtifactError> {
        let lock = || self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(release) {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(hashes_of_files(&self.root, release)?);
        let mut known = lock();
        if known.len() >= MAX_INDEXES {
            known.clear();
        }
        known.insert(release.to_owned(), Arc::clone(&read));
        Ok(read)
    }

    fn keep(&self, release: Arc<Release>) {
        let mut older = self.lock_older();
        older.retain(|kept| kept.hash() != release.hash());
        older.push_front(release);
        older.truncate(MAX_OLDER);
    }

    fn lock_older(&self) -> MutexGuard<'_, VecDeque<Arc<Release>>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refused {
    /// Logs an error unless it was the last one logged.
    fn warn(&mut self, error: &ArtifactError, active: &Release) {
        let warning = error.to_string();
        if self.warning != warning {
            tracing::warn!(%error, in_use = active.hash(), "refused new artefacts");
            self.warning = warning;
        }
    }
}

impl fmt::Debug for ArtifactStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactStore").field("root", &self.root).finish_non_exhaustive()
    }
}

/// The name of a release in the file `pointer`.
pub(crate) fn read_current(pointer: &Path) -> Result<String, ArtifactError> {
    let text = read(pointer)?;
    let name = String::from_utf8_lossy(&text).trim().to_owned();
    if is_release(&name) {
        Ok(name)
    } else {
        Err(ArtifactError::Current { path: pointer.to_owned() })
    }
}
