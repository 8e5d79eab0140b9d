//! The folder that a server runs: releases, and the name of the one in use.
//!
//! `releases/<name>/` holds the dataset, both models, the calibration and the name of the
//! artefacts, and in `measured/` both models as they were measured, before they were trained on
//! everything. It never changes after it was written, except that a user is removed from its
//! dataset. `artifacts/<name>/` holds what devices
//! load, of all releases. `current` names the release in use; `cloud-server --release` follows
//! it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tandem_dataset::files::{FolderDraft, sha256_hex, sha256_hex_of_file};
use tandem_generator::ranking_signals;

use super::{Files, write_text};
use crate::failure::BadInput;

/// The file that names the release in use.
pub(super) const CURRENT: &str = "current";
/// Folder of the artefacts, and the file of a release that names its own.
pub(super) const ARTIFACTS: &str = "artifacts";
pub(super) const SMALL_MODEL: &str = "small-model.safetensors";
pub(super) const LANGUAGE_MODEL: &str = "language-model.gguf";
/// Folder of counts and weights beside the language model; older releases have none.
pub(super) const SIGNALS: &str = "signals";
pub(super) const CALIBRATION: &str = "calibration.json";
const RELEASES: &str = "releases";
/// Folder of the models as they were measured.
const MEASURED: &str = "measured";
const DATA: &str = "data";
/// The files of a dataset folder.
const DATASET_FILES: [&str; 3] = ["dataset.json", "catalogue.jsonl", "sequences.jsonl"];
/// Releases that are kept, the one in use included.
const KEPT: usize = 3;
/// Hexadecimal digits of a name.
const NAME_DIGITS: usize = 16;

/// A release on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    folder: PathBuf,
}

impl Release {
    #[cfg(test)]
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All releases of a folder, in no order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn all(out: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(out.join(RELEASES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let folders = entries.map(|entry| Ok(Self { folder: entry?.path() }));
        let releases = folders.collect::<io::Result<Vec<Self>>>()?;
        Ok(releases.into_iter().filter(|release| release.data().is_dir()).collect())
    }

    /// The release in use; `None` if there is none yet.
    ///
    /// # Errors
    /// [`BadInput`] if the file that names it cannot be read or its folder is missing.
    pub(crate) fn current(out: &Path) -> Result<Option<Self>, BadInput> {
        let path = out.join(CURRENT);
        let name = match fs::read_to_string(&path) {
            Ok(name) => name.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BadInput(format!("cannot read {}: {error}", path.display()))),
        };
        let folder = out.join(RELEASES).join(&name);
        if name.contains(['/', '\\']) || !folder.join(DATA).is_dir() {
            return Err(BadInput(format!(
                "{} names the release {name:?}: expected the folder {}; run `tandem quickstart` again",
                path.display(),
                folder.display()
            )));
        }
        Ok(Some(Self { folder }))
    }

    /// Writes a release of these files and the exported artefacts, and puts it in use.
    pub(super) fn publish(out: &Path, files: &Files, artifacts: &str) -> Result<Self> {
        let mut parts: Vec<(String, &Path)> = vec![
            (SMALL_MODEL.to_owned(), &files.whole_small_model),
            (LANGUAGE_MODEL.to_owned(), &files.whole_language_model),
            (format!("{MEASURED}/{SMALL_MODEL}"), &files.small_model),
            (format!("{MEASURED}/{LANGUAGE_MODEL}"), &files.language_model),
            (CALIBRATION.to_owned(), &files.calibration),
        ];
        let dataset = DATASET_FILES.map(|name| (format!("{DATA}/{name}"), files.data.join(name)));
        parts.extend(dataset.iter().map(|(name, path)| (name.clone(), path.as_path())));
        let whole = signal_files(SIGNALS, &files.whole_signals);
        let measured = format!("{MEASURED}/{SIGNALS}");
        let measured = signal_files(&measured, &files.signals);
        let signals: Vec<(String, PathBuf)> = whole.chain(measured).collect();
        parts.extend(signals.iter().map(|(name, path)| (name.clone(), path.as_path())));
        let mut hashes = artifacts.to_owned();
        for (_, path) in &parts {
            hashes += &sha256_hex_of_file(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        let name = &sha256_hex(hashes)[..NAME_DIGITS];
        let folder = out.join(RELEASES).join(name);
        if !folder.exists() {
            let draft = FolderDraft::new(&folder)?;
            for (name, path) in &parts {
                let mut file =
                    File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                draft.write(name, |writer| io::copy(&mut file, writer).map(drop))?;
            }
            draft.write(ARTIFACTS, |writer| writer.write_all(artifacts.as_bytes()))?;
            draft.publish()?;
        }
        // Written last, so that it always names a complete release.
        write_text(&out.join(CURRENT), name)?;
        Ok(Self { folder })
    }

    /// Removes all but the [`KEPT`] newest releases, and their artefacts. This one stays.
    ///
    /// # Errors
    /// If a folder cannot be read or removed.
    pub(crate) fn remove_older(&self, out: &Path) -> io::Result<()> {
        let mut others = Vec::new();
        for entry in fs::read_dir(out.join(RELEASES))? {
            let entry = entry?;
            if entry.path() != self.folder && entry.path().join(ARTIFACTS).is_file() {
                others.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        others.sort();
        let (older, kept) = others.split_at((others.len() + 1).saturating_sub(KEPT));
        let artifacts = |release: &Path| fs::read_to_string(release.join(ARTIFACTS));
        let kept = kept.iter().map(|(_, release)| release).chain([&self.folder]);
        let kept: Vec<String> =
            kept.map(|release| artifacts(release)).collect::<io::Result<_>>()?;
        for (_, release) in older {
            let name = artifacts(release)?;
            let folder = out.join(ARTIFACTS).join(&name);
            if !name.contains(['/', '\\', '.']) && !kept.contains(&name) && folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::remove_dir_all(release)?;
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// The small model that has not seen what was held out.
    pub(crate) fn measured_small_model(&self) -> PathBuf {
        self.folder.join(MEASURED).join(SMALL_MODEL)
    }

    /// The language model that has not seen what was held out.
    pub(crate) fn measured_language_model(&self) -> PathBuf {
        self.folder.join(MEASURED).join(LANGUAGE_MODEL)
    }

    /// The signals of [`measured_language_model`](Self::measured_language_model); `None` in a
    /// release of before there were any.
    pub(crate) fn measured_signals(&self) -> Option<PathBuf> {
        Some(self.folder.join(MEASURED).join(SIGNALS)).filter(|folder| folder.is_dir())
    }

    pub(crate) fn calibration(&self) -> PathBuf {
        self.folder.join(CALIBRATION)
    }

    /// Whether the release has this dataset, byte for byte.
    pub(crate) fn has_data(&self, data: &Path) -> bool {
        DATASET_FILES.iter().all(|name| {
            let hash = |folder: &Path| sha256_hex_of_file(&folder.join(name)).ok();
            hash(&self.data()).is_some_and(|own| hash(data) == Some(own))
        })
    }
}

/// The files of a folder of signals, and their names in a release below `name`.
fn signal_files(name: &str, folder: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    ranking_signals::FILES
        .into_iter()
        .map(move |file| (format!("{name}/{file}"), folder.join(file)))
        .filter(|(_, path)| path.exists())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_newest_releases_and_their_artefacts_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path();
        // Releases 0 and 3 have the same artefacts.
        for (age, artifacts) in ["a", "b", "c", "a", "d"].into_iter().enumerate() {
            let release = out.join(RELEASES).join(age.to_string());
            fs::create_dir_all(&release).unwrap();
            fs::write(release.join(ARTIFACTS), artifacts).unwrap();
            fs::create_dir_all(out.join(ARTIFACTS).join(artifacts)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * age as u64);
            File::open(&release).unwrap().set_modified(time).unwrap();
        }
        // An earlier one is in use again.
        let current = Release::at(out.join(RELEASES).join("1"));
        current.remove_older(out).unwrap();
        let names = |folder: &str| -> Vec<String> {
            let entries = fs::read_dir(out.join(folder)).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(RELEASES), ["1", "3", "4"]);
        assert_eq!(names(ARTIFACTS), ["a", "b", "d"]);
        current.remove_older(out).unwrap();
        assert_eq!(names(RELEASES).len(), 3);
    }
}
