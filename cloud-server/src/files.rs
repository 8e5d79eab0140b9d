//! Files are opened on the thread pool, within a time limit: a file system that does not answer
//! must not stop the HTTP threads.

use std::{fs, io, path::Path, time::Duration};

use actix_files::NamedFile;
use actix_web::web;

use crate::error::ApiError;

/// Maximum time of an operation on the file system before the request gets 503.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `task`, which may wait for the file system, on the thread pool.
///
/// # Errors
/// [`ApiError::StorageTimeout`] if it takes too long; it then runs on, without its request.
pub(crate) async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::time::timeout(PATIENCE, web::block(task)).await {
        Ok(done) => done.map_err(|_| ApiError::Internal),
        Err(_) => Err(ApiError::StorageTimeout),
    }
}

/// Refuses what is not a regular file: opening a named pipe waits for another process.
///
/// # Errors
/// If the file does not exist, or is of another kind.
pub(crate) fn check_regular(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let found = if kind.is_dir() { "a folder" } else { "a pipe, socket or device" };
    let reason = format!("expected a regular file, found {found}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// Opens a file; `None` if there is no such file, or it is a folder.
pub(crate) fn open_file(path: &Path) -> io::Result<Option<NamedFile>> {
    match NamedFile::open(path) {
        Ok(file) if file.metadata().is_file() => Ok(Some(file.disable_content_disposition())),
        Ok(_) => Ok(None),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidFilename => Ok(None),
            _ => Err(error),
        },
    }
}
