//! Ctrl-C: at once, except while something is being written.

use std::{
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};

/// HeldOutTarget while files are written that must not stay behind half-made.
static WRITING: Mutex<()> = Mutex::new(());

/// The shells' convention for "ended by signal 2".
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C (and a polite kill) waits for [`finish_first`] and ends the process.
pub(crate) fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        let _written = hold();
        process::exit(INTERRUPTED);
    })
    .context("cannot listen for Ctrl-C")
}

/// Runs a short piece of writing and cleaning up without interruption. Not to be nested.
pub(crate) fn finish_first<T>(write: impl FnOnce() -> T) -> T {
    let _held = hold();
    write()
}

fn hold() -> MutexGuard<'static, ()> {
    // The lock guards no data: a panic while it was held leaves nothing to mistrust.
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}
