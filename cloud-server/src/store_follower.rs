//! The thread that follows the object store of `--release`: it keeps a copy of the releases on the
//! disk, which the follower of the folder uses.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_release_store::ReleaseStoreError;

use crate::{
    activations::Activations, followed_store::FollowedStore, priority::in_background,
    state::AppState,
};

/// Time between two looks at `current` of the store.
const POLL: Duration = Duration::from_secs(1);

/// The thread.
#[derive(Debug)]
pub(crate) struct StoreFollower {
    store: Arc<FollowedStore>,
    thread: JoinHandle<()>,
}

impl StoreFollower {
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(
        store: Arc<FollowedStore>,
        activations: Arc<Activations>,
        state: Arc<AppState>,
    ) -> io::Result<Self> {
        let followed = Arc::clone(&store);
        let run = move || {
            let mut following =
                Following { store: followed, activations, state, trouble: None, cleaned: None };
            while following.activations.pause_until_announced(POLL) {
                following.look();
                following.clean();
            }
        };
        let thread = thread::Builder::new().name("object store".to_owned()).spawn(run)?;
        Ok(Self { store, thread })
    }

    /// Ends a download that is going on, and lets none begin.
    pub(crate) fn end_download(&self) {
        self.store.copy.stop();
    }

    /// Ends the thread after the activations were stopped. A request that the store does not answer
    /// is not waited for longer than `patience`.
    pub(crate) fn stop(self, patience: Duration) {
        let until = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The state of the thread.
struct Following {
    store: Arc<FollowedStore>,
    activations: Arc<Activations>,
    state: Arc<AppState>,
    /// The last warning of the log, and whether it is about a store that does not answer.
    trouble: Option<(String, bool)>,
    /// The release in use when the folder was cleaned.
    cleaned: Option<String>,
}

impl Following {
    fn look(&mut self) {
        let followed = in_background(|| self.store.copy.follow());
        let answers = !followed.as_ref().is_err_and(ReleaseStoreError::is_temporary);
        self.store.note(answers);
        if answers && self.trouble.as_ref().is_some_and(|(_, is_outage)| *is_outage) {
            tracing::info!(store = %self.store.url(), "the object store answers again");
            self.trouble = None;
        }
        match followed {
            Ok(None) | Err(ReleaseStoreError::Stopped) => {}
            Ok(Some(release)) => {
                tracing::info!(release, "downloaded a new release");
                self.trouble = None;
                self.activations.look_now();
            }
            Err(error) => {
                if answers {
                    self.state.recommender.refused();
                }
                let text = error.to_string();
                // Reasons of an outage have times in them.
                let is_known = |(before, is_outage): &(String, bool)| {
                    *before == text || !answers && *is_outage
                };
                if !self.trouble.as_ref().is_some_and(is_known) {
                    let in_use = self.activations.in_use();
                    tracing::warn!(%error, in_use, "the server does not follow the object store");
                    self.trouble = Some((text, !answers));
                }
            }
        }
    }

    /// Removes releases that are not needed any more, after a switch.
    fn clean(&mut self) {
        let snapshot = self.activations.snapshot();
        if snapshot.loading.is_some() || self.cleaned.as_ref() == Some(&snapshot.in_use) {
            return;
        }
        if let Err(error) = self.store.copy.remove_older(&snapshot.in_use) {
            tracing::warn!(%error, "cannot remove an older release");
        }
        self.cleaned = Some(snapshot.in_use);
    }
}
