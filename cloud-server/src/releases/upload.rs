//! A release that arrives as a tar stream: the paths `releases/NAME/…` and `artifacts/HASH/…`, as in
//! the folder of releases.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use actix_web::web::Bytes;
use tandem_dataset::files::Sha256Hex;
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc::Receiver;

use super::contents::exists;
use crate::{
    artifacts::{is_release, is_sha256},
    release_folder::{ARTIFACTS, ListMaker, RELEASES, read_release},
    start_error::StartError,
};

/// Maximum number of files of a release: cells of a catalogue with a million items, several times.
const MAX_FILES: usize = 100_000;
/// Maximum number of folders of a path.
const MAX_DEPTH: usize = 6;
/// Bytes that are copied at a time.
const BLOCK: usize = 128 << 10;
/// Beginning of the name of a folder that holds an upload until it is verified.
const STAGING: &str = ".upload-";
/// Age after which such a folder is one that a server left which was killed.
const ABANDONED: Duration = Duration::from_hours(24);

/// Why an upload was not taken up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The body ended early.
    #[error("the upload ended before its last byte; send it again")]
    Interrupted,
    /// The stream is not a tar archive.
    #[error("the upload is not a tar archive: {0}")]
    NotTar(String),
    /// The archive has no files.
    #[error(
        "the upload has no files: expected a tar archive with `releases/{name}` and `artifacts/HASH`"
    )]
    Empty { name: String },
    /// A path that does not belong to the release.
    #[error(
        "the upload has the path `{path}`: expected plain files below `releases/{name}` and `artifacts/HASH`"
    )]
    Path { path: String, name: String },
    /// A link, a device or another special file.
    #[error("the upload has `{path}`, which is no plain file: expected files and folders")]
    Kind { path: String },
    /// A path is in the archive twice.
    #[error("the upload has `{path}` twice")]
    Twice { path: String },
    /// A cell does not have the hash that is its name.
    #[error("the cell `{path}` is damaged: found SHA-256 {found}; export the artefacts again")]
    Cell { path: String, found: String },
    /// More files than a release has.
    #[error("the upload has more than {MAX_FILES} files")]
    TooManyFiles,
    /// The files are larger than the limit.
    #[error("the release is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// The folder has artefacts of another release.
    #[error("the upload has the artefacts `{found}`, but its release names `{expected}`")]
    OtherArtifacts { expected: String, found: String },
    /// The release cannot be used.
    #[error("{0}")]
    GeneratorFault(String),
    /// There is a release of this name.
    #[error("there is a release of this name; delete it first")]
    Exists,
    /// A file cannot be written.
    #[error("cannot write the release: {0}; let the server write to its folder of releases")]
    Write(io::Error),
}

/// The body of a request, read on a thread that may block.
#[derive(Debug)]
pub(crate) struct BodyReader {
    /// `None` is the end; a channel that is closed before is an interrupted upload.
    chunks: Receiver<Option<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl BodyReader {
    pub(crate) fn new(chunks: Receiver<Option<Bytes>>) -> Self {
        Self { chunks, chunk: Bytes::new(), ended: false }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.chunk = chunk,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let length = self.chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}

/// Reads the release `name` from a tar stream, verifies it and adds it to `folder`. Blocks.
///
/// The files are written to a hidden folder beside the releases, whose parts are renamed when all
/// of them have arrived and the release can be read. A release that is refused leaves nothing behind.
///
/// # Errors
/// See [`UploadError`].
pub(crate) fn receive(
    folder: &Path,
    name: &str,
    mut tar: impl Read,
    max_bytes: u64,
) -> Result<(), UploadError> {
    if exists(folder, name) {
        return Err(UploadError::Exists);
    }
    remove_abandoned(folder);
    let staging = Staging::new(folder, name).map_err(UploadError::Write)?;
    unpack(&mut Archive::new(&mut tar), name, &staging.0, max_bytes)?;
    // The archive ends with blocks of zeros; a connection that breaks off there is interrupted, too.
    io::copy(&mut (&mut tar).take(max_bytes), &mut io::sink())
        .map_err(|error| read_error(&error))?;
    let artifacts = verify(&staging.0, name)?;
    publish(&staging.0, folder, name, &artifacts)
}

fn unpack(
    archive: &mut Archive<impl Read>,
    name: &str,
    staging: &Path,
    max_bytes: u64,
) -> Result<(), UploadError> {
    let (mut files, mut bytes) = (0, 0_u64);
    for entry in archive.entries().map_err(|error| read_error(&error))? {
        let mut entry = entry.map_err(|error| read_error(&error))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => continue,
            EntryType::Directory => {
                // The folders of files are made with them.
                if !is_parent(&path, name) && relative(&path, name).is_none() {
                    return Err(UploadError::Path { path, name: name.to_owned() });
                }
                continue;
            }
            EntryType::Regular | EntryType::Continuous => {}
            _ => return Err(UploadError::Kind { path }),
        }
        let Some(parts) = relative(&path, name).filter(|parts| parts.len() > 2) else {
            return Err(UploadError::Path { path, name: name.to_owned() });
        };
        files += 1;
        if files > MAX_FILES {
            return Err(UploadError::TooManyFiles);
        }
        bytes = bytes.saturating_add(entry.size());
        if bytes > max_bytes {
            return Err(UploadError::TooLarge { limit: max_bytes });
        }
        let target = parts.iter().fold(staging.to_owned(), |target, part| target.join(part));
        let sha256 = write(&mut entry, &target, &path)?;
        if let ["artifacts", _, "cells", cell] = parts[..]
            && cell != sha256
        {
            return Err(UploadError::Cell { path, found: sha256 });
        }
    }
    if files == 0 {
        return Err(UploadError::Empty { name: name.to_owned() });
    }
    Ok(())
}

/// Writes a file, waits until it is on the disk, and returns its SHA-256.
fn write(
    entry: &mut Entry<'_, impl Read>,
    target: &Path,
    path: &str,
) -> Result<String, UploadError> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(UploadError::Write)?;
    }
    let mut file = File::create_new(target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => UploadError::Twice { path: path.to_owned() },
        _ => UploadError::Write(error),
    })?;
    let mut hash = Sha256Hex::default();
    let mut block = vec![0; BLOCK];
    loop {
        let length = entry.read(&mut block).map_err(|error| read_error(&error))?;
        if length == 0 {
            break;
        }
        hash.update(&block[..length]);
        file.write_all(&block[..length]).map_err(UploadError::Write)?;
    }
    file.sync_all().map_err(UploadError::Write)?;
    Ok(hash.finish())
}

fn read_error(error: &io::Error) -> UploadError {
    match error.kind() {
        io::ErrorKind::ConnectionAborted => UploadError::Interrupted,
        _ => UploadError::NotTar(error.to_string()),
    }
}

/// The parts of a path of the release `name` or of artefacts; `None` for every other path.
fn relative<'p>(path: &'p str, name: &str) -> Option<Vec<&'p str>> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let is_plain = |part: &&str| {
        !part.starts_with('.')
            && !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if parts.len() > MAX_DEPTH || !parts.iter().all(is_plain) {
        return None;
    }
    let is_ours = match parts[..] {
        ["releases", release, ..] => release == name,
        ["artifacts", hash] | ["artifacts", hash, _] => is_release(hash),
        ["artifacts", hash, "cells", cell] => is_release(hash) && is_sha256(cell),
        _ => false,
    };
    is_ours.then_some(parts)
}

/// Whether a folder contains the release or artefacts.
fn is_parent(path: &str, name: &str) -> bool {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    matches!(path, "" | "." | "releases" | "artifacts") || path == format!("releases/{name}")
}

/// Reads the release as a server does. Returns the name of its artefacts.
fn verify(staging: &Path, name: &str) -> Result<String, UploadError> {
    let parts = read_release(staging, name, ListMaker::ThisServer)
        .map_err(|error| unusable(&error, staging))?;
    let expected = parts.artifacts.current().hash().to_owned();
    let folders = fs::read_dir(staging.join(ARTIFACTS)).map_err(UploadError::Write)?;
    let found: BTreeSet<String> = folders
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    match found.into_iter().find(|found| *found != expected) {
        Some(found) => Err(UploadError::OtherArtifacts { expected, found }),
        None => Ok(expected),
    }
}

/// The reason, with paths as they are in the upload.
fn unusable(error: &StartError, staging: &Path) -> UploadError {
    let staging = format!("{}/", staging.display());
    UploadError::GeneratorFault(error.to_string().replace(&staging, ""))
}

/// Renames artefacts and release to their places, the release last.
fn publish(staging: &Path, folder: &Path, name: &str, artifacts: &str) -> Result<(), UploadError> {
    for parent in [ARTIFACTS, RELEASES] {
        fs::create_dir_all(folder.join(parent)).map_err(UploadError::Write)?;
    }
    let shared = folder.join(ARTIFACTS).join(artifacts);
    let new = staging.join(ARTIFACTS).join(artifacts);
    // Artefacts are named by their content. Those that are here stay, because devices load them.
    let is_new = !shared.exists();
    if is_new {
        fs::rename(&new, &shared).map_err(UploadError::Write)?;
    }
    let release = folder.join(RELEASES).join(name);
    let renamed = fs::rename(staging.join(RELEASES).join(name), &release);
    renamed.map_err(|error| {
        if is_new {
            // Nothing names them.
            let _ = fs::remove_dir_all(&shared);
        }
        if release.exists() { UploadError::Exists } else { UploadError::Write(error) }
    })
}

/// The folder of an upload, removed when this is dropped.
struct Staging(PathBuf);

impl Staging {
    fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(format!("{STAGING}{name}-{}", std::process::id()));
        // Left by an earlier server with the same process id.
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove an upload");
        }
    }
}

/// Removes folders of uploads that servers left which were killed.
fn remove_abandoned(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let is_upload = entry.file_name().to_string_lossy().starts_with(STAGING);
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
        if is_upload && age.is_ok_and(|age| age > ABANDONED) {
            // It is tried again at the next upload.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0123456789abcdef";

    #[test]
    fn only_paths_of_the_release_and_of_artefacts_are_accepted() {
        let accepted = [
            format!("releases/{NAME}/language-model.gguf"),
            format!("./releases/{NAME}/data/dataset.json"),
            format!("artifacts/{NAME}/manifest.json"),
            format!("artifacts/{NAME}/cells/{}", "0".repeat(64)),
        ];
        for path in &accepted {
            assert!(relative(path, NAME).is_some(), "{path}");
        }
        let refused = [
            "../current".to_owned(),
            "current".to_owned(),
            format!("/releases/{NAME}/data/x"),
            format!("releases/{NAME}/../../current"),
            format!("releases/{NAME}//x"),
            format!("releases/{NAME}/.hidden"),
            format!("releases/{NAME}/a\\b"),
            format!("releases/{NAME}/a/b/c/d/e/f"),
            "releases/0000000000000000/data/x".to_owned(),
            format!("artifacts/{NAME}/cells/x"),
            "artifacts/../x".to_owned(),
            String::new(),
        ];
        for path in &refused {
            assert!(relative(path, NAME).is_none(), "{path}");
        }
    }

    /// A tar archive of these files; the path is written as it is, `..` as well.
    fn archive(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        let model = format!("releases/{NAME}/language-model.gguf");
        let cell = format!("artifacts/{NAME}/cells/{}", "0".repeat(64));
        let plain = EntryType::Regular;
        let cases: [(Vec<u8>, &str); 8] = [
            (archive(&[("../escaped", plain, b"x")]), "has the path `../escaped`"),
            (archive(&[("/tmp/escaped", plain, b"x")]), "has the path `/tmp/escaped`"),
            (archive(&[(&model, EntryType::Symlink, b"")]), "no plain file"),
            (archive(&[(&model, EntryType::Link, b"")]), "no plain file"),
            (archive(&[(&model, plain, b"x"), (&model, plain, b"y")]), "twice"),
            (archive(&[(&cell, plain, b"x")]), "is damaged"),
            (archive(&[(&model, plain, &[7; 2000])]), "larger than 1000 bytes"),
            (b"no archive".repeat(100), "not a tar archive"),
        ];
        for (bytes, expected) in cases {
            let error = receive(folder, NAME, &*bytes, 1000).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{expected}");
        }
        // Nothing but a language model.
        let error = receive(folder, NAME, &*archive(&[(&model, plain, b"GGUF")]), 1000);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("releases/") && !error.contains(STAGING), "{error}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn damaged_archives_write_nothing_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("shop");
        fs::create_dir(&folder).unwrap();
        let data = format!("releases/{NAME}/data/dataset.json");
        let manifest = format!("artifacts/{NAME}/manifest.json");
        let plain = EntryType::Regular;
        let seed = archive(&[(&data, plain, b"{}"), (&manifest, plain, b"{}")]);
        let outcome = tandem_fuzzing::fuzz("uploaded releases", &[&seed], |bytes| {
            let staging = Staging::new(&folder, NAME).unwrap();
            let unpacked = unpack(&mut Archive::new(bytes), NAME, &staging.0, 4096);
            drop(staging);
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
            unpacked.is_ok()
        });
        assert!(outcome.accepted > 0, "no seed is accepted");
    }

    #[test]
    fn a_body_that_breaks_off_is_interrupted() {
        let bytes = archive(&[(&format!("releases/{NAME}/x"), EntryType::Regular, &[7; 3000])]);
        for length in [100, 2000, bytes.len()] {
            let (sender, chunks) = tokio::sync::mpsc::channel(2);
            sender.blocking_send(Some(Bytes::copy_from_slice(&bytes[..length]))).unwrap();
            drop(sender);
            let home = tempfile::tempdir().unwrap();
            let error = receive(home.path(), NAME, BodyReader::new(chunks), 1 << 20).unwrap_err();
            assert!(matches!(error, UploadError::Interrupted), "{length}: {error}");
        }
    }
}
