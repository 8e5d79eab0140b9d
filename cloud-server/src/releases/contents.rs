use std::{
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::is_release,
    release_folder::{ARTIFACTS, LANGUAGE_MODEL, RELEASES, SIGNALS},
};

/// What is in a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct ReleaseContents {
    /// Name of the dataset; `null` if the release has none that can be read.
    pub(crate) dataset: Option<String>,
    /// Number of items in the catalogue.
    pub(crate) items: Option<u64>,
    /// Kind of the small model (`sasrec`, `gru4rec`, `din`).
    pub(crate) small_model: Option<String>,
    /// Size of the language model in bytes; `null` if it is missing.
    pub(crate) language_model_bytes: Option<u64>,
    /// Whether it has ranking signals.
    pub(crate) signals: bool,
    /// Name of its artefacts, which devices load.
    pub(crate) artifacts: Option<String>,
    /// Size of all its files in bytes, with its artefacts.
    pub(crate) bytes: u64,
    /// When it was written, in milliseconds since 1970.
    pub(crate) written: u64,
}

/// The part of `dataset.json` that is shown.
#[derive(Deserialize)]
struct DatasetHeader {
    name: String,
    items: u64,
}

/// The part of a manifest that is shown.
#[derive(Deserialize)]
struct ShownManifest {
    model: ShownModel,
}

#[derive(Deserialize)]
struct ShownModel {
    kind: String,
}

/// Name and contents of all releases of a folder, the newest first. Blocks.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn contents(folder: &Path) -> io::Result<Vec<(String, ReleaseContents)>> {
    let mut releases = Vec::new();
    for name in names(folder)? {
        let release = contents_of(folder, &name);
        releases.push((name, release));
    }
    releases.sort_by(|(a_name, a), (b_name, b)| (b.written, a_name).cmp(&(a.written, b_name)));
    Ok(releases)
}

/// Whether the folder has a release of this name. Blocks.
pub(crate) fn exists(folder: &Path, name: &str) -> bool {
    is_release(name) && folder.join(RELEASES).join(name).is_dir()
}

/// A release that nobody finds any more and whose files are still there.
#[derive(Debug)]
pub(crate) struct Hidden {
    path: PathBuf,
    artifacts: Option<String>,
}

/// Renames a release that is not in use, so that no reader finds a part of it. Blocks, for the time
/// of a rename.
///
/// # Errors
/// If it cannot be renamed.
pub(crate) fn hide(folder: &Path, name: &str) -> io::Result<Hidden> {
    let artifacts = artifacts_of(folder, name);
    let path = folder.join(RELEASES).join(format!(".deleted-{name}"));
    // Left by a server that was killed meanwhile.
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::rename(folder.join(RELEASES).join(name), &path)?;
    Ok(Hidden { path, artifacts })
}

impl Hidden {
    /// Removes the files, and the artefacts unless another release has them. Blocks.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub(crate) fn remove(self, folder: &Path) -> io::Result<()> {
        fs::remove_dir_all(&self.path)?;
        let Some(artifacts) = self.artifacts else { return Ok(()) };
        let others = names(folder)?;
        if others.iter().any(|other| artifacts_of(folder, other).as_ref() == Some(&artifacts)) {
            return Ok(());
        }
        match fs::remove_dir_all(folder.join(ARTIFACTS).join(artifacts)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join(RELEASES))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if exists(folder, &name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn contents_of(folder: &Path, name: &str) -> ReleaseContents {
    let release = folder.join(RELEASES).join(name);
    let header: Option<DatasetHeader> = json(&release.join("data/dataset.json"));
    let artifacts = artifacts_of(folder, name);
    let shared = artifacts.as_ref().map(|hash| folder.join(ARTIFACTS).join(hash));
    let manifest: Option<ShownManifest> =
        shared.as_ref().and_then(|shared| json(&shared.join("manifest.json")));
    let written = fs::metadata(&release).and_then(|metadata| metadata.modified());
    let written = written.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let size = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.len());
    ReleaseContents {
        items: header.as_ref().map(|header| header.items),
        dataset: header.map(|header| header.name),
        small_model: manifest.map(|manifest| manifest.model.kind),
        language_model_bytes: size(&release.join(LANGUAGE_MODEL)),
        signals: release.join(SIGNALS).is_dir(),
        bytes: bytes(&release) + shared.map_or(0, |shared| bytes(&shared)),
        artifacts,
        written: written.map_or(0, |time| time.as_millis() as u64),
    }
}

/// The name of the artefacts of a release.
fn artifacts_of(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(RELEASES).join(name).join(ARTIFACTS)).ok()?;
    Some(text.trim().to_owned()).filter(|hash| is_release(hash))
}

fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Size of all files in a folder. What cannot be read counts as nothing.
fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let sizes = entries.filter_map(|entry| {
        let kind = entry.file_type().ok()?;
        if kind.is_dir() { Some(bytes(&entry.path())) } else { Some(entry.metadata().ok()?.len()) }
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn contents_are_read_and_shared_artefacts_stay() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        let (first, second) = ("0000000000000001", "0000000000000002");
        let hash = "00000000000000aa";
        for name in [first, second] {
            let release = folder.join(RELEASES).join(name);
            write(&release.join("artifacts"), hash);
            write(&release.join("data/dataset.json"), r#"{"name":"shop","items":7,"users":1}"#);
            write(&release.join("language-model.gguf"), "12345");
        }
        let manifest = folder.join(ARTIFACTS).join(hash).join("manifest.json");
        write(&manifest, r#"{"model":{"kind":"sasrec"}}"#);
        write(&folder.join(RELEASES).join("not a release/x"), "");
        write(&folder.join(RELEASES).join("0000000000000003/x"), "");
        let all = contents(folder).unwrap();
        assert_eq!(all.len(), 3, "{all:?}");
        let (_, release) = all.iter().find(|(name, _)| name == first).unwrap();
        assert_eq!((release.dataset.as_deref(), release.items), (Some("shop"), Some(7)));
        assert_eq!(release.small_model.as_deref(), Some("sasrec"));
        assert_eq!((release.language_model_bytes, release.signals), (Some(5), false));
        assert_eq!(release.bytes, 16 + 35 + 5 + 27);
        hide(folder, first).unwrap().remove(folder).unwrap();
        assert!(manifest.exists() && !exists(folder, first));
        hide(folder, second).unwrap().remove(folder).unwrap();
        assert!(!folder.join(ARTIFACTS).join(hash).exists());
        assert_eq!(contents(folder).unwrap().len(), 1);
        assert!(!exists(folder, "../releases/1") && !exists(folder, "not a release"));
    }
}
