use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Drafts on the disk, files and folders alike. Only the holder of the lock may create or rename
/// files; the interrupt handler takes it and never gives it back.
static DRAFTS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Exit status after `SIGINT`, by the shells' convention: 128 + 2.
const INTERRUPTED: i32 = 130;

/// From now on `SIGINT` (Ctrl-C), `SIGTERM` and `SIGHUP` delete all drafts and end the
/// process with status 130. Call it once, at the start of `main`.
///
/// # Errors
/// If a handler is installed already, or the system refuses one.
pub fn clean_up_on_interrupt() -> io::Result<()> {
    ctrlc::set_handler(|| {
        // Held until the process has ended: no draft is created or renamed meanwhile.
        let drafts = drafts();
        drafts.iter().for_each(|path| remove(path));
        process::exit(INTERRUPTED);
    })
    .map_err(io::Error::other)
}

/// The drafts, locked.
pub(super) fn drafts() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // The set is complete after every operation, so a panic elsewhere leaves it valid.
    DRAFTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deletes a draft if it is there. A failure is not reported: nobody is there to act on it,
/// and a hidden leftover does no harm.
pub(super) fn remove(path: &Path) {
    if path.is_dir() {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}
