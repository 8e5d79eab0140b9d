//! What HTTP handlers and the thread that switches releases share: the wanted release, the one in
//! use, refusals and the history.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tandem_storage::Activation;
use tokio::sync::{Semaphore, oneshot};

use crate::{clock::now, followed_store::FollowedStore};

/// Number of activations and of refused releases that are kept in memory.
const MAX_KEPT: usize = 50;

/// A folder of releases and the state of its activations. The thread of the
/// follower loads releases; handlers ask it.
#[derive(Debug)]
pub struct Activations {
    folder: PathBuf,
    /// Maximum size of an uploaded release in bytes.
    max_bytes: u64,
    /// The object store of which the folder is a copy, if it is one.
    store: Option<Arc<FollowedStore>>,
    /// One upload at a time.
    pub(crate) uploads: Arc<Semaphore>,
    shared: Mutex<Shared>,
    /// Wakes the thread.
    changed: Condvar,
}

#[derive(Debug)]
struct Shared {
    in_use: String,
    wanted: Option<Wanted>,
    loading: Option<Loading>,
    stopped: bool,
    /// Whether `current` has changed.
    changed: bool,
    /// Whether another server has announced an activation since the object store was asked last.
    is_announced: bool,
    /// The last refusal of each release, the newest at the end.
    refused: VecDeque<Refusal>,
    /// The newest at the front.
    history: VecDeque<Activation>,
    /// The activations of the database as they were read last, the newest first; `None` before that.
    stored: Option<Vec<Activation>>,
    /// Activations that the database does not have yet, the oldest first.
    unstored: VecDeque<Activation>,
}

/// A release that a caller wants to be used.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) release: String,
    /// Id of the caller's key.
    pub(crate) caller: String,
    reply: oneshot::Sender<Outcome>,
}

impl Wanted {
    /// Tells the caller, who may be gone.
    pub(crate) fn answer(self, outcome: Outcome) {
        let _ = self.reply.send(outcome);
    }
}

/// What became of a wanted release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in use. `None` if it was before.
    InUse { previous: Option<String> },
    /// It cannot be used, for this reason; the earlier one stays in use.
    Refused(String),
    /// The server is shutting down.
    Stopping,
}

/// A release that is being tried and loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Loading {
    /// Name of the release.
    pub(crate) release: String,
    /// Since when, in milliseconds since 1970.
    pub(crate) since: u64,
}

/// A release that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Refusal {
    /// Name of the release.
    pub(crate) release: String,
    /// When, in milliseconds since 1970.
    pub(crate) at: u64,
    /// What was expected and found.
    pub(crate) reason: String,
}

/// What the thread does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Looks at the file `current`.
    Look,
    /// Puts this release in use.
    Activate(Wanted),
    Stop,
}

/// The state at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) in_use: String,
    pub(crate) loading: Option<Loading>,
    pub(crate) refused: Vec<Refusal>,
    /// The newest first.
    pub(crate) history: Vec<Activation>,
}

impl Activations {
    /// The releases of `folder`, with `in_use` in use.
    #[must_use]
    pub fn new(folder: PathBuf, in_use: String, max_bytes: u64) -> Self {
        let shared = Shared {
            in_use,
            wanted: None,
            loading: None,
            stopped: false,
            changed: false,
            is_announced: false,
            refused: VecDeque::new(),
            history: VecDeque::new(),
            stored: None,
            unstored: VecDeque::new(),
        };
        let (shared, changed) = (Mutex::new(shared), Condvar::new());
        let uploads = Arc::new(Semaphore::new(1));
        Self { folder, max_bytes, store: None, uploads, shared, changed }
    }

    /// The same for a folder that is the copy of an object store.
    pub(crate) fn of_store(self, store: Option<Arc<FollowedStore>>) -> Self {
        Self { store, ..self }
    }

    /// The object store of which the folder is a copy, if it is one.
    pub(crate) fn store(&self) -> Option<&Arc<FollowedStore>> {
        self.store.as_ref()
    }

    /// The folder with `releases`, `artifacts` and `current`.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    pub(crate) fn in_use(&self) -> String {
        self.lock().in_use.clone()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let shared = self.lock();
        Snapshot {
            in_use: shared.in_use.clone(),
            loading: shared.loading.clone(),
            refused: shared.refused.iter().cloned().collect(),
            history: shared.history.iter().cloned().collect(),
        }
    }

    /// Asks the thread to put a release in use. The answer comes when it is in use or refused.
    ///
    /// # Errors
    /// The name of the release that is being loaded: one at a time.
    pub(crate) fn request(
        &self,
        release: &str,
        caller: &str,
    ) -> Result<oneshot::Receiver<Outcome>, String> {
        let mut shared = self.lock();
        if let Some(other) = shared.busy_with() {
            return Err(other.to_owned());
        }
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted { release: release.to_owned(), caller: caller.to_owned(), reply };
        if shared.stopped {
            wanted.answer(Outcome::Stopping);
        } else {
            shared.wanted = Some(wanted);
            self.changed.notify_all();
        }
        Ok(answer)
    }

    /// Runs `task` while no release is wanted, loaded or put in use, unless `release` is one of
    /// them: then the result is what it is used for.
    pub(crate) fn while_unused<T>(
        &self,
        release: &str,
        task: impl FnOnce() -> T,
    ) -> Result<T, &'static str> {
        let shared = self.lock();
        if shared.in_use == release {
            return Err("in use");
        }
        if shared.busy_with() == Some(release) {
            return Err("being loaded");
        }
        Ok(task())
    }

    /// For the thread: waits at most `time` for something to do.
    pub(crate) fn next(&self, time: Duration) -> Next {
        let idle =
            |shared: &mut Shared| !shared.stopped && !shared.changed && shared.wanted.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), time, idle);
        let mut shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        if shared.stopped {
            return Next::Stop;
        }
        if let Some(wanted) = shared.wanted.take() {
            shared.loading = Some(Loading::now(&wanted.release));
            Next::Activate(wanted)
        } else {
            shared.changed = false;
            Next::Look
        }
    }

    /// Lets the thread look at `current` at once.
    pub(crate) fn look_now(&self) {
        self.lock().changed = true;
        self.changed.notify_all();
    }

    /// Another server has put a release in use: the threads look at `current` of the folder and of
    /// the object store at once.
    pub(crate) fn announced(&self) {
        let mut shared = self.lock();
        shared.changed = true;
        shared.is_announced = true;
        self.changed.notify_all();
    }

    /// For the thread that follows the object store: waits for an announcement, at most for `time`,
    /// and returns whether to continue.
    pub(crate) fn pause_until_announced(&self, time: Duration) -> bool {
        let idle = |shared: &mut Shared| !shared.stopped && !shared.is_announced;
        let waited = self.changed.wait_timeout_while(self.lock(), time, idle);
        let mut shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        shared.is_announced = false;
        !shared.stopped
    }

    /// For the thread: waits for `time` and returns whether to continue.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |shared| !shared.stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    /// For the thread: it begins to load a release that no caller asked for.
    pub(crate) fn loading(&self, release: &str) {
        self.lock().loading = Some(Loading::now(release));
    }

    /// For the thread: what it loaded was refused.
    pub(crate) fn refused(&self, release: &str, reason: &str) {
        let mut shared = self.lock();
        shared.loading = None;
        shared.refused.retain(|refusal| refusal.release != release);
        if shared.refused.len() >= MAX_KEPT {
            shared.refused.pop_front();
        }
        let (release, reason) = (release.to_owned(), reason.to_owned());
        shared.refused.push_back(Refusal { release, at: now(), reason });
    }

    /// For the thread: what it loaded is in use.
    pub(crate) fn activated(&self, activation: Activation) {
        let mut shared = self.lock();
        shared.loading = None;
        shared.in_use.clone_from(&activation.release);
        shared.refused.retain(|refusal| refusal.release != activation.release);
        shared.history.truncate(MAX_KEPT - 1);
        shared.history.push_front(activation);
    }

    /// The activations of the database were read, the newest first.
    pub(crate) fn read(&self, stored: &[Activation]) {
        self.lock().stored = Some(stored.to_vec());
    }

    /// The newest activations as far as they are known without the database: those that were read
    /// last, and those of this server that it does not have yet. `None` if it was never read.
    pub(crate) fn known(&self, limit: usize) -> Option<Vec<Activation>> {
        let shared = self.lock();
        let stored = shared.stored.as_ref()?;
        // The connection may be lost after one was stored: then both have it.
        let unstored = shared.unstored.iter().rev().filter(|unstored| !stored.contains(unstored));
        Some(unstored.chain(stored).take(limit).cloned().collect())
    }

    /// For the thread: an activation has to be stored.
    pub(crate) fn to_store(&self, activation: Activation) {
        let mut shared = self.lock();
        if shared.unstored.len() >= MAX_KEPT {
            shared.unstored.pop_front();
        }
        shared.unstored.push_back(activation);
    }

    /// For the thread: the oldest activation that has to be stored.
    pub(crate) fn next_to_store(&self) -> Option<Activation> {
        self.lock().unstored.front().cloned()
    }

    /// For the thread: that activation is in the database, whose newest ones are `stored`.
    pub(crate) fn is_stored(&self, stored: Vec<Activation>) {
        let mut shared = self.lock();
        shared.unstored.pop_front();
        shared.stored = Some(stored);
    }

    /// For the thread: it stopped to load.
    pub(crate) fn given_up(&self) {
        self.lock().loading = None;
    }

    /// A deleted release is not refused any more.
    pub(crate) fn forget(&self, release: &str) {
        self.lock().refused.retain(|refusal| refusal.release != release);
    }

    /// Stops the thread.
    pub(crate) fn stop(&self) {
        let mut shared = self.lock();
        shared.stopped = true;
        if let Some(wanted) = shared.wanted.take() {
            wanted.answer(Outcome::Stopping);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The release that is wanted or being loaded.
    fn busy_with(&self) -> Option<&str> {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.release.as_str());
        wanted.or(self.loading.as_ref().map(|loading| loading.release.as_str()))
    }
}

impl Loading {
    fn now(release: &str) -> Self {
        Self { release: release.to_owned(), since: now() }
    }
}

/// The release before the one in use, by a history with the newest activation first.
pub(crate) fn previous<'h>(history: &'h [Activation], in_use: &str) -> Option<&'h str> {
    let of_current = history.iter().find(|activation| activation.release == in_use)?;
    of_current.previous.as_deref().filter(|previous| *previous != in_use)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn activation(release: &str, previous: Option<&str>) -> Activation {
        Activation {
            at: now(),
            release: release.to_owned(),
            previous: previous.map(ToOwned::to_owned),
            caller: "server".to_owned(),
        }
    }

    fn activations() -> Activations {
        Activations::new(PathBuf::from("shop"), "a".to_owned(), 1)
    }

    #[test]
    fn one_release_is_loaded_at_a_time() {
        let activations = activations();
        let mut answer = activations.request("b", "key").unwrap();
        assert_eq!(activations.request("c", "key").unwrap_err(), "b");
        let Next::Activate(wanted) = activations.next(Duration::ZERO) else { panic!("no request") };
        assert_eq!(wanted.release, "b");
        // It is still being loaded.
        assert_eq!(activations.request("c", "key").unwrap_err(), "b");
        assert_eq!(activations.while_unused("b", || ()), Err("being loaded"));
        assert_eq!(activations.while_unused("a", || ()), Err("in use"));
        assert_eq!(activations.while_unused("c", || 7), Ok(7));
        activations.refused("b", "damaged");
        wanted.answer(Outcome::Refused("damaged".to_owned()));
        assert_eq!(answer.try_recv().unwrap(), Outcome::Refused("damaged".to_owned()));
        assert_eq!(activations.snapshot().refused[0].reason, "damaged");
        assert!(activations.request("c", "key").is_ok());
    }

    #[test]
    fn an_activation_ends_the_refusal_and_is_in_the_history() {
        let activations = activations();
        activations.refused("b", "damaged");
        activations.activated(activation("b", Some("a")));
        let snapshot = activations.snapshot();
        assert_eq!((snapshot.in_use.as_str(), snapshot.refused.len()), ("b", 0));
        assert_eq!(previous(&snapshot.history, "b"), Some("a"));
        // A roll-back can be rolled back.
        activations.activated(activation("a", Some("b")));
        assert_eq!(previous(&activations.snapshot().history, "a"), Some("b"));
        for _ in 0..2 * MAX_KEPT {
            activations.activated(activation("a", None));
            activations.refused(&activations.snapshot().history.len().to_string(), "x");
        }
        let snapshot = activations.snapshot();
        assert!(snapshot.history.len() <= MAX_KEPT && snapshot.refused.len() <= MAX_KEPT);
    }

    #[test]
    fn an_activation_that_was_read_and_is_still_to_be_stored_is_known_once() {
        let activations = activations();
        assert_eq!(activations.known(9), None);
        let [first, second] = ["a", "b"].map(|release| activation(release, None));
        activations.to_store(first.clone());
        activations.to_store(second.clone());
        activations.read(&[]);
        let newest_first = Some(vec![second.clone(), first.clone()]);
        assert_eq!(activations.known(9), newest_first);
        // The follower has not heard yet that the first one is stored.
        activations.read(slice::from_ref(&first));
        assert_eq!(activations.known(9), newest_first);
        activations.is_stored(vec![first]);
        assert_eq!(activations.known(9), newest_first);
        assert_eq!(activations.known(1), Some(vec![second]));
    }

    #[test]
    fn a_stop_answers_who_waits() {
        let activations = activations();
        let mut waiting = activations.request("b", "key").unwrap();
        activations.stop();
        assert_eq!(waiting.try_recv().unwrap(), Outcome::Stopping);
        let mut late = activations.request("b", "key").unwrap();
        assert_eq!(late.try_recv().unwrap(), Outcome::Stopping);
        assert!(matches!(activations.next(Duration::from_mins(1)), Next::Stop));
        assert!(!activations.pause(Duration::from_mins(1)));
    }
}
