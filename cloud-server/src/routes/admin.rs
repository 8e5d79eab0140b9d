//! What the admin page shows: the last hour, the storage and the keys.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use serde::Serialize;
use tandem_protocol::{EngineKind, HostedModel, Problem};
use tandem_storage::{EventCounts, Sizes};

use super::get;
use crate::{
    access::Key,
    authorize::Access,
    clock::now,
    error::ApiError,
    files::blocking,
    live_items::ItemCounts,
    recent::{Hour, RecentError},
    recommender::Recommender,
    state::AppState,
    storage::refusal,
};

const HOUR_MS: u32 = 3_600_000;
/// Hours of which events are counted.
const EVENT_HOURS: u64 = 24;

/// The routes below `/v1`.
pub(super) fn configure(routes: &mut ServiceConfig) {
    routes
        .service(get("/admin/overview", Access::Admin, overview))
        .service(get("/admin/storage", Access::Admin, storage))
        .service(get("/admin/keys", Access::Admin, keys));
}

/// The response of `GET /v1/admin/overview`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Overview {
    version: &'static str,
    /// The server's time, in milliseconds since 1970.
    now: u64,
    /// Seconds since the start of the server.
    uptime_s: u64,
    dataset: String,
    /// Number of items of the catalogue and of the database that were not deleted.
    items: usize,
    /// Number of those that only the database has.
    items_added: usize,
    /// Number of items of the catalogue that were deleted.
    items_deleted: usize,
    /// Number of those that only the database has and the default model ranks in no list: it is an
    /// item-token model, and they have no text vector, or not yet. 0 on a server that gets its lists
    /// from others.
    items_unranked: usize,
    /// Whether the database answers; `null` without --storage.
    storage_answers: Option<bool>,
    /// Name of the release in use; `null` without --release.
    release: Option<String>,
    /// Name of the artefacts in use.
    artifacts: String,
    /// The language models, the default first.
    models: Vec<ModelNow>,
    /// Number of open connections.
    connections: usize,
    /// The last hour, without the requests of monitoring and of the admin page.
    hour: Hour,
    /// The last responses with a status of 500 or more, the newest first.
    errors: Vec<RecentError>,
}

/// A language model.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ModelNow {
    name: String,
    ready: bool,
    engine: Option<EngineKind>,
    /// Number of waiting requests.
    queued: usize,
}

/// The state of the server and the numbers of the last hour.
#[utoipa::path(
    get, path = "/v1/admin/overview", tag = "admin",
    responses((status = 200, description = "The overview", body = Overview)),
    security(("key" = [])),
)]
pub(crate) async fn overview(state: web::Data<AppState>) -> HttpResponse {
    let recommender = state.recommender();
    let Recommender { catalogue, dataset, artifacts, models, .. } = &*recommender;
    let model = |status: HostedModel| {
        // The queue of a generator is its own.
        let here = models.iter().find(|model| model.name == status.name);
        let queued = here.map_or(0, |model| model.worker.queued());
        ModelNow { name: status.name, ready: status.ready, engine: status.engine, queued }
    };
    let (recent, now) = (&state.metrics.recent, now());
    let ItemCounts { all, added, deleted } = state.items.counts(catalogue);
    uncached(&Overview {
        version: env!("CARGO_PKG_VERSION"),
        now,
        uptime_s: recent.uptime_s(),
        dataset: dataset.name.clone(),
        items: all,
        items_added: added,
        items_deleted: deleted,
        items_unranked: unranked(&state, &recommender, added),
        storage_answers: state.storage.as_ref().map(|storage| storage.check().is_ok()),
        release: state.releases.as_ref().map(|releases| releases.in_use()),
        artifacts: artifacts.current().hash().to_owned(),
        models: state.hosted_models().into_iter().map(model).collect(),
        connections: state.open_connections(),
        hour: recent.hour(now),
        errors: recent.errors(),
    })
}

/// The number of the `added` items that the default model cannot rank.
fn unranked(state: &AppState, recommender: &Recommender, added: usize) -> usize {
    let engine = recommender.models.iter().next().and_then(|model| model.status().engine);
    if engine != Some(EngineKind::ItemTokens) {
        return 0;
    }
    let items = state.items.added(&recommender.catalogue);
    added.saturating_sub(items.map_or(0, |items| items.texts()))
}

/// The response of `GET /v1/admin/storage`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StorageState {
    /// The database; `null` without --storage.
    database: Option<Database>,
    /// The files of the event log; `null` without --events.
    event_log: Option<EventLogState>,
}

/// The database of `--storage`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Database {
    /// Where it is, without user and password.
    location: String,
    /// Number of items, number of events and bytes on the disk.
    #[schema(value_type = Object)]
    sizes: Sizes,
    /// Whether events are stored.
    stores_events: bool,
    /// Number of stored events by hour and kind, of the last 24 hours, the oldest first.
    #[schema(value_type = Vec<Object>)]
    events: Vec<EventCounts>,
}

/// The event log of `--events`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct EventLogState {
    files: Vec<LogFile>,
    /// Size at which a file accepts no more events, in bytes.
    max_bytes: u64,
}

/// A file of the event log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LogFile {
    name: &'static str,
    bytes: u64,
}

/// What is stored, and the events of the last 24 hours.
#[utoipa::path(
    get, path = "/v1/admin/storage", tag = "admin",
    responses(
        (status = 200, description = "The storage", body = StorageState),
        (status = 503, description = "The storage does not answer", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn storage(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let database = match &state.storage {
        None => None,
        Some(storage) => {
            let sizes = storage.sizes().await.map_err(|error| refusal(&error))?;
            let since = now().saturating_sub(EVENT_HOURS * u64::from(HOUR_MS));
            let events = storage.event_counts(since, HOUR_MS).await;
            Some(Database {
                location: storage.location().to_string(),
                sizes,
                stores_events: state.store_events,
                events: events.map_err(|error| refusal(&error))?,
            })
        }
    };
    let event_log = match state.events.clone() {
        None => None,
        Some(log) => Some(
            blocking(move || EventLogState {
                files: log.sizes().map(|(name, bytes)| LogFile { name, bytes }).into(),
                max_bytes: log.max_bytes(),
            })
            .await?,
        ),
    };
    Ok(uncached(&StorageState { database, event_log }))
}

/// The response of `GET /v1/admin/keys`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct KeyList {
    /// The keys; `null` if the server has none.
    keys: Option<Vec<ListedKey>>,
}

/// A key, without its text and hash.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ListedKey {
    id: String,
    name: String,
    /// `public` or `admin`.
    kind: &'static str,
    /// The day on which it was made (UTC); `null` if that is not known.
    created: Option<String>,
    /// Pages that may use it; empty: all.
    origins: Vec<String>,
}

/// The keys, without what would let anyone use them.
#[utoipa::path(
    get, path = "/v1/admin/keys", tag = "admin",
    responses((status = 200, description = "The keys", body = KeyList)),
    security(("key" = [])),
)]
pub(crate) async fn keys(state: web::Data<AppState>) -> HttpResponse {
    let listed = |key: &Key| ListedKey {
        id: key.id.clone(),
        name: key.name.clone(),
        kind: key.kind.name(),
        created: key.created.clone(),
        origins: key.origins.iter().map(ToString::to_string).collect(),
    };
    let access = state.access();
    let keys = access.keys().map(|keys| keys.into_iter().map(listed).collect());
    uncached(&KeyList { keys })
}

pub(super) fn uncached(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
