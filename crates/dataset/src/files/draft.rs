use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
};

use super::interrupt::{drafts, remove};
use crate::DatasetError;

/// Replaces a file by these bytes, or creates it; missing folders are created.
///
/// # Errors
/// If the file cannot be written; an older file is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(parent(path))?;
    let mut draft = FileDraft::new(path)?;
    draft.write_all(bytes)?;
    draft.publish()
}

/// A file that is being written and appears under its name when it is complete.
///
/// Write to it, or let other code write to [`FileDraft::path`], then call
/// [`FileDraft::publish`]. Dropped before that, it is deleted.
#[derive(Debug)]
pub struct FileDraft {
    target: PathBuf,
    path: PathBuf,
    writer: BufWriter<File>,
}

impl FileDraft {
    /// Creates an empty draft with a name of its own beside `target`, whose folder must exist.
    ///
    /// # Errors
    /// If the draft cannot be created.
    pub fn new(target: &Path) -> io::Result<Self> {
        let mut drafts = drafts();
        let (path, file) =
            unused(target, |path| OpenOptions::new().write(true).create_new(true).open(path))?;
        drafts.insert(path.clone());
        Ok(Self { target: target.to_path_buf(), path, writer: BufWriter::new(file) })
    }

    /// Creates an empty draft at `path`, on the file system of `target`, and replaces an
    /// older one. For large files that a single process writes: even a process that is
    /// killed leaves at most one draft.
    ///
    /// # Errors
    /// If the draft cannot be created.
    pub fn at(path: &Path, target: &Path) -> io::Result<Self> {
        let mut drafts = drafts();
        let file = File::create(path)?;
        drafts.insert(path.to_path_buf());
        let (target, path) = (target.to_path_buf(), path.to_path_buf());
        Ok(Self { target, path, writer: BufWriter::new(file) })
    }

    /// Where the draft is, for code that writes to a path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the draft is on the disk and renames it to its target.
    ///
    /// # Errors
    /// If the rest cannot be written or the target cannot be replaced; the draft is deleted.
    pub fn publish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        let mut drafts = drafts();
        fs::rename(&self.path, &self.target)?;
        drafts.remove(&self.path);
        Ok(())
    }

    /// As [`FileDraft::publish`], and fails if the target exists.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is a target, also one that appeared meanwhile; else
    /// as [`FileDraft::publish`]. The draft is deleted.
    pub fn publish_new(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        match fs::hard_link(&self.path, &self.target) {
            // The draft's own name is removed with it.
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without hard links.
            Err(_) if self.target.symlink_metadata().is_ok() => {
                Err(io::Error::from(io::ErrorKind::AlreadyExists))
            }
            Err(_) => self.publish(),
        }
    }
}

impl Write for FileDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for FileDraft {
    fn drop(&mut self) {
        if drafts().remove(&self.path) {
            remove(&self.path);
        }
    }
}

/// A folder that is being written and appears under its name when it is complete.
///
/// Write its files with [`FolderDraft::write`], then call [`FolderDraft::publish`]. Dropped
/// before that, it is deleted.
#[derive(Debug)]
pub struct FolderDraft {
    target: PathBuf,
    /// Holds `new`, and during the replacement the `old` folder.
    shelter: PathBuf,
}

impl FolderDraft {
    /// Creates an empty draft beside the folder `target`; missing parents are created.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if a folder cannot be created.
    pub fn new(target: &Path) -> Result<Self, DatasetError> {
        let parent = parent(target);
        fs::create_dir_all(parent).map_err(DatasetError::io("create", parent))?;
        let mut drafts = drafts();
        let (shelter, ()) = unused(target, |path| fs::create_dir(path))
            .map_err(DatasetError::io("create a folder in", parent))?;
        drafts.insert(shelter.clone());
        drop(drafts);
        let draft = Self { target: target.to_path_buf(), shelter };
        let path = draft.path();
        fs::create_dir(&path).map_err(DatasetError::io("create", &path))?;
        Ok(draft)
    }

    /// Where the files are written, for those that write a file by its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.shelter.join("new")
    }

    /// Writes one file of the folder, for instance `items.json` or `cells/1f.bin`, and waits
    /// until it is on the disk.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be written, or with what `fill` fails.
    pub fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DatasetError> {
        let write = || {
            let mut writer = BufWriter::new(self.create(name)?);
            fill(&mut writer)?;
            writer.into_inner()?.sync_all()
        };
        write().map_err(DatasetError::io("write", &self.path().join(name)))
    }

    /// Creates one file of the folder, for one that is written piece by piece.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        let path = self.path().join(name);
        let _creating = drafts();
        fs::create_dir_all(parent(&path))?;
        File::create(&path)
    }

    /// Renames the folder to its target and deletes the folder that it replaces.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if a rename fails; the older folder is then put back.
    pub fn publish(self) -> Result<(), DatasetError> {
        let old = self.shelter.join("old");
        let _renaming = drafts();
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

impl Drop for FolderDraft {
    fn drop(&mut self) {
        if drafts().remove(&self.shelter) {
            remove(&self.shelter);
        }
    }
}

/// The folder that a path is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        // A bare name has the empty path as its parent.
        _ => Path::new("."),
    }
}

/// Creates something hidden beside `target` under a name that nothing has yet.
fn unused<T>(target: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    let name = target.file_name().unwrap_or(target.as_os_str());
    for number in 0_u32.. {
        let mut hidden = OsString::from(format!(".{}-{number}.", process::id()));
        hidden.push(name);
        let path = parent(target).join(hidden);
        match create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|created| (path, created)),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b.txt");
        write_atomically(&path, b"old").unwrap();
        let mut draft = FileDraft::new(&path).unwrap();
        draft.write_all(b"new").unwrap();
        draft.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read(draft.path()).unwrap(), b"new");
        draft.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(entries(&home.path().join("a")), 1);
    }

    #[test]
    fn a_file_draft_that_is_not_published_is_deleted() {
        let home = tempfile::tempdir().unwrap();
        drop(FileDraft::new(&home.path().join("x")).unwrap());
        assert_eq!(entries(home.path()), 0);
        // A file cannot replace a folder.
        fs::create_dir(home.path().join("folder")).unwrap();
        assert!(write_atomically(&home.path().join("folder"), b"new").is_err());
        assert_eq!(entries(home.path()), 1);
    }

    #[test]
    fn a_new_file_replaces_none() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("x");
        for (text, expected) in [(b"first", Ok(())), (b"other", Err(io::ErrorKind::AlreadyExists))]
        {
            let mut draft = FileDraft::new(&target).unwrap();
            draft.write_all(text).unwrap();
            assert_eq!(draft.publish_new().map_err(|error| error.kind()), expected);
            assert_eq!(fs::read(&target).unwrap(), b"first");
            assert_eq!(entries(home.path()), 1);
        }
    }

    #[test]
    fn two_drafts_of_one_target_do_not_meet() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("x");
        let (mut first, mut second) =
            (FileDraft::new(&target).unwrap(), FileDraft::new(&target).unwrap());
        first.write_all(b"first").unwrap();
        second.write_all(b"second").unwrap();
        first.publish().unwrap();
        second.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"second");
        assert_eq!(entries(home.path()), 1);
    }

    #[test]
    fn a_draft_at_a_fixed_path_replaces_a_leftover() {
        let home = tempfile::tempdir().unwrap();
        let (path, target) = (home.path().join("x.new"), home.path().join("x"));
        fs::write(&path, "half of an older draft").unwrap();
        let mut draft = FileDraft::at(&path, &target).unwrap();
        draft.write_all(b"new").unwrap();
        draft.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(entries(home.path()), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_the_permissions_of_a_plain_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777;
        write_atomically(&home.path().join("draft"), b"").unwrap();
        fs::write(home.path().join("plain"), b"").unwrap();
        assert_eq!(mode("draft"), mode("plain"));
    }

    #[test]
    fn a_folder_draft_that_is_dropped_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let draft = FolderDraft::new(&home.path().join("a/b")).unwrap();
        draft.write("cells/file", |writer| writer.write_all(b"x")).unwrap();
        drop(draft);
        assert_eq!(entries(&home.path().join("a")), 0);
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
        assert_eq!(entries(home.path()), 1);
    }
}
