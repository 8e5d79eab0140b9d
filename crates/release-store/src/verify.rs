//! Files of a copy that have changed since they were downloaded.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tandem_dataset::files::sha256_hex_of_file;

use crate::{
    ReleaseStoreError,
    files::{ReleaseFile, ReleaseFiles, is_name, list_of},
    store::CURRENT,
};

/// What differs between a file and its entry in the list: what was expected and found. Reads the whole
/// file: neither its size nor its time tells that a disk has changed it.
pub(crate) fn fault(path: &Path, file: &ReleaseFile) -> Option<String> {
    let unreadable = |error: io::Error| Some(format!("it cannot be read: {error}"));
    match fs::metadata(path) {
        Ok(found) if found.len() != file.bytes => {
            return Some(format!("expected {} bytes, found {}", file.bytes, found.len()));
        }
        Ok(_) => {}
        Err(error) => return unreadable(error),
    }
    match sha256_hex_of_file(path) {
        Ok(sha256) if sha256 == file.sha256 => None,
        Ok(sha256) => Some(format!("expected SHA-256 {}, found {sha256}", file.sha256)),
        Err(error) => unreadable(error),
    }
}

/// Why the list of a release in the folder of a copy cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoList {
    /// A version without such lists has downloaded the release.
    Missing,
    Damaged,
}

/// The list that is kept with a release of a copy.
pub(crate) fn kept_list(folder: &Path, name: &str) -> Result<ReleaseFiles, NoList> {
    let text = match fs::read(folder.join(list_of(name))) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoList::Missing),
        Err(_) => return Err(NoList::Damaged),
    };
    let list: ReleaseFiles = serde_json::from_slice(&text).map_err(|_| NoList::Damaged)?;
    list.check(name).map_err(|_| NoList::Damaged)?;
    Ok(list)
}

/// The release that `current` of a folder names.
pub(crate) fn current_of(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(CURRENT)).ok()?;
    Some(text.trim().to_owned()).filter(|name| is_name(name))
}

/// Verifies the release in use of a copy that another process may use. Changes nothing.
///
/// # Errors
/// [`ReleaseStoreError::DamagedInUse`] with the first file that has changed.
pub fn verify_copy(folder: &Path) -> Result<(), ReleaseStoreError> {
    let Some(name) = current_of(folder) else { return Ok(()) };
    let damaged = |path: PathBuf, found| Err(ReleaseStoreError::DamagedInUse { path, found });
    let list = match kept_list(folder, &name) {
        Ok(list) => list,
        // The server verifies it at its start.
        Err(NoList::Missing) => return Ok(()),
        Err(NoList::Damaged) => {
            let expected = "expected a list of files".to_owned();
            return damaged(folder.join(list_of(&name)), expected);
        }
    };
    let faulty = list.files.iter().find_map(|file| {
        let path = folder.join(&file.path);
        fault(&path, file).map(|found| (path, found))
    });
    faulty.map_or(Ok(()), |(path, found)| damaged(path, found))
}

/// Whether a folder is `other` or within it, also by symbolic links. Neither has to exist.
pub(crate) fn is_within(folder: &Path, other: &Path) -> bool {
    resolved(folder).starts_with(resolved(other))
}

/// The path without symbolic links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => absolute,
    }
}
