//! Uploads of releases, and removal of older ones.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
};

use object_store::ObjectMeta;
use tandem_dataset::files::sha256_hex_of_file;

use crate::{
    ReleaseStore, ReleaseStoreError,
    files::{ReleaseFile, ReleaseFiles, is_name, list_of},
};

/// Number of files that are uploaded at once.
const AT_ONCE: usize = 4;
/// Number of objects that are asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// A file of a release on the disk.
#[derive(Clone, Debug)]
pub struct LocalFile {
    /// Path in the store, `releases/NAME/…` or `artifacts/HASH/…`.
    pub path: String,
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What an upload did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Number of files that were sent.
    pub sent: usize,
    /// Number of files that were there already.
    pub kept: usize,
}

impl ReleaseStore {
    /// Uploads a release. Files that are in the store already are left out, so an upload that broke
    /// off continues: those whose object has the size of the file, and the SHA-256 that its upload
    /// has noted beside it. In a folder, the SHA-256 of the content counts. `progress` is told the
    /// number of bytes as they are sent or left out.
    ///
    /// The release is not in use before [`ReleaseStore::activate`].
    ///
    /// # Errors
    /// See [`ReleaseStoreError`]. What was sent stays in the store and is used by no server.
    pub fn upload_release(
        &self,
        name: &str,
        files: &[LocalFile],
        progress: &impl Fn(u64),
    ) -> Result<Published, ReleaseStoreError> {
        check_name(name)?;
        let list = list(files)?;
        let artifacts = list.check(name).map_err(|_| ReleaseStoreError::Name {
            name: name.to_owned(),
            reason: "expected plain files of the release and of its artefacts",
        })?;
        let mut there = sizes(self.list(&format!("releases/{name}"))?);
        there.extend(sizes(self.list(&format!("artifacts/{artifacts}"))?));
        let pairs: Vec<(&LocalFile, &ReleaseFile)> = files.iter().zip(&list.files).collect();
        let has_size = |file: &ReleaseFile| there.get(&file.path) == Some(&file.bytes);
        let asked: Vec<&ReleaseFile> = list.files.iter().filter(|file| has_size(file)).collect();
        let equal: RefCell<HashSet<&str>> = RefCell::default();
        self.for_each(&asked, ASKED_AT_ONCE, async |file| {
            if self.sha256(&file.path).await?.as_ref() == Some(&file.sha256) {
                equal.borrow_mut().insert(&file.path);
            }
            Ok(())
        })?;
        let equal = equal.into_inner();
        let (kept, missing): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(_, file)| equal.contains(file.path.as_str()));
        progress(kept.iter().map(|(_, file)| file.bytes).sum());
        self.for_each(&missing, AT_ONCE, |(local, file)| self.upload(file, &local.file, progress))?;
        let text = serde_json::to_vec_pretty(&list).map_err(|source| ReleaseStoreError::Disk {
            action: "list",
            path: list_of(name).into(),
            source: source.into(),
        })?;
        self.put(&list_of(name), text)?;
        Ok(Published { sent: missing.len(), kept: kept.len() })
    }

    /// Puts an uploaded release in use on every server of the store. Returns the one before it, if it
    /// was another one.
    ///
    /// # Errors
    /// [`ReleaseStoreError::Missing`] if its upload is not complete; see [`ReleaseStoreError`].
    pub fn activate(&self, name: &str) -> Result<Option<String>, ReleaseStoreError> {
        check_name(name)?;
        if !self.has(name)? {
            let (store, object) = (self.url().clone(), list_of(name));
            return Err(ReleaseStoreError::Missing { store, object });
        }
        let before = self.in_use()?;
        if before.as_deref() == Some(name) {
            return Ok(None);
        }
        self.set_current(name)?;
        Ok(before)
    }

    /// Removes all but the `keep` releases that were uploaded last, the one in use included, and the
    /// artefacts that none of these has. Returns the names of the removed releases.
    ///
    /// # Errors
    /// See [`ReleaseStoreError`].
    pub fn remove_older(&self, keep: usize) -> Result<Vec<String>, ReleaseStoreError> {
        let in_use = self.in_use()?;
        let mut releases: BTreeMap<String, Vec<(String, ObjectMeta)>> = BTreeMap::new();
        for (path, object) in self.list("releases")? {
            let name = path.split('/').nth(1).filter(|name| is_name(name)).map(str::to_owned);
            if let Some(name) = name {
                releases.entry(name).or_default().push((path, object));
            }
        }
        let mut newest_first: Vec<_> = releases.into_iter().collect();
        newest_first.sort_by_key(|(name, objects)| {
            let written = objects.iter().map(|(_, object)| object.last_modified).max();
            (Some(name) == in_use.as_ref(), written)
        });
        newest_first.reverse();
        let older = newest_first.split_off(newest_first.len().min(keep.max(1)));
        if older.is_empty() {
            return Ok(Vec::new());
        }
        let artifacts = |name: &str| self.text(&format!("releases/{name}/artifacts"));
        let kept: Vec<Option<String>> = newest_first
            .iter()
            .map(|(name, _)| found(artifacts(name)))
            .collect::<Result<_, _>>()?;
        // Of an upload that has not ended it is not known which artefacts it has.
        let kept: Option<BTreeSet<String>> = kept.into_iter().collect();
        for (name, objects) in &older {
            let unused = found(artifacts(name))?.filter(|hash| {
                is_name(hash) && kept.as_ref().is_some_and(|kept| !kept.contains(hash))
            });
            // First, so that no server begins to read the rest.
            self.delete(&[list_of(name)])?;
            if let Some(hash) = unused {
                let shared = self.list(&format!("artifacts/{hash}"))?;
                let paths: Vec<String> = shared.into_iter().map(|(path, _)| path).collect();
                self.delete(&paths)?;
            }
            let paths: Vec<String> = objects.iter().map(|(path, _)| path.clone()).collect();
            self.delete(&paths)?;
        }
        Ok(older.into_iter().map(|(name, _)| name).collect())
    }

    /// Name of the release in use, if there is one.
    fn in_use(&self) -> Result<Option<String>, ReleaseStoreError> {
        match self.current(None) {
            Ok(current) => Ok(current.map(|current| current.name)),
            // What it was is replaced.
            Err(ReleaseStoreError::NoRelease { .. } | ReleaseStoreError::Content { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn check_name(name: &str) -> Result<(), ReleaseStoreError> {
    if is_name(name) {
        return Ok(());
    }
    let reason = "expected the name of a release, 16 hexadecimal digits";
    Err(ReleaseStoreError::Name { name: name.to_owned(), reason })
}

/// The list of local files, with their hashes.
fn list(files: &[LocalFile]) -> Result<ReleaseFiles, ReleaseStoreError> {
    let entry = |LocalFile { path, file, bytes }: &LocalFile| {
        let sha256 = sha256_hex_of_file(file).map_err(ReleaseStoreError::disk("read", file))?;
        Ok(ReleaseFile { path: path.clone(), bytes: *bytes, sha256 })
    };
    Ok(ReleaseFiles { files: files.iter().map(entry).collect::<Result<_, _>>()? })
}

fn sizes(objects: Vec<(String, ObjectMeta)>) -> HashMap<String, u64> {
    objects.into_iter().map(|(path, object)| (path, object.size)).collect()
}

/// `None` for an object that is not there.
fn found<T>(read: Result<T, ReleaseStoreError>) -> Result<Option<T>, ReleaseStoreError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(ReleaseStoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
