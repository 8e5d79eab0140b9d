//! Removal of a user from a folder of releases.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tandem_dataset::{Dataset, ForgottenUsers};

use super::{Inputs, Release, out::lock, write_text};
use crate::{failure::BadInput, forget_files::remove_from_dataset};

/// The file with the users that later imports leave out.
const FORGOTTEN: &str = "forgotten.json";
/// The folder of the intermediate files.
const WORK: &str = "work";

/// What [`forget`] did.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    /// The files and folders with interactions of the last run.
    pub(crate) events: Vec<PathBuf>,
    /// Releases whose dataset had the user.
    pub(crate) releases: usize,
    /// Whether the intermediate files were deleted, because they had the user.
    pub(crate) work: bool,
}

/// Removes a user from the datasets of all releases and from the intermediate files of `out`, and
/// notes that later imports leave the user out. The models stay.
///
/// # Errors
/// [`BadInput`] if `out` is no folder of `tandem quickstart`; else if a file cannot be read or
/// written.
pub(crate) fn forget(out: &Path, name: &str) -> Result<Forgotten> {
    let inputs = Inputs::recorded(out);
    let releases = Release::all(out)
        .with_context(|| format!("cannot read the releases of {}", out.display()))?;
    if inputs.is_none() && releases.is_empty() {
        let text = format!(
            "{}: expected a folder of `tandem quickstart`, found none; name it with --out",
            out.display()
        );
        return Err(BadInput(text).into());
    }
    let _lock = lock(out)?;
    // First, so that an interruption brings nobody back.
    let mut forgotten = read_forgotten(out)?;
    forgotten.insert(name);
    write_text(&out.join(FORGOTTEN), &serde_json::to_string_pretty(&forgotten)?)?;

    let mut report = Forgotten::default();
    for release in releases {
        report.releases += usize::from(remove_from_dataset(&release.data(), name)?);
    }
    report.work = remove_work(&out.join(WORK), name)?;
    report.events = inputs.map(|inputs| inputs.events().to_vec()).unwrap_or_default();
    Ok(report)
}

/// The users that imports of `out` leave out.
///
/// # Errors
/// If the list cannot be read: without it, forgotten users would come back.
pub(super) fn read_forgotten(out: &Path) -> Result<ForgottenUsers> {
    let path = out.join(FORGOTTEN);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(ForgottenUsers::default());
        }
        bytes => bytes.with_context(|| format!("cannot read {}", path.display()))?,
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!("{}: expected a list of hashes: {error}", path.display());
        BadInput(text).into()
    })
}

/// Deletes the intermediate files if a dataset among them has the user: lists and summaries of
/// the same run name users as well.
fn remove_work(work: &Path, name: &str) -> Result<bool> {
    let cannot = |what: &str| format!("cannot {what} {}", work.display());
    let entries = match fs::read_dir(work) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries.with_context(|| cannot("read"))?,
    };
    let mut has_user = false;
    for entry in entries {
        let data = entry.with_context(|| cannot("read"))?.path().join("data");
        // A dataset that cannot be read, such as one of another version, goes as well.
        has_user |= data.exists()
            && Dataset::load(&data)
                .map_or(true, |dataset| dataset.sequences.iter().any(|it| it.user == name));
    }
    if has_user {
        fs::remove_dir_all(work).with_context(|| cannot("delete"))?;
    }
    Ok(has_user)
}
