//! Whether the file of SQLite is still the one that was opened.
//!
//! SQLite writes on to a file that was removed, and everything is lost when the process ends. The
//! file is therefore looked at before each operation, and after each commit before it is
//! acknowledged.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::StorageError;

/// What tells a file from another one that has its name later.
type FileId = (u64, u64);

/// Bytes of the head of every file of SQLite.
const HEAD: u64 = 100;

/// The file of SQLite and its write-ahead log.
#[derive(Debug)]
pub(crate) struct SqliteFile {
    path: PathBuf,
    log: PathBuf,
    id: Option<FileId>,
    /// The write-ahead log of the open connections; `None` until it is looked at.
    log_id: Mutex<Option<FileId>>,
    is_reported: AtomicBool,
}

impl SqliteFile {
    /// The file of a database that is open.
    pub(crate) fn new(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self {
            path: path.to_owned(),
            log: log.into(),
            id: id_of(path),
            log_id: Mutex::default(),
            is_reported: AtomicBool::new(false),
        }
    }

    /// The writer was opened again, which may have made another write-ahead log.
    pub(crate) fn reopened(&self) {
        *self.log_id.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Fails if the file or its write-ahead log was removed or replaced.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        let checked = self.look();
        match &checked {
            Ok(()) => self.is_reported.store(false, Ordering::Relaxed),
            Err(error) if !self.is_reported.swap(true, Ordering::Relaxed) => {
                tracing::error!(%error, "the storage cannot be used");
            }
            Err(_) => {}
        }
        checked
    }

    fn look(&self) -> Result<(), StorageError> {
        let Some(id) = self.id else { return Ok(()) };
        let lost = |what: String| Err(StorageError::Lost { reason: what });
        match id_of(&self.path) {
            Some(found) if found == id => {
                // What other programs write over it is not noticed, but an empty file is.
                if std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() < HEAD) {
                    return lost(format!(
                        "the file {} was emptied; stop the server, restore a backup and start it again",
                        self.path.display()
                    ));
                }
            }
            Some(_) => {
                return lost(format!(
                    "another file has the name {} now; put the file back that the server opened, or \
                     restart the server to use the new one",
                    self.path.display()
                ));
            }
            None => {
                return lost(format!(
                    "the file {} was removed or renamed; put it back, or stop the server, restore a \
                     backup and start it again",
                    self.path.display()
                ));
            }
        }
        let found = id_of(&self.log);
        let mut log_id = self.log_id.lock().unwrap_or_else(PoisonError::into_inner);
        match *log_id {
            None => *log_id = found,
            Some(_) if *log_id == found => {}
            Some(_) => {
                return lost(format!(
                    "the write-ahead log {} was removed; restart the server, which saves what can be \
                     saved when it stops",
                    self.log.display()
                ));
            }
        }
        Ok(())
    }
}

/// `None` if there is no such file, and where files have no numbers.
#[cfg(unix)]
fn id_of(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn id_of(_: &Path) -> Option<FileId> {
    None
}
