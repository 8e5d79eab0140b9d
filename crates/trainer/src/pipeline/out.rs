//! The folder of a recommender, used by one command at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use anyhow::{Context, Result};

use super::read;
use crate::failure::BadInput;

/// The file that is locked. It stays, and says whose folder this is.
const LOCK: &str = ".lock";

/// Creates the folder if it is not there, and locks it until the file is dropped.
///
/// # Errors
/// [`BadInput`] if it has the files of something else, or if another command uses it.
pub(crate) fn claim(out: &Path) -> Result<File> {
    if let Some(name) = foreign(out).with_context(|| format!("cannot read {}", out.display()))? {
        let text = format!(
            "{}: expected a new or empty folder, or one of `tandem quickstart`; found {name}; give another folder with --out",
            out.display()
        );
        return Err(BadInput(text).into());
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    lock(out)
}

/// Locks a folder that exists.
///
/// # Errors
/// [`BadInput`] if another command uses it; else if the file cannot be written.
pub(super) fn lock(out: &Path) -> Result<File> {
    let path = out.join(LOCK);
    let cannot = || format!("cannot write {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = format!("another tandem command uses {}; wait until it ends", out.display());
            Err(BadInput(text).into())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
    }
}

/// The name of a file that is not of a recommender, if the folder is not one.
fn foreign(out: &Path) -> io::Result<Option<String>> {
    let ours = [LOCK, read::RECORD, "work/quickstart", "work/retrain"];
    if ours.iter().any(|name| out.join(name).exists()) {
        return Ok(None);
    }
    let mut entries = match fs::read_dir(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let first = entries.next().transpose()?;
    Ok(first.map(|entry| entry.file_name().to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_command_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("shop");
        let first = claim(&out).unwrap();
        let said = claim(&out).unwrap_err().to_string();
        assert!(said.contains("another tandem command uses"), "{said}");
        drop(first);
        claim(&out).unwrap();
    }

    #[test]
    fn a_folder_of_something_else_is_not_touched() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path();
        drop(claim(&out.join("empty")).unwrap());
        fs::create_dir(out.join("mine")).unwrap();
        fs::write(out.join("mine/current"), "my file").unwrap();
        let said = claim(&out.join("mine")).unwrap_err().to_string();
        assert!(said.contains("found current") && said.contains("--out"), "{said}");
        assert_eq!(fs::read_dir(out.join("mine")).unwrap().count(), 1);
        // A folder of an earlier version has no lock yet.
        fs::write(out.join("mine").join(read::RECORD), "{}").unwrap();
        claim(&out.join("mine")).unwrap();
    }
}
