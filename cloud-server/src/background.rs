//! What the server does beside answering requests, once a second or when something happens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    rt::{spawn, time::sleep},
    web,
};

use tandem_storage::{Change, Storage, StorageError};

use crate::{access::KeyFollower, files::blocking, state::AppState, storage::copy_catalogue};

/// Time between two looks for a new release of artefacts, and at the generators.
const REFRESH: Duration = Duration::from_secs(1);
/// Time between two looks that other servers ask for: many changes in a row are one look.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_millis(20);
/// Time after which clients that have not called are forgotten.
const FORGET: Duration = Duration::from_mins(1);

/// Starts all of it. It ends with the runtime of this thread.
pub(crate) fn start(state: &web::Data<AppState>) {
    spawn(keep_up(state.clone()));
    spawn(follow_items(state.clone()));
    for change in [Change::Items, Change::Activations, Change::Keys] {
        spawn(follow_announcements(state.clone(), change));
    }
    spawn(follow_keys(state.clone()));
    spawn(follow_generators(state.clone()));
    spawn(follow_event_stream(state.clone()));
    spawn(tell_when_ready(state.clone()));
}

/// Follows the artefacts and forgets idle clients, as long as the server runs.
async fn keep_up(state: web::Data<AppState>) {
    let mut forgotten = Instant::now();
    loop {
        sleep(REFRESH).await;
        let artifacts = Arc::clone(&state.recommender().artifacts);
        // Without an answer of the file system the release in use stays in use.
        let _ = blocking(move || artifacts.refresh()).await;
        if forgotten.elapsed() > FORGET {
            forgotten = Instant::now();
            state.access().forget_idle_clients();
        }
    }
}

/// Follows the items of the database, also those that other processes change, as long as the
/// server runs.
async fn follow_items(state: web::Data<AppState>) {
    let Some(storage) = state.storage.clone() else { return };
    let (mut answers, mut is_copied) = (true, false);
    loop {
        let followed = if answers && is_copied {
            state.items.refresh(&storage).await
        } else {
            // The first time in the background: the start does not wait for a large catalogue. Later
            // because a new one may not have been copied while the database did not answer.
            let catalogue = Arc::clone(&state.recommender().catalogue);
            copy_catalogue(&state.items, &storage, &catalogue).await.map(drop)
        };
        let followed = match followed {
            Ok(()) if state.store_events => follow_events(&state, &storage).await,
            other => other,
        };
        match &followed {
            Err(error) if answers => tracing::warn!(%error, "lists do not follow the items"),
            Ok(()) if !answers => tracing::info!("lists follow the items again"),
            _ => {}
        }
        answers = followed.is_ok();
        is_copied |= answers;
        sleep(crate::live_items::POLL).await;
    }
}

/// Counts the events that other servers have stored, and counts anew after the removal of a visitor.
pub(crate) async fn follow_events(state: &AppState, storage: &Storage) -> Result<(), StorageError> {
    let AppState { items, live_counts, recommender, trends, .. } = state;
    live_counts.erase(recommender, items, storage).await?;
    live_counts.follow(recommender, items, storage, None).await?;
    trends.refresh(items, storage).await
}

/// Looks at what another server of the same PostgreSQL has changed as soon as it is announced, as
/// long as the server runs. What this misses, the looks once a second find, which also tell of
/// failures.
async fn follow_announcements(state: web::Data<AppState>, change: Change) {
    let Some(storage) = state.storage.clone() else { return };
    let mut announcements = storage.announcements(change);
    loop {
        announcements.next().await;
        match change {
            Change::Items => {
                let _ = state.items.refresh(&storage).await;
            }
            Change::Activations => {
                state.releases.iter().for_each(|activations| activations.announced());
            }
            Change::Keys => state.key_follower.iter().for_each(KeyFollower::announced),
        }
        sleep(BETWEEN_ANNOUNCEMENTS).await;
    }
}

/// Follows the keys of the database, which commands change, as long as the server runs. Without an
/// answer of the database, those that were read last stay in use.
async fn follow_keys(state: web::Data<AppState>) {
    let Some(follower) = &state.key_follower else { return };
    let mut answers = true;
    loop {
        let is_asked = follower.pause(REFRESH).await;
        let followed = follower.changed(is_asked).await;
        match &followed {
            Ok(Some(keys)) => {
                state.update_access(|access| access.with_stored_keys(keys));
                tracing::info!(keys = keys.len(), "the keys of the storage were read");
                if keys.is_empty() {
                    tracing::warn!(
                        "the storage has no keys any more, and nobody is admitted; make one with \
                         `cloud-server keys new --storage`"
                    );
                }
            }
            Err(error) if answers || is_asked => {
                tracing::warn!(%error, "the keys cannot be read; those read last stay in use");
            }
            Ok(None) if !answers => tracing::info!("the keys can be read again"),
            _ => {}
        }
        answers = followed.is_ok();
    }
}

/// Follows which generators are ready, as long as the server runs.
async fn follow_generators(state: web::Data<AppState>) {
    let Some(generators) = state.generators.clone() else { return };
    loop {
        generators.look(state.recommender().catalogue.hash()).await;
        sleep(REFRESH).await;
    }
}

/// Follows whether the event stream answers, as long as the server runs.
async fn follow_event_stream(state: web::Data<AppState>) {
    let Some(stream) = state.event_stream.clone() else { return };
    loop {
        stream.look().await;
        sleep(REFRESH).await;
    }
}

/// Tells systemd when the language models are loaded, here or at a generator (`Type=notify`).
async fn tell_when_ready(state: web::Data<AppState>) {
    state.recommender().models.ready().await;
    while state.generators.is_some() && !state.is_ready() {
        sleep(REFRESH).await;
    }
    tell_systemd(&[sd_notify::NotifyState::Ready]);
}

pub(crate) fn tell_systemd(news: &[sd_notify::NotifyState<'_>]) {
    // Does nothing if the server was not started by systemd.
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!(%error, "could not notify systemd");
    }
}
