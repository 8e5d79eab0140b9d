use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::{self, Read},
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
        self.open_as(path, expected, |file| sha256_of(Blocks::of(file)))
    }

    /// Opens a Brotli copy of a file of `bytes` bytes with the SHA-256 `expected`; `None` if it
    /// does not exist.
    pub(super) fn open_brotli(
        &self,
        path: &Path,
        expected: &str,
        bytes: u64,
    ) -> Result<Option<NamedFile>, OpenError> {
        self.open_as(path, expected, |file| {
            // A damaged copy may decompress to any length; one byte more is enough to notice it.
            sha256_of(brotli::Decompressor::new(Blocks::of(file), BLOCK).take(bytes + 1))
        })
    }

    fn open_as(
        &self,
        path: &Path,
        expected: &str,
        sha256_of: impl FnOnce(&File) -> io::Result<String>,
    ) -> Result<Option<NamedFile>, OpenError> {
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

/// SHA-256 of everything that `content` has.
fn sha256_of(mut content: impl Read) -> io::Result<String> {
    let mut hash = Sha256Hex::default();
    let mut block = vec![0; BLOCK];
    loop {
        let read = content.read(&mut block)?;
        if read == 0 {
            return Ok(hash.finish());
        }
        hash.update(&block[..read]);
    }
}

/// Reads a file from its start without moving its position.
struct Blocks<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> Blocks<'a> {
    fn of(file: &'a File) -> Self {
        Self { file, offset: 0 }
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, block, self.offset)?;
        self.offset += read as u64;
        Ok(read)
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
