//! The routes of a `cloud-server` for releases, as `tandem publish` and `cloud-server releases`
//! call them, and a release as it is sent.
//!
//! Everything blocks.

mod address;
mod archive;
mod client;
mod error;

use std::{env, fs, io, path::Path};

pub use address::without_credentials;
pub use archive::Archive;
pub use client::{Activated, Client, ListedRelease, Refusal, ReleaseList};
pub use error::ReleaseClientError;

/// The variable of the environment with the admin key.
const KEY: &str = "TANDEM_KEY";

/// The admin key of a file, or of the variable `TANDEM_KEY`; `None` for a server without keys.
///
/// # Errors
/// [`ReleaseClientError::File`] if the file cannot be read.
pub fn key(file: Option<&Path>) -> Result<Option<String>, ReleaseClientError> {
    match file {
        Some(file) => read_line(file).map(Some),
        None => Ok(env::var(KEY).ok().filter(|key| !key.is_empty())),
    }
}

/// The release that the file `current` of a folder of releases names.
///
/// # Errors
/// [`ReleaseClientError::NoRecommender`] if there is no such file, [`ReleaseClientError::File`] if it
/// cannot be read.
pub fn current(folder: &Path) -> Result<String, ReleaseClientError> {
    let file = folder.join("current");
    let found = match folder.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("does not exist"),
        Ok(found) if !found.is_dir() => Some("is a file"),
        Ok(_) if !file.exists() => Some("has no such file"),
        _ => None,
    };
    match found {
        Some(found) => Err(ReleaseClientError::NoRecommender { path: folder.to_owned(), found }),
        None => read_line(&file),
    }
}

/// A text of one line.
fn read_line(path: &Path) -> Result<String, ReleaseClientError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| ReleaseClientError::File { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}
