use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::DatasetError;

/// A folder in the making, which appears under its name whole or not at all.
///
/// It is written into a hidden folder beside its target, on the same file system, and
/// renamed by [`FolderDraft::publish`]. Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct FolderDraft {
    target: PathBuf,
    // Holds `new`, and for a moment the `old` folder that is being replaced.
    shelter: TempDir,
}

impl FolderDraft {
    /// Starts a draft of the folder `target`; missing parents are made.
    pub fn new(target: &Path) -> Result<Self, DatasetError> {
        // A bare name has the empty path as its parent.
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(DatasetError::io("create", parent))?;
        let name = target.file_name().unwrap_or(OsStr::new("folder")).to_string_lossy();
        let shelter = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .tempdir_in(parent)
            .map_err(DatasetError::io("create a folder in", parent))?;
        let draft = Self { target: target.to_path_buf(), shelter };
        let path = draft.path();
        fs::create_dir(&path).map_err(DatasetError::io("create", &path))?;
        Ok(draft)
    }

    /// Where the files are to be written.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.shelter.path().join("new")
    }

    /// Writes one file of the folder and waits until it is on the disk.
    pub fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), DatasetError> {
        let path = self.path().join(name);
        let write = || {
            let mut writer = std::io::BufWriter::new(File::create(&path)?);
            fill(&mut writer)?;
            writer.into_inner()?.sync_all()
        };
        write().map_err(DatasetError::io("write", &path))
    }

    /// Gives the folder its name. An older one of that name is moved away first, moved
    /// back should the new one not get its place, and erased otherwise.
    pub fn publish(self) -> Result<(), DatasetError> {
        let old = self.shelter.path().join("old");
        let replaces = self.target.exists();
        if replaces {
            fs::rename(&self.target, &old).map_err(DatasetError::io("replace", &self.target))?;
        }
        let published = fs::rename(self.path(), &self.target);
        if published.is_err() && replaces {
            fs::rename(&old, &self.target).map_err(DatasetError::io("restore", &self.target))?;
        }
        published.map_err(DatasetError::io("write", &self.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let draft = FolderDraft::new(&home.path().join("a/b")).unwrap();
        draft.write("file", |writer| writer.write_all(b"x")).unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(home.path().join("a")).unwrap().count(), 0);
    }

    #[test]
    fn publishing_replaces_the_whole_folder() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("folder");
        for name in ["first", "second"] {
            let draft = FolderDraft::new(&target).unwrap();
            draft.write(name, |writer| writer.write_all(b"x")).unwrap();
            draft.publish().unwrap();
        }
        assert!(target.join("second").exists() && !target.join("first").exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
