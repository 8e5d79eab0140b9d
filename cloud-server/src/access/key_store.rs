//! Changes of a key file, one after the other.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tandem_dataset::files::FileDraft;
use tandem_storage::{LocationError, StorageError};

use super::{KeyFileError, key_file::Entries};

/// Why a command on keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The folder of the file does not exist.
    #[error(
        "cannot write {}: there is no folder {}; create it or correct --file",
        path.display(), folder.display()
    )]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The name has two keys.
    #[error(
        "`{name}` has two keys, {}; revoke one with `cloud-server keys revoke`", ids.join(" and ")
    )]
    TooMany {
        /// The name.
        name: String,
        /// The ids of its keys.
        ids: Vec<String>,
    },
    /// A name would have more than two keys.
    #[error(
        "no key was copied: a name can have two keys of a kind, and `{name}` would have one more than {}; revoke one with `cloud-server keys revoke`, in the file or in the database", ids.join(" and ")
    )]
    TooManyToCopy {
        /// The name.
        name: String,
        /// The ids of its first two keys.
        ids: Vec<String>,
    },
    /// Another key has its id or its hash.
    #[error(
        "no key was copied: another key has the id or the hash of `{id}`; make a new key with `cloud-server keys new` instead"
    )]
    Taken {
        /// The id of the key that cannot be copied.
        id: String,
    },
    /// There is no key of this id.
    #[error("there is no key `{id}`; list the keys with `cloud-server keys list`")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The command does not say where the keys are.
    #[error(
        "expected --file or --storage, found neither; give the file of the keys, or the database of the servers (also in the variable TANDEM_STORAGE)"
    )]
    NoPlace,
    /// The command does not say which database it is for.
    #[error(
        "expected --storage, found none; give the database of the servers (also in the variable TANDEM_STORAGE)"
    )]
    NoStorage,
    /// The variable `TANDEM_STORAGE` names no database. The message does not repeat it.
    #[error("cannot use the variable TANDEM_STORAGE: {0}")]
    Variable(LocationError),
    /// There is no database to read.
    #[error("there is no file {}; give the database of the servers with --storage", path.display())]
    NoDatabase {
        /// The file of SQLite.
        path: PathBuf,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The operating system gave no random bytes.
    #[error("cannot make a key: {0}")]
    Random(#[from] getrandom::Error),
}

/// Whether a file that does not exist is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

/// Reads a key file, changes its entries and replaces it. Another process that does the same waits
/// meanwhile. A symbolic link stays one, and the file keeps its mode, and its owner where the
/// system permits it.
pub(super) fn change<T>(
    path: &Path,
    missing: Missing,
    change: impl FnOnce(&mut Entries) -> Result<T, KeysError>,
) -> Result<T, KeysError> {
    let failed = |source| KeyFileError::Io { path: path.to_owned(), source };
    let target = target_of(path).map_err(failed)?;
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(KeysError::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
    }
    let lock = lock(folder, &target).map_err(failed)?;
    let mut entries = match Entries::read(&target) {
        Err(KeyFileError::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && missing == Missing::Create =>
        {
            Entries::default()
        }
        read => read?,
    };
    let changed = change(&mut entries)?;
    write(&target, &entries).map_err(failed)?;
    drop(lock);
    Ok(changed)
}

/// The file itself, which may not exist yet, instead of a symbolic link to it.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    /// As Linux.
    const MAX_LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            // Joining an absolute path replaces the folder.
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A lock that ends with the returned file. The key file itself is replaced, so that a lock of it
/// would not exclude a process that waits for the next one: on Unix its folder is locked, elsewhere
/// a file beside it.
fn lock(folder: &Path, target: &Path) -> io::Result<File> {
    let locked = if cfg!(unix) {
        File::open(folder)?
    } else {
        let mut name = target.as_os_str().to_owned();
        name.push(".lock");
        File::create(name)?
    };
    match locked.lock() {
        // A file system without locks.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(locked),
    }
}

/// Writes the file. It has no secrets: the keys are random, so their hashes say nothing of them.
fn write(target: &Path, entries: &Entries) -> io::Result<()> {
    let text = toml::to_string(entries).map_err(io::Error::other)?;
    let mut draft = FileDraft::new(target)?;
    draft.write_all(text.as_bytes())?;
    if let Ok(before) = fs::metadata(target) {
        keep_owner(draft.path(), &before);
        fs::set_permissions(draft.path(), before.permissions())?;
    }
    draft.publish()
}

/// Gives a draft the owner and group of the file that it replaces. Only root may do so for each.
#[cfg(unix)]
fn keep_owner(draft: &Path, before: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, chown};
    if chown(draft, Some(before.uid()), Some(before.gid())).is_err() {
        // A member of the group may keep the group.
        let _ = chown(draft, None, Some(before.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &fs::Metadata) {}
