//! Removal of a user from files: event logs and dataset folders.

use std::path::Path;

use anyhow::{Context, Result};
use tandem_dataset::{Dataset, event_log};

use crate::failure::BadInput;

/// Removes a user from a server's event log, which is its folder or a file that was moved out of
/// it, and returns the number of removed events.
///
/// # Errors
/// [`BadInput`] for another file; else if a file cannot be read or written.
pub(crate) fn remove_from_log(path: &Path, name: &str) -> Result<u64> {
    let cannot = || format!("cannot remove events from {}", path.display());
    if path.is_dir() {
        // The server may be running.
        let _lock = event_log::lock(path).with_context(cannot)?;
        let mut removed = 0;
        for file in event_log::files(path).with_context(cannot)? {
            removed += event_log::remove_user(&file, name).with_context(cannot)?;
        }
        return Ok(removed);
    }
    let is_log = event_log::is_event_log(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    if !is_log {
        let text = format!(
            "{}: expected the event log of a server, found another file; remove the rows of the user with the program that wrote it",
            path.display()
        );
        return Err(BadInput(text).into());
    }
    event_log::remove_user(path, name).with_context(cannot)
}

/// Removes a user from a dataset folder, and returns whether it was there. The catalogue stays as
/// it is.
///
/// # Errors
/// If the folder cannot be read or written.
pub(crate) fn remove_from_dataset(folder: &Path, name: &str) -> Result<bool> {
    let mut dataset = Dataset::load(folder)?;
    let users = dataset.sequences.len();
    dataset.sequences.retain(|sequence| sequence.user != name);
    let found = dataset.sequences.len() < users;
    if found {
        dataset.save(folder)?;
    }
    Ok(found)
}
