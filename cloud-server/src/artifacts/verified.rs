use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use actix_files::NamedFile;
use tandem_dataset::files::Sha256Hex;

use crate::files::open_file;

/// Maximum number of files whose state is remembered.
const MAX_FILES: usize = 10_000;
const BLOCK: usize = 64 << 10;

/// Files are sent with a cache time of a year, so their content is verified before. A file that
/// was verified is hashed again only if its size or its time has changed.
#[derive(Debug, Default)]
pub(super) struct VerifiedFiles(Mutex<HashMap<PathBuf, (State, String)>>);

/// What tells whether a file was written since it was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
    inode: u64,
}

/// Why a file of a release cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The file was changed after the export.
    #[error("{} was changed: expected SHA-256 {expected}, found {found}", path.display())]
    Changed { path: PathBuf, expected: String, found: String },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl VerifiedFiles {
    /// Opens a file whose content has the SHA-256 `expected`; `None` if it does not exist.
    pub(super) fn open(&self, path: &Path, expected: &str) -> Result<Option<NamedFile>, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let Some(opened) = open_file(path).map_err(failed)? else { return Ok(None) };
        // The state and the content are those of the open file, even if it is replaced now.
        let state = State::of(opened.metadata());
        let known = self.lock().get(path).filter(|(known, _)| *known == state).cloned();
        let found = if let Some((_, sha256)) = known {
            sha256
        } else {
            let sha256 = sha256_of(opened.file()).map_err(failed)?;
            let mut files = self.lock();
            if files.len() >= MAX_FILES {
                files.clear();
            }
            files.insert(path.to_owned(), (state, sha256.clone()));
            sha256
        };
        if found == expected {
            return Ok(Some(opened));
        }
        Err(OpenError::Changed { path: path.to_owned(), expected: expected.to_owned(), found })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (State, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt;
            ((metadata.ctime(), metadata.ctime_nsec()), metadata.ino())
        };
        #[cfg(not(unix))]
        let (changed, inode) = ((0, 0), 0);
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), changed, inode }
    }
}

/// Hashes a file without moving its position.
fn sha256_of(file: &File) -> io::Result<String> {
    let mut hash = Sha256Hex::default();
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        let read = read_at(file, &mut block, offset)?;
        if read == 0 {
            return Ok(hash.finish());
        }
        hash.update(&block[..read]);
        offset += read as u64;
    }
}

#[cfg(unix)]
fn read_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, block, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::io::{Read, Seek};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(block)
}
