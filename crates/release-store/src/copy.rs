//! The copy of a store on the disk of a server.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use tandem_dataset::files::write_atomically;

use crate::{
    ReleaseStore, ReleaseStoreError,
    files::{ReleaseFile, ReleaseFiles, is_name, list_of},
    store::CURRENT,
    verify::{NoList, current_of, fault, is_within, kept_list},
};

const RELEASES: &str = "releases";
const ARTIFACTS: &str = "artifacts";
/// Held as long as a server uses the folder.
const LOCK: &str = ".lock";
/// Beginning of the name of a folder with an incomplete release.
const STAGING: &str = ".download-";
/// Folder of incomplete files within it.
const DRAFTS: &str = "drafts";
/// Number of files that are downloaded at once.
const AT_ONCE: usize = 8;
/// Time until a release that could not be downloaded is tried again; it doubles up to the maximum.
const RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_mins(1);
/// Time between two attempts at the start.
const START_RETRY: Duration = Duration::from_millis(500);

/// A folder with the releases of a store that a server needs, in the layout of `tandem quickstart`.
///
/// A release appears in `releases/` when all of its files have arrived and were verified. A download
/// that breaks off continues with the file at which it stopped. The list of files stays with the
/// release: a start verifies all of them again, and downloads those that have changed.
#[derive(Debug)]
pub struct LocalCopy {
    store: ReleaseStore,
    folder: PathBuf,
    /// What is known of `current` in the store. Held while `current` of the store and of the folder
    /// are written, so that both name the same release.
    seen: Mutex<Seen>,
    /// One download at a time.
    downloading: Mutex<()>,
    stopped: AtomicBool,
    _lock: File,
}

#[derive(Debug, Default)]
struct Seen {
    /// The tag of the object whose release is in the folder.
    tag: Option<String>,
    /// The release that could not be downloaded.
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    name: String,
    /// When it is tried again.
    at: Instant,
    wait: Duration,
}

/// What the start found.
#[derive(Debug)]
pub enum Start {
    /// The release of the store is in the folder.
    Current,
    /// It is not, for this reason, but the folder has an earlier one.
    Earlier(ReleaseStoreError),
}

impl LocalCopy {
    /// Uses the folder, which is made if it does not exist.
    ///
    /// # Errors
    /// [`ReleaseStoreError::Disk`], [`ReleaseStoreError::InUse`] or [`ReleaseStoreError::OwnFolder`].
    pub fn open(store: ReleaseStore, folder: &Path) -> Result<Self, ReleaseStoreError> {
        if store.url().folder().is_some_and(|other| is_within(folder, &other)) {
            let (store, path) = (store.url().clone(), folder.to_owned());
            return Err(ReleaseStoreError::OwnFolder { store, path });
        }
        fs::create_dir_all(folder.join(RELEASES))
            .and_then(|()| fs::create_dir_all(folder.join(ARTIFACTS)))
            .map_err(ReleaseStoreError::disk("make the folder", folder))?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(ReleaseStoreError::disk("write", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ReleaseStoreError::InUse { path: folder.to_owned() });
            }
            Err(TryLockError::Error(error)) => {
                return Err(ReleaseStoreError::disk("lock", &path)(error));
            }
        }
        Ok(Self {
            store,
            folder: folder.to_owned(),
            seen: Mutex::default(),
            downloading: Mutex::default(),
            stopped: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &ReleaseStore {
        &self.store
    }

    /// Downloads the release in use, and verifies the files that the folder has. Waits for as long as
    /// `patience` if the store does not answer and the folder has no whole release; `waiting` is told
    /// the reason once.
    ///
    /// # Errors
    /// If there is no release to start with; see [`ReleaseStoreError`].
    pub fn start(
        &self,
        patience: Duration,
        waiting: impl Fn(&ReleaseStoreError),
    ) -> Result<Start, ReleaseStoreError> {
        let until = Instant::now() + patience;
        let mut is_told = false;
        loop {
            let Err(mut error) = self.follow() else { return Ok(Start::Current) };
            if let Some(name) = current_of(&self.folder).filter(|name| self.has(name)) {
                match self.fetch(&name) {
                    Ok(()) => return Ok(Start::Earlier(error)),
                    Err(damaged) => error = damaged,
                }
            }
            if !error.is_temporary() || Instant::now() >= until {
                return Err(error);
            }
            if !is_told {
                is_told = true;
                waiting(&error);
            }
            self.lock().failed = None;
            thread::sleep(START_RETRY);
        }
    }

    /// Looks at `current` of the store once, and downloads its release if it is a new one. Returns its
    /// name if `current` of the folder has changed.
    ///
    /// A release that cannot be downloaded is tried again after a while: until then this does nothing.
    ///
    /// # Errors
    /// See [`ReleaseStoreError`]. The folder still names the earlier release.
    pub fn follow(&self) -> Result<Option<String>, ReleaseStoreError> {
        loop {
            let tag = self.lock().tag.clone();
            let Some(current) = self.store.current(tag.as_deref())? else { return Ok(None) };
            let failed = |seen: &Seen| {
                let failed = seen.failed.as_ref().filter(|failed| failed.name == current.name);
                failed.map(|failed| (failed.at, failed.wait))
            };
            let before = failed(&self.lock());
            if before.is_some_and(|(at, _)| Instant::now() < at) {
                return Ok(None);
            }
            if let Err(error) = self.fetch(&current.name) {
                let wait = before.map_or(RETRY, |(_, wait)| (wait * 2).min(MAX_RETRY));
                let at = Instant::now() + wait;
                self.lock().failed = Some(Failed { name: current.name, at, wait });
                return Err(error);
            }
            let mut seen = self.lock();
            // Meanwhile another release may have been put in use, here or elsewhere.
            let now = self.store.current(current.tag.as_deref());
            let is_unchanged = match now? {
                None => true,
                Some(now) => now == current,
            };
            if is_unchanged {
                let changed = self.write_current(&current.name)?;
                *seen = Seen { tag: current.tag, failed: None };
                return Ok(changed.then_some(current.name));
            }
        }
    }

    /// Whether the folder has the release.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        is_name(name) && self.folder.join(RELEASES).join(name).is_dir()
    }

    /// Downloads a release, or those of its files that have changed since they were downloaded.
    ///
    /// # Errors
    /// See [`ReleaseStoreError`]. What has arrived is used by the next attempt.
    pub fn fetch(&self, name: &str) -> Result<(), ReleaseStoreError> {
        let _alone = self.downloading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has(name) { self.repair(name) } else { self.download(name) }
    }

    fn download(&self, name: &str) -> Result<(), ReleaseStoreError> {
        let list = self.store.files(name)?;
        let staging = self.staging(name);
        let shared = list.check(name).ok().map(|hash| Path::new(ARTIFACTS).join(hash));
        let has_shared = shared.as_ref().is_some_and(|it| self.folder.join(it).is_dir());
        let missing = list.files.iter().filter_map(|file| {
            // Those that another release has, too, may have changed since.
            let is_here = has_shared && file.is_artifact();
            let target = if is_here { &self.folder } else { &staging }.join(&file.path);
            fault(&target, file).map(|_| (file, target))
        });
        self.get(&staging, &missing.collect::<Vec<_>>())?;
        keep_list(&staging, name, &list)?;
        let release = Path::new(RELEASES).join(name);
        // The release last, so that its artefacts are there when it appears.
        for part in shared.into_iter().filter(|_| !has_shared).chain([release]) {
            let target = self.folder.join(&part);
            fs::rename(staging.join(&part), &target)
                .map_err(ReleaseStoreError::disk("write", &target))?;
        }
        remove(&staging)
    }

    /// Verifies the files of a release of the folder, and downloads those that have changed.
    fn repair(&self, name: &str) -> Result<(), ReleaseStoreError> {
        let list = match kept_list(&self.folder, name) {
            Ok(list) => list,
            Err(reason) => match self.store.files(name) {
                Ok(list) => {
                    keep_list(&self.folder, name, &list)?;
                    list
                }
                Err(error) if reason == NoList::Missing => {
                    tracing::warn!(
                        release = name,
                        %error,
                        "cannot verify a release that an earlier version has downloaded: only the object store has its list of files"
                    );
                    return Ok(());
                }
                Err(cause) => {
                    let (path, found) = (self.folder.join(list_of(name)), "no list of files");
                    let (found, cause) = (found.to_owned(), Box::new(cause));
                    return Err(ReleaseStoreError::DamagedCopy { path, found, cause });
                }
            },
        };
        let faulty = list.files.iter().filter_map(|file| {
            let path = self.folder.join(&file.path);
            fault(&path, file).map(|found| (file, path, found))
        });
        let faulty: Vec<_> = faulty.collect();
        let Some((_, path, found)) = faulty.first().cloned() else { return Ok(()) };
        let targets: Vec<_> = faulty.into_iter().map(|(file, path, _)| (file, path)).collect();
        let staging = self.staging(name);
        if let Err(cause) = self.get(&staging, &targets) {
            return Err(ReleaseStoreError::DamagedCopy { path, found, cause: Box::new(cause) });
        }
        // Not before: without the store, a start tries this twice a second.
        tracing::warn!(
            release = name,
            files = targets.len(),
            first = %path.display(),
            found,
            "files of a downloaded release were damaged; downloaded them again"
        );
        remove(&staging)
    }

    /// Downloads files, each to its target when it is complete.
    fn get(
        &self,
        staging: &Path,
        files: &[(&ReleaseFile, PathBuf)],
    ) -> Result<(), ReleaseStoreError> {
        let drafts = staging.join(DRAFTS);
        fs::create_dir_all(&drafts).map_err(ReleaseStoreError::disk("make the folder", &drafts))?;
        let goes_on = || !self.stopped.load(Ordering::Relaxed);
        let numbered: Vec<_> = files.iter().enumerate().collect();
        self.store.for_each(&numbered, AT_ONCE, async |(number, (file, target))| {
            if !goes_on() {
                return Err(ReleaseStoreError::Stopped);
            }
            let draft = drafts.join(number.to_string());
            self.store.download(file, (&draft, target), &goes_on).await
        })
    }

    /// The folder of a release that is being downloaded.
    fn staging(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{STAGING}{name}"))
    }

    /// Makes every server of the store use a release of the folder.
    ///
    /// # Errors
    /// See [`ReleaseStoreError`]. The store then names the earlier release.
    pub fn put_in_use(&self, name: &str) -> Result<(), ReleaseStoreError> {
        let mut seen = self.lock();
        self.store.activate(name)?;
        // The next look reads the new tag.
        *seen = Seen::default();
        self.write_current(name).map(drop)
    }

    /// Removes what is not needed any more: all releases but `in_use`, the one that `current` names
    /// and the one before it, artefacts that none of these has, and what incomplete downloads of
    /// other releases have left.
    ///
    /// # Errors
    /// [`ReleaseStoreError::Disk`].
    pub fn remove_older(&self, in_use: &str) -> Result<(), ReleaseStoreError> {
        let _alone = self.downloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = current_of(&self.folder);
        let is_used = |name: &str| name == in_use || current.as_deref() == Some(name);
        let mut others = Vec::new();
        for (name, path) in self.entries(RELEASES)? {
            if !is_used(&name) {
                let written = fs::metadata(&path).and_then(|it| it.modified());
                others.push((written.unwrap_or(SystemTime::UNIX_EPOCH), path));
            }
        }
        others.sort();
        others.pop();
        for (_, path) in others {
            remove(&path)?;
        }
        let kept: Vec<String> = self
            .entries(RELEASES)?
            .into_iter()
            .filter_map(|(_, path)| fs::read_to_string(path.join(ARTIFACTS)).ok())
            .map(|text| text.trim().to_owned())
            .collect();
        for (hash, path) in self.entries(ARTIFACTS)? {
            if !kept.contains(&hash) {
                remove(&path)?;
            }
        }
        // The one that is tried again continues.
        let pending = self.lock().failed.as_ref().map(|failed| failed.name.clone());
        for (name, path) in self.entries("")? {
            let release = name.strip_prefix(STAGING);
            if release.is_some_and(|release| pending.as_deref() != Some(release)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Ends a download that is going on, and lets none begin.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns whether the file has changed.
    fn write_current(&self, name: &str) -> Result<bool, ReleaseStoreError> {
        let before = current_of(&self.folder);
        if before.as_deref() == Some(name) {
            return Ok(false);
        }
        if let Some(before) = before {
            // Makes it the one before: the newest of those that are not in use.
            let folder = File::open(self.folder.join(RELEASES).join(before));
            // It may have been removed by hand.
            let _ = folder.and_then(|folder| folder.set_modified(SystemTime::now()));
        }
        let path = self.folder.join(CURRENT);
        write_atomically(&path, name.as_bytes())
            .map_err(ReleaseStoreError::disk("write", &path))?;
        Ok(true)
    }

    /// Names and paths of what a folder contains.
    fn entries(&self, folder: &str) -> Result<Vec<(String, PathBuf)>, ReleaseStoreError> {
        let path = self.folder.join(folder);
        let failed = || ReleaseStoreError::disk("read", &path);
        let entries = fs::read_dir(&path).map_err(failed())?;
        let named = entries.map(|entry| {
            entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        });
        named.collect::<io::Result<_>>().map_err(failed())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the list of files with a release.
fn keep_list(folder: &Path, name: &str, list: &ReleaseFiles) -> Result<(), ReleaseStoreError> {
    let path = folder.join(list_of(name));
    let text = serde_json::to_vec(list).map_err(io::Error::from);
    text.and_then(|text| write_atomically(&path, &text))
        .map_err(ReleaseStoreError::disk("write", &path))
}

fn remove(path: &Path) -> Result<(), ReleaseStoreError> {
    fs::remove_dir_all(path).map_err(ReleaseStoreError::disk("remove", path))
}
