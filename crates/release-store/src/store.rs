use std::{
    cell::RefCell,
    fs,
    fs::File,
    io::{self, Read, Write},
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, WriteMultipart, path::Path,
};
use tandem_dataset::files::{FileDraft, Sha256Hex, sha256_hex_of_file};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::{
    ReleaseStoreError, StoreUrl,
    connect::{connect, hint},
    error::reason,
    files::{ReleaseFile, ReleaseFiles, is_name, list_of},
};

/// The object that names the release in use.
pub(crate) const CURRENT: &str = "current";
/// Maximum time of a request for a small object.
const SHORT: Duration = Duration::from_secs(15);
/// Maximum time to send or read a small object or a part of a large one.
const SENDING: Duration = Duration::from_mins(2);
/// Maximum time between two parts of an object that arrives.
const STALLED: Duration = Duration::from_secs(30);
/// Paths of the services that give a machine its credentials.
const MACHINE_CREDENTIALS: [&str; 3] =
    ["/latest/api/token", "/latest/meta-data/", "/computeMetadata/"];
/// Size of the parts of an upload, and parts that are on their way at once.
const PART: usize = 8 << 20;
const PARTS: usize = 4;
/// Maximum size of an object that names a release.
const MAX_NAME: u64 = 1 << 10;
/// Maximum size of a list of files.
const MAX_LIST: u64 = 64 << 20;
/// Name of the metadata of an object with the SHA-256 of what was uploaded.
const SHA256: &str = "sha256";

/// A connection to an object store with releases.
#[derive(Debug)]
pub struct ReleaseStore {
    url: StoreUrl,
    store: Arc<dyn ObjectStore>,
    /// The folder of a `file://` store.
    folder: Option<PathBuf>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    /// What to do about missing credentials.
    hint: Option<&'static str>,
}

/// The object `current`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) name: String,
    /// Changes with the object.
    pub(crate) tag: Option<String>,
}

impl Drop for ReleaseStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so it may be called on an executor.
            runtime.shutdown_background();
        }
    }
}

impl ReleaseStore {
    /// Prepares the requests, with credentials and further settings of the environment. Sends none.
    ///
    /// # Errors
    /// [`ReleaseStoreError::Refused`] if the settings cannot be used.
    pub fn open(url: StoreUrl) -> Result<Self, ReleaseStoreError> {
        let refused = |reason| ReleaseStoreError::Refused { store: url.clone(), reason };
        let store = connect(&url).map_err(refused)?;
        // The requests run on the caller's thread, connections on one of their own.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("release-store")
            .enable_all()
            .build()
            .map_err(|error| refused(format!("no thread: {error}")))?;
        let (folder, hint) = (url.folder(), hint(url.kind()));
        Ok(Self { url, store, folder, runtime: Some(runtime), hint })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// Whether the store has a complete upload of the release.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub fn has(&self, name: &str) -> Result<bool, ReleaseStoreError> {
        if !is_name(name) {
            return Ok(false);
        }
        let path = list_of(name);
        let found = self.block_on(self.short(&path, self.store.head(&self.at(&path))));
        match found {
            Ok(_) => Ok(true),
            Err(ReleaseStoreError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The name of the release in use; `None` if the object still has the tag `known`.
    pub(crate) fn current(
        &self,
        known: Option<&str>,
    ) -> Result<Option<Current>, ReleaseStoreError> {
        let options = GetOptions::new().with_if_none_match(known);
        let read = async {
            match self.store.get_opts(&self.at(CURRENT), options).await {
                Ok(found) => small(found, MAX_NAME).await.map(Some),
                Err(Error::NotModified { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let read = self.block_on(self.short(CURRENT, read)).map_err(|error| match error {
            ReleaseStoreError::Missing { store, .. } => ReleaseStoreError::NoRelease { store },
            other => other,
        })?;
        let Some((bytes, tag)) = read else { return Ok(None) };
        let name = String::from_utf8_lossy(&bytes).trim().to_owned();
        if is_name(&name) {
            return Ok(Some(Current { name, tag }));
        }
        let expected = "expected the name of a release, 16 hexadecimal digits";
        Err(self.content(CURRENT, expected.to_owned()))
    }

    /// Makes every server of the store use the release.
    pub(crate) fn set_current(&self, name: &str) -> Result<(), ReleaseStoreError> {
        let payload = PutPayload::from(name.as_bytes().to_vec());
        self.block_on(self.short(CURRENT, self.store.put(&self.at(CURRENT), payload)))?;
        Ok(())
    }

    /// The list of the files of a release.
    pub(crate) fn files(&self, name: &str) -> Result<ReleaseFiles, ReleaseStoreError> {
        let path = list_of(name);
        let get = async { small(self.store.get(&self.at(&path)).await?, MAX_LIST).await };
        let (bytes, _) = self.block_on(self.short(&path, get))?;
        let files: ReleaseFiles = serde_json::from_slice(&bytes)
            .map_err(|error| self.content(&path, format!("expected a list of files: {error}")))?;
        files.check(name).map_err(|reason| self.content(&path, reason))?;
        Ok(files)
    }

    /// The text of a small object.
    pub(crate) fn text(&self, path: &str) -> Result<String, ReleaseStoreError> {
        let get = async { small(self.store.get(&self.at(path)).await?, MAX_NAME).await };
        let (bytes, _) = self.block_on(self.short(path, get))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Size of an object in bytes.
    pub(crate) fn size(&self, path: &str) -> Result<u64, ReleaseStoreError> {
        let found = self.block_on(self.short(path, self.store.head(&self.at(path))))?;
        Ok(found.size)
    }

    /// Some bytes of an object.
    pub(crate) fn range(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<Vec<u8>, ReleaseStoreError> {
        let at = self.at(path);
        let read = self.store.get_range(&at, range);
        Ok(self.block_on(self.within(SENDING, path, read))?.to_vec())
    }

    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), ReleaseStoreError> {
        let payload = PutPayload::from(bytes);
        let at = self.at(path);
        self.block_on(self.within(SENDING, path, self.store.put(&at, payload))).map(drop)
    }

    /// All objects below a folder, with paths below the store.
    pub(crate) fn list(
        &self,
        folder: &str,
    ) -> Result<Vec<(String, ObjectMeta)>, ReleaseStoreError> {
        let listed = async {
            let mut objects = self.store.list(Some(&self.at(folder)));
            let mut found = Vec::new();
            while let Some(next) =
                timeout(STALLED, objects.next()).await.map_err(|_| self.stalled(folder))?
            {
                found.push(next.map_err(|error| self.failed(folder, &error))?);
            }
            Ok(found)
        };
        let objects: Vec<ObjectMeta> = self.block_on(listed)?;
        let relative = |object: ObjectMeta| {
            let parts: Vec<_> = object.location.prefix_match(self.url.prefix())?.collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            Some((parts.join("/"), object))
        };
        Ok(objects.into_iter().filter_map(relative).collect())
    }

    pub(crate) fn delete(&self, paths: &[String]) -> Result<(), ReleaseStoreError> {
        let deleting = async {
            for path in paths {
                match self.short(path, self.store.delete(&self.at(path))).await {
                    Ok(()) | Err(ReleaseStoreError::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        self.block_on(deleting)
    }

    /// Runs a task for each element, a few at once. After a failure those that have begun are finished,
    /// so that what they have transferred is not lost.
    pub(crate) fn for_each<'t, T, F>(
        &self,
        elements: &'t [T],
        at_once: usize,
        task: impl Fn(&'t T) -> F,
    ) -> Result<(), ReleaseStoreError>
    where
        F: Future<Output = Result<(), ReleaseStoreError>>,
    {
        let failed = RefCell::new(None);
        let (task, failed_ref) = (&task, &failed);
        let tasks = futures_util::stream::iter(elements).map(|element| async move {
            let has_failed = failed_ref.borrow().is_some();
            if has_failed {
                return;
            }
            if let Err(error) = task(element).await {
                failed_ref.borrow_mut().get_or_insert(error);
            }
        });
        self.block_on(tasks.buffer_unordered(at_once).collect::<()>());
        failed.into_inner().map_or(Ok(()), Err)
    }

    /// The SHA-256 of an object, without a download: the one that its upload has noted beside it, or
    /// that of a file of a folder. `None` if the object has no such note.
    pub(crate) async fn sha256(&self, path: &str) -> Result<Option<String>, ReleaseStoreError> {
        if let Some(folder) = &self.folder {
            let file = folder.join(path);
            let sha256 =
                sha256_hex_of_file(&file).map_err(ReleaseStoreError::disk("read", file))?;
            return Ok(Some(sha256));
        }
        let head = GetOptions::new().with_head(true);
        let found = self.short(path, self.store.get_opts(&self.at(path), head)).await?;
        let noted = found.attributes.get(&Attribute::Metadata(SHA256.into()));
        Ok(noted.map(|sha256| sha256.to_string()))
    }

    /// What is noted beside an object; a folder cannot note anything.
    fn note(&self, sha256: &str) -> Attributes {
        let note = || (Attribute::Metadata(SHA256.into()), sha256.to_owned());
        self.folder.is_none().then(note).into_iter().collect()
    }

    /// Uploads a file. `progress` is told the number of bytes as they are sent.
    pub(crate) async fn upload(
        &self,
        ReleaseFile { path, sha256, .. }: &ReleaseFile,
        file: &FilePath,
        progress: &impl Fn(u64),
    ) -> Result<(), ReleaseStoreError> {
        let read_error = || ReleaseStoreError::disk("read", file);
        let mut source = File::open(file).map_err(read_error())?;
        let mut block = vec![0; PART];
        let mut length = read_block(&mut source, &mut block).map_err(read_error())?;
        if length < PART {
            let payload = PutPayload::from(block[..length].to_vec());
            let options = PutOptions { attributes: self.note(sha256), ..PutOptions::default() };
            let at = self.at(path);
            self.within(SENDING, path, self.store.put_opts(&at, payload, options)).await?;
            progress(length as u64);
            return Ok(());
        }
        let failed = |error: Error| self.failed(path, &error);
        let attributes = self.note(sha256);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let begun = self.store.put_multipart_opts(&self.at(path), options).await;
        let mut parts = WriteMultipart::new_with_chunk_size(begun.map_err(failed)?, PART);
        while length > 0 {
            self.within(SENDING, path, parts.wait_for_capacity(PARTS)).await?;
            parts.write(&block[..length]);
            progress(length as u64);
            length = read_block(&mut source, &mut block).map_err(read_error())?;
        }
        parts.finish().await.map(drop).map_err(failed)
    }

    /// Downloads a file and verifies it. It is written to `draft`, and appears as `target` when it is
    /// complete.
    pub(crate) async fn download(
        &self,
        file: &ReleaseFile,
        (draft, target): (&FilePath, &FilePath),
        goes_on: &impl Fn() -> bool,
    ) -> Result<(), ReleaseStoreError> {
        let path = &file.path;
        let found = self.short(path, self.store.get(&self.at(path))).await?;
        let damaged = |expected: String, found: String| ReleaseStoreError::Damaged {
            store: self.url.clone(),
            object: path.clone(),
            expected,
            found,
        };
        if found.meta.size != file.bytes {
            let bytes = |bytes: u64| format!("{bytes} bytes");
            return Err(damaged(bytes(file.bytes), bytes(found.meta.size)));
        }
        let folder = target.parent().unwrap_or(target);
        let write_error = || ReleaseStoreError::disk("write", target);
        fs::create_dir_all(folder).map_err(write_error())?;
        let mut draft = FileDraft::at(draft, target).map_err(write_error())?;
        let mut hash = Sha256Hex::default();
        let mut parts = found.into_stream();
        while let Some(part) =
            timeout(STALLED, parts.next()).await.map_err(|_| self.stalled(path))?
        {
            if !goes_on() {
                return Err(ReleaseStoreError::Stopped);
            }
            let part = part.map_err(|error| self.failed(path, &error))?;
            hash.update(&part);
            draft.write_all(&part).map_err(write_error())?;
        }
        let sha256 = hash.finish();
        if sha256 != file.sha256 {
            let text = |hash: &str| format!("SHA-256 {hash}");
            return Err(damaged(text(&file.sha256), text(&sha256)));
        }
        draft.publish().map_err(write_error())
    }

    fn at(&self, path: &str) -> Path {
        let below = path.split('/').filter(|part| !part.is_empty());
        below.fold(self.url.prefix().clone(), Path::join)
    }

    fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(task),
            None => unreachable!("the runtime is there until the store is dropped"),
        }
    }

    /// Waits a limited time for an answer to a request of a small object.
    async fn short<T>(
        &self,
        path: &str,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ReleaseStoreError> {
        self.within(SHORT, path, request).await
    }

    async fn within<T>(
        &self,
        time: Duration,
        path: &str,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ReleaseStoreError> {
        match timeout(time, request).await {
            Ok(answer) => answer.map_err(|error| self.failed(path, &error)),
            Err(_) => Err(self.unavailable(format!("no answer within {} s", time.as_secs()))),
        }
    }

    /// What is wrong with the folder of a `file://` store as a whole. A file system that is not mounted
    /// leaves an empty folder.
    fn vanished(&self) -> Option<String> {
        let folder = self.folder.as_deref()?;
        let found = match fs::read_dir(folder).map(Iterator::count) {
            Ok(0) => "the folder is empty".to_owned(),
            Ok(_) => return None,
            Err(error) => format!("the folder cannot be read ({error})"),
        };
        let store = &self.url;
        Some(format!("{found}; mount it, or upload a release with `tandem publish --to {store}`"))
    }

    fn stalled(&self, path: &str) -> ReleaseStoreError {
        self.unavailable(format!("`{path}` stalled for {} s", STALLED.as_secs()))
    }

    fn unavailable(&self, reason: String) -> ReleaseStoreError {
        ReleaseStoreError::Unavailable { store: self.url.clone(), reason }
    }

    fn content(&self, object: &str, reason: String) -> ReleaseStoreError {
        let (store, object) = (self.url.clone(), object.to_owned());
        ReleaseStoreError::Content { store, object, reason }
    }

    fn failed(&self, path: &str, error: &Error) -> ReleaseStoreError {
        let store = self.url.clone();
        let reason = reason(error);
        let has_no_bucket = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"]
            .iter()
            .any(|text| reason.contains(text));
        let asked_the_machine = MACHINE_CREDENTIALS.iter().any(|path| reason.contains(path));
        if let Some(hint) = self.hint.filter(|_| asked_the_machine) {
            return ReleaseStoreError::Refused { store, reason: format!("{hint} ({reason})") };
        }
        match error {
            Error::NotFound { .. } if has_no_bucket => {
                let reason = "there is no such bucket; create it, or correct the address";
                ReleaseStoreError::Refused { store, reason: reason.to_owned() }
            }
            // An address of one object has no folder that could vanish.
            Error::NotFound { .. } => match self.vanished().filter(|_| !path.is_empty()) {
                Some(reason) => self.unavailable(reason),
                None => ReleaseStoreError::Missing { store, object: path.to_owned() },
            },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                let what = "the credentials of the environment are refused";
                ReleaseStoreError::Refused { store, reason: format!("{what}: {reason}") }
            }
            Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. } => ReleaseStoreError::Refused { store, reason },
            _ => self.unavailable(reason),
        }
    }
}

/// Content and tag of an object that fits into memory.
async fn small(found: GetResult, limit: u64) -> Result<(Vec<u8>, Option<String>), Error> {
    let (size, tag) = (found.meta.size, found.meta.e_tag.clone());
    if size > limit {
        let source = format!("expected at most {limit} bytes, found {size}").into();
        return Err(Error::NotSupported { source });
    }
    Ok((found.bytes().await?.to_vec(), tag))
}

fn read_block(source: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match source.read(&mut block[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
