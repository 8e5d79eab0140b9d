//! The list of the files of a release.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Hexadecimal digits of the name of a release and of artefacts.
const NAME_DIGITS: usize = 16;
/// Maximum number of parts of a path.
const MAX_DEPTH: usize = 6;
/// Maximum number of files of a release: cells of a catalogue with a million items, several times.
const MAX_FILES: usize = 100_000;
/// The file of the list in the folder of a release.
const LIST: &str = "files.json";

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseFile {
    /// Path in the store, `releases/NAME/…` or `artifacts/HASH/…`.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub(crate) sha256: String,
}

impl ReleaseFile {
    pub(crate) fn is_artifact(&self) -> bool {
        self.path.starts_with("artifacts/")
    }
}

/// All files of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseFiles {
    pub(crate) files: Vec<ReleaseFile>,
}

/// Path of the list of a release.
pub(crate) fn list_of(name: &str) -> String {
    format!("releases/{name}/{LIST}")
}

/// Whether a text can be the name of a release or of artefacts.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() == NAME_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl ReleaseFiles {
    /// Checks that all paths belong to the release `name`, and returns the name of its artefacts.
    ///
    /// # Errors
    /// What was expected and found.
    pub(crate) fn check(&self, name: &str) -> Result<&str, String> {
        if self.files.len() > MAX_FILES {
            return Err(format!("expected at most {MAX_FILES} files, found {}", self.files.len()));
        }
        let mut paths = BTreeSet::new();
        let mut artifacts = None;
        for ReleaseFile { path, .. } in &self.files {
            let parts: Vec<&str> = path.split('/').collect();
            let is_plain = parts.len() <= MAX_DEPTH && parts.iter().all(|part| is_plain(part));
            let shared = match parts[..] {
                ["releases", release, _, ..] if release == name && path != &list_of(name) => None,
                ["artifacts", hash, _, ..] if is_name(hash) => Some(hash),
                _ => {
                    return Err(format!(
                        "expected paths below `releases/{name}` and `artifacts/HASH`, found `{path}`"
                    ));
                }
            };
            if !is_plain || !paths.insert(path) {
                return Err(format!("expected plain paths, each once, found `{path}`"));
            }
            if let Some(hash) = shared
                && artifacts.replace(hash).is_some_and(|other| other != hash)
            {
                return Err("expected the artefacts of one release, found those of two".to_owned());
            }
        }
        artifacts.ok_or_else(|| "expected files below `artifacts/HASH`, found none".to_owned())
    }
}

fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0123456789abcdef";
    const HASH: &str = "00000000000000aa";

    fn check(paths: &[String]) -> Result<String, String> {
        let file =
            |path: &String| ReleaseFile { path: path.clone(), bytes: 1, sha256: String::new() };
        let files = paths.iter().map(file).collect();
        ReleaseFiles { files }.check(NAME).map(str::to_owned)
    }

    #[test]
    fn only_files_of_the_release_are_accepted() {
        let model = format!("releases/{NAME}/language-model.gguf");
        let shared = format!("artifacts/{HASH}/cells/x");
        assert_eq!(check(&[model.clone(), shared.clone()]), Ok(HASH.to_owned()));
        for wrong in [
            "current".to_owned(),
            format!("releases/{HASH}/language-model.gguf"),
            format!("releases/{NAME}"),
            format!("releases/{NAME}/files.json"),
            format!("releases/{NAME}/../../../etc/passwd"),
            format!("releases/{NAME}//x"),
            format!("releases/{NAME}/.x"),
            format!("/releases/{NAME}/x"),
            "artifacts/../x".to_owned(),
            format!("artifacts/{NAME}/manifest.json"),
            model.clone(),
        ] {
            let found = check(&[model.clone(), shared.clone(), wrong.clone()]);
            assert!(found.is_err(), "{wrong}: {found:?}");
        }
        assert!(check(&[model]).is_err(), "without artefacts");
    }
}
