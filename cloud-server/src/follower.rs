//! The thread that switches between the releases of a folder.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_dataset::{Catalogue, files::write_atomically};
use tandem_storage::{Activation, StorageError};

use crate::{
    activations::{Activations, Next, Outcome, Wanted},
    artifacts::read_current,
    clock::now,
    live_counts::LiveCounts,
    priority::in_background,
    recommender::Recommender,
    release_folder::{CURRENT, ModelOptions, read_release},
    start_error::StartError,
    state::AppState,
    storage::{EventSink, copy_catalogue},
    trial::Trial,
};

/// Time between two looks at the file `current`.
const POLL: Duration = Duration::from_secs(1);
/// Time until a refused release is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two looks at whether a language model is loaded.
const LOADING_POLL: Duration = Duration::from_millis(20);
/// Number of activations that are read from the database.
const ACTIVATIONS: u32 = 50;
/// The caller of an activation that the file `current` asked for.
const SERVER: &str = "server";

/// A thread that puts releases in use: those that the file `current` names, and those that callers
/// ask for.
///
/// The language model of a new release is tried in another process, so that one that aborts the
/// process leaves this server as it is. Then the release is loaded beside the one in use and put
/// in use when its language model is ready. Requests that have begun are answered by the earlier
/// one, whose models are stopped afterwards.
///
/// A release that a caller asks for is written to `current` only after it was loaded, so that the
/// file never names one that was refused. A release that another program wrote to `current` and
/// that cannot be loaded is refused with a warning and tried again later.
#[derive(Debug)]
pub(crate) struct Follower {
    activations: Arc<Activations>,
    /// Returns whether all earlier language models have ended.
    thread: JoinHandle<bool>,
}

impl Follower {
    /// Begins with the release in use.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(
        activations: Arc<Activations>,
        state: Arc<AppState>,
        options: ModelOptions,
    ) -> io::Result<Self> {
        let shared = Arc::clone(&activations);
        let in_use = activations.in_use();
        let current = activations.folder().join(CURRENT);
        let mut following = Following {
            current,
            activations,
            state,
            options,
            in_use,
            refused: None,
            retired: Vec::new(),
        };
        let run = move || {
            following.record_start();
            loop {
                following.retire();
                match following.activations.next(POLL) {
                    Next::Look => following.look(),
                    Next::Activate(wanted) => following.activate(wanted),
                    Next::Stop => break,
                }
            }
            following.retire();
            following.retired.is_empty()
        };
        let thread = thread::Builder::new().name("releases".to_owned()).spawn(run)?;
        Ok(Self { activations: shared, thread })
    }

    /// Stops the thread. Returns whether it and all earlier language models have ended within
    /// `patience`.
    pub(crate) fn stop(self, patience: Duration) -> bool {
        self.activations.stop();
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().unwrap_or(false)
    }
}

/// The state of the thread.
struct Following {
    /// The file that names the release in use.
    current: PathBuf,
    activations: Arc<Activations>,
    state: Arc<AppState>,
    options: ModelOptions,
    /// Name of the release in use.
    in_use: String,
    /// Name of the last release that was found in `current` and refused, and when.
    refused: Option<(String, Instant)>,
    /// Earlier recommenders that may still answer requests.
    retired: Vec<Arc<Recommender>>,
}

impl Following {
    /// Switches to the release that `current` names, if it is a new one.
    fn look(&mut self) {
        // What an outage of the database has left; else there is nothing to store.
        let _ = self.store();
        // The file is replaced atomically; without it, the release in use stays.
        let Ok(name) = read_current(&self.current) else { return };
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|(refused, at)| *refused == name && at.elapsed() < RETRY_INTERVAL);
        if name == self.in_use || is_refused {
            return;
        }
        self.activations.loading(&name);
        if let Outcome::Refused(_) = self.take_up(&name, SERVER) {
            self.refused = Some((name, Instant::now()));
        }
    }

    /// Switches to the release that a caller wants.
    fn activate(&mut self, wanted: Wanted) {
        let name = wanted.release.clone();
        let outcome = if name == self.in_use {
            self.activations.given_up();
            match self.write_current(&name) {
                Ok(()) => Outcome::InUse { previous: None },
                Err(error) => Outcome::Refused(error),
            }
        } else {
            self.take_up(&name, &wanted.caller)
        };
        wanted.answer(outcome);
    }

    fn take_up(&mut self, name: &str, caller: &str) -> Outcome {
        if let Err(reason) = self.fetch(name) {
            return self.refuse(name, &reason);
        }
        let loaded = match self.load(name) {
            Ok(Some(recommender)) if recommender.models.are_ready() => recommender,
            stopped @ Ok(_) => {
                // The server stops while it loads.
                self.retired.extend(stopped.ok().flatten().map(Arc::new));
                self.activations.given_up();
                return Outcome::Stopping;
            }
            Err(error) => return self.refuse(name, &error.to_string()),
        };
        if caller != SERVER
            && let Err(reason) = self.write_current(name)
        {
            self.retired.push(Arc::new(loaded));
            return self.refuse(name, &reason);
        }
        let previous = self.put_in_use(name, loaded);
        self.record(name, &previous, caller);
        Outcome::InUse { previous: Some(previous) }
    }

    fn refuse(&self, name: &str, reason: &str) -> Outcome {
        tracing::warn!(reason, in_use = self.in_use, refused = name, "refused a release");
        self.activations.refused(name, reason);
        self.state.recommender.refused();
        Outcome::Refused(reason.to_owned())
    }

    /// Downloads the release, if the folder is the copy of an object store and does not have it.
    fn fetch(&self, name: &str) -> Result<(), String> {
        let Some(store) = self.activations.store() else { return Ok(()) };
        store.fetch(name).map_err(|error| error.to_string())
    }

    /// Other servers of the folder or of the object store, and the next start, use the release that
    /// `current` names.
    fn write_current(&self, name: &str) -> Result<(), String> {
        if let Some(store) = self.activations.store() {
            return store.put_in_use(name).map_err(|error| error.to_string());
        }
        if read_current(&self.current).is_ok_and(|current| current == name) {
            return Ok(());
        }
        write_atomically(&self.current, name.as_bytes()).map_err(|error| {
            let path = self.current.display();
            format!("cannot write {path}: {error}; let the server write to this folder")
        })
    }

    /// Returns the name of the earlier release.
    fn put_in_use(&mut self, name: &str, recommender: Recommender) -> String {
        if let Err(error) = in_background(|| self.use_items(&recommender.catalogue)) {
            tracing::warn!(%error, "the database does not have the new items yet");
        }
        // After the items, so that those beside the catalogue are counted, too.
        let AppState { items, live_counts, recommender: in_use, .. } = &*self.state;
        let sink = self.state.event_sink();
        let mut counted = None;
        let mut replay = |sink: &EventSink, recommender: &Recommender| {
            let counts = LiveCounts::default();
            if let Err(error) = sink.replay(&counts, recommender, items, &mut counted) {
                tracing::warn!(%error, "the new release does not count the newest events yet");
            }
        };
        let earlier = match &sink {
            Some(sink @ EventSink::Storage(storage)) => {
                in_background(|| replay(sink, &recommender));
                // Events that arrive meanwhile are counted for the new release.
                let recommender = Arc::new(recommender);
                storage.block_on(live_counts.replace(in_use, recommender, counted))
            }
            Some(sink @ EventSink::Files(log)) => log.alone(|| {
                replay(sink, &recommender);
                in_use.replace(Arc::new(recommender))
            }),
            None => in_use.replace(Arc::new(recommender)),
        };
        self.retired.push(earlier);
        let previous = std::mem::replace(&mut self.in_use, name.to_owned());
        tracing::info!(from = previous, to = name, "switched to a new release");
        self.refused = None;
        previous
    }

    /// Follows the items of a new catalogue and copies them into the database. If that fails, lists
    /// use the fields of the catalogue.
    fn use_items(&self, catalogue: &Arc<Catalogue>) -> Result<(), StorageError> {
        let AppState { items, storage, .. } = &*self.state;
        items.follow(catalogue);
        match storage {
            Some(storage) => storage.block_on(copy_catalogue(items, storage, catalogue)).map(drop),
            None => Ok(()),
        }
    }

    /// The release with its language model loaded, unless the server stops meanwhile; `None` if
    /// it stops before.
    fn load(&self, name: &str) -> Result<Option<Recommender>, StartError> {
        let wait = |time| self.activations.pause(time);
        let (folder, maker) = (self.activations.folder(), self.options.maker);
        let parts = in_background(|| read_release(folder, name, maker))?;
        parts.check_embedder(self.options.embedder.as_ref())?;
        if parts.try_models(&self.options.load, &wait)? == Trial::Stopped {
            return Ok(None);
        }
        let recommender = parts.start(&self.options)?;
        while !recommender.models.are_ready() {
            if let Some(reason) = recommender.models.load_error() {
                return Err(StartError::Model(reason));
            }
            if !wait(LOADING_POLL) {
                break;
            }
        }
        Ok(Some(recommender))
    }

    /// Records an activation in memory and in the database.
    fn record(&self, name: &str, previous: &str, caller: &str) {
        let (release, previous) = (name.to_owned(), Some(previous.to_owned()));
        let caller = caller.to_owned();
        let activation = Activation { at: now(), release, previous, caller };
        if self.state.storage.is_some() {
            self.activations.to_store(activation.clone());
            if let Err(error) = self.store() {
                tracing::warn!(%error, "an activation is not in the database yet");
            }
        }
        self.activations.activated(activation);
    }

    /// Records the release of the start, if it is not the last one in the database.
    fn record_start(&self) {
        let Some(storage) = &self.state.storage else { return };
        let recorded = storage.block_on(storage.activations(ACTIVATIONS)).and_then(|stored| {
            self.activations.read(&stored);
            self.activations.to_store(Activation {
                at: now(),
                release: self.in_use.clone(),
                previous: stored.into_iter().next().map(|activation| activation.release),
                caller: SERVER.to_owned(),
            });
            self.store()
        });
        if let Err(error) = recorded {
            tracing::warn!(%error, "the release of the start is not in the database");
        }
    }

    /// Stores the activations that the database does not have yet. During an outage it fails at once.
    fn store(&self) -> Result<(), StorageError> {
        let Some(storage) = &self.state.storage else { return Ok(()) };
        while let Some(activation) = self.activations.next_to_store() {
            let stored = storage.block_on(async {
                let newest = storage.activations(1).await?;
                // Another server of the same database and folder has stored it: then this one has
                // found the release in `current`.
                let is_there = newest.first().is_some_and(|last| {
                    // The second: the connection was lost after it was stored.
                    activation.caller == SERVER && last.release == activation.release
                        || *last == activation
                });
                if !is_there {
                    storage.record_activation(&activation).await?;
                }
                storage.activations(ACTIVATIONS).await
            })?;
            self.activations.is_stored(stored);
        }
        Ok(())
    }

    /// Stops the models of earlier recommenders that answer no more requests.
    fn retire(&mut self) {
        self.retired.retain(|retired| {
            // The only handle: no request uses it, and no new one can.
            Arc::strong_count(retired) > 1 || !retired.models.stop(Duration::ZERO)
        });
    }
}
