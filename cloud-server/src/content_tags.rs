//! Entity tags of files, from their content: servers behind one balancer send the same ones.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use tandem_dataset::files::sha256_hex_of_file;

/// Number of files whose tags are kept.
const MAX_KEPT: usize = 10_000;

/// SHA-256 of files, computed again when size or time of a file have changed.
#[derive(Debug, Default)]
pub(crate) struct ContentTags {
    known: Mutex<HashMap<PathBuf, (Version, String)>>,
}

/// Size and time of a file.
type Version = (u64, SystemTime);

impl ContentTags {
    /// The tag of a file that was opened at a path. `None` if the file cannot be read, or is being
    /// replaced. Blocks.
    pub(crate) fn of(&self, path: &Path, opened: &fs::Metadata) -> Option<String> {
        let opened = version(opened).ok()?;
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, tag)) = lock().get(path)
            && *known == opened
        {
            return Some(tag.clone());
        }
        let tag = sha256_hex_of_file(path).ok()?;
        // What was read may be a later file than the one that was opened.
        if version(&fs::metadata(path).ok()?).ok()? != opened {
            return None;
        }
        let mut known = lock();
        if known.len() >= MAX_KEPT {
            known.clear();
        }
        known.insert(path.to_owned(), (opened, tag.clone()));
        Some(tag)
    }
}

fn version(metadata: &fs::Metadata) -> io::Result<Version> {
    Ok((metadata.len(), metadata.modified()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_follows_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let tags = ContentTags::default();
        let tag = |name: &str, content: &str| {
            let path = folder.path().join(name);
            // Another file, as that of another machine.
            fs::write(folder.path().join("new"), content).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
            tags.of(&path, &fs::metadata(&path).unwrap()).unwrap()
        };
        let first = tag("a", "one");
        assert_eq!(tag("b", "one"), first);
        assert_ne!(tag("a", "longer"), first);
        let other = fs::metadata(folder.path().join("b")).unwrap();
        assert_eq!(tags.of(&folder.path().join("a"), &other), None, "it was replaced");
    }
}
