//! What the admin page shows: the last hour, the storage, the keys and the catalogue.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header,
    middleware::from_fn,
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use tandem_dataset::{Item, ItemIndex};
use tandem_protocol::{EngineKind, HostedModel, ItemId, Problem};
use tandem_storage::{EventCounts, SearchWords, Sizes};

use super::{get, get_or_head, not_allowed, only_admin};
use crate::{
    access::{Key, KeyKind},
    authorize::Access,
    body::JsonBody,
    clock::now,
    error::ApiError,
    files::blocking,
    live_items::ItemCounts,
    popularity::Popularity,
    query::Query,
    recent::{Hour, RecentError},
    recommender::Recommender,
    state::AppState,
    storage::refusal,
};

/// Maximum number of items that a search finds.
const MAX_FOUND: usize = 100;
const DEFAULT_FOUND: usize = 30;
/// Maximum number of items in a request for items.
const MAX_ITEMS: usize = 1_000;
const HOUR_MS: u32 = 3_600_000;
/// Hours of which events are counted.
const EVENT_HOURS: u64 = 24;

/// The routes below `/v1`.
pub(super) fn configure(routes: &mut ServiceConfig) {
    routes
        .service(get("/admin/overview", Access::Admin, overview))
        .service(get("/admin/storage", Access::Admin, storage))
        .service(get("/admin/keys", Access::Admin, keys))
        .service(
            web::resource("/admin/items")
                .route(web::route().guard(get_or_head()).to(find_items))
                .route(web::post().to(items))
                .default_service(not_allowed("GET, HEAD, POST"))
                .wrap(from_fn(only_admin)),
        );
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
        kind: match key.kind {
            KeyKind::Public => "public",
            KeyKind::Admin => "admin",
        },
        created: key.created.clone(),
        origins: key.origins.iter().map(ToString::to_string).collect(),
    };
    let access = state.access();
    let keys = access.keys().map(|keys| keys.into_iter().map(listed).collect());
    uncached(&KeyList { keys })
}

/// The query of `GET /v1/admin/items`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsQuery {
    /// Words that title, brand, categories or id must have, the last one as the beginning of a word;
    /// or a part of the id, in any case (default: all items).
    #[serde(default)]
    q: String,
    /// Maximum number of items, 1 to 100 (default: 30).
    limit: Option<usize>,
    /// Number of items to leave out: those of the pages before (default: 0).
    #[serde(default)]
    offset: usize,
}

/// The response of `GET /v1/admin/items`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FoundItems {
    /// Number of items that were found, those above the limit included and deleted ones not.
    found: usize,
    /// Number of deleted items that were found.
    found_deleted: usize,
    /// Number of items of the catalogue and of the database that were not deleted.
    items_in_catalogue: usize,
    /// The item whose id was searched, then those that were chosen most.
    items: Vec<CatalogueItem>,
}

/// An item of the catalogue in use.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CatalogueItem {
    id: String,
    title: String,
    year: Option<u16>,
    genres: Vec<String>,
    /// How often it was chosen, in the training log and since then, as in `GET /v1/items/popular`.
    popularity: f64,
    /// Whether it can be recommended: it is not hidden by the database.
    available: bool,
    /// Whether it was deleted from the database.
    deleted: bool,
}

/// Items of the catalogue in use, and those that only the database has, by words of their texts or by
/// a part of their id.
#[utoipa::path(
    get, path = "/v1/admin/items", tag = "admin", params(ItemsQuery),
    responses(
        (status = 200, description = "The items", body = FoundItems),
        (status = 400, description = "A parameter is out of range", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn find_items(
    state: web::Data<AppState>,
    query: Result<Query<ItemsQuery>, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let Query(ItemsQuery { q, limit, offset }) = query?;
    let limit = limit.unwrap_or(DEFAULT_FOUND);
    if !(1..=MAX_FOUND).contains(&limit) {
        return Err(ApiError::InvalidField {
            field: "limit".to_owned(),
            detail: format!("expected a whole number from 1 to {MAX_FOUND}, found {limit}"),
        });
    }
    let state = state.into_inner();
    // A large catalogue takes a while.
    let found = blocking(move || find(&state, q.trim(), offset, limit)).await?;
    Ok(uncached(&found))
}

fn find(state: &Arc<AppState>, wanted: &str, offset: usize, limit: usize) -> FoundItems {
    let recommender = state.recommender();
    let catalogue = &recommender.catalogue;
    let (words, part_of_id) = (SearchWords::new(wanted), wanted.to_lowercase());
    let is_found = |item: &Item| {
        let texts = [item.id.as_str(), &item.title, &item.brand].into_iter();
        wanted.is_empty()
            || item.id.as_str().to_lowercase().contains(&part_of_id)
            || words.are_in(texts.chain(item.genres.iter().map(String::as_str)))
    };
    let added = state.items.added(catalogue);
    let added: Vec<&Item> = added.iter().flat_map(|added| added.items()).collect();
    let known = catalogue.indices().map(|index| (Some(index), catalogue.get(index)));
    let added = added.into_iter().map(|item| (None, item));
    let found: Vec<(Option<ItemIndex>, &Item)> =
        known.chain(added).filter(|(_, item)| is_found(item)).collect();
    let found_deleted = found.iter().filter(|(_, item)| state.items.is_deleted(&item.id)).count();
    let count = found.len() - found_deleted;
    // Only now, because events wait for it.
    let popularity = Popularity::new(&recommender, &state.trends);
    let chosen = |(index, item): (Option<ItemIndex>, _)| match index {
        Some(index) => (item, popularity.of_known(index, item)),
        None => (item, popularity.of_added(&item.id)),
    };
    let mut found: Vec<(&Item, f64)> = found.into_iter().map(chosen).collect();
    drop(popularity);
    // Stable: items of equal popularity stay in the order of the catalogue.
    found.sort_by(|(a, chosen_a), (b, chosen_b)| {
        let is_wanted = |item: &Item| item.id.as_str() == wanted;
        is_wanted(b).cmp(&is_wanted(a)).then(chosen_b.total_cmp(chosen_a))
    });
    let page = found.into_iter().skip(offset).take(limit);
    FoundItems {
        found: count,
        found_deleted,
        items_in_catalogue: state.items.counts(catalogue).all,
        items: described(state, &recommender, page),
    }
}

/// The body of `POST /v1/admin/items`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsRequest {
    /// At most 1,000 ids.
    items: Vec<ItemId>,
}

/// The response of `POST /v1/admin/items`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ItemsResponse {
    /// Those of the items that are in the catalogue, in the order of the request.
    items: Vec<CatalogueItem>,
}

/// Items of the catalogue in use, by their ids.
#[utoipa::path(
    post, path = "/v1/admin/items", tag = "admin", request_body = ItemsRequest,
    responses(
        (status = 200, description = "The items that the server knows", body = ItemsResponse),
        (status = 400, description = "Too many items", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn items(
    state: web::Data<AppState>,
    JsonBody(ItemsRequest { items }): JsonBody<ItemsRequest>,
) -> Result<HttpResponse, ApiError> {
    if items.len() > MAX_ITEMS {
        return Err(ApiError::InvalidField {
            field: "items".to_owned(),
            detail: format!("expected at most {MAX_ITEMS} items, found {}", items.len()),
        });
    }
    let recommender = state.recommender();
    let catalogue = &recommender.catalogue;
    let added = state.items.added(catalogue);
    let popularity = Popularity::new(&recommender, &state.trends);
    let item = |id: &ItemId| {
        let position = state.items.position(catalogue, id)?;
        match added.as_ref().and_then(|added| added.get(position)) {
            Some(added) => Some((&added.item, popularity.of_added(id))),
            None => catalogue.index_of(id).map(|index| {
                let item = catalogue.get(index);
                (item, popularity.of_known(index, item))
            }),
        }
    };
    let known = items.iter().filter_map(item);
    Ok(uncached(&ItemsResponse { items: described(&state, &recommender, known) }))
}

fn described<'c>(
    state: &AppState,
    recommender: &Recommender,
    items: impl Iterator<Item = (&'c Item, f64)>,
) -> Vec<CatalogueItem> {
    let mut hidden = Vec::new();
    state.items.exclude(&recommender.catalogue, &mut hidden);
    let is_hidden = |id: &ItemId| {
        let position = state.items.position(&recommender.catalogue, id);
        position.is_some_and(|item| hidden.contains(&item))
    };
    let describe = |(item, popularity): (&Item, f64)| CatalogueItem {
        id: item.id.as_str().to_owned(),
        title: item.title.clone(),
        year: item.year,
        genres: item.genres.clone(),
        popularity,
        available: !is_hidden(&item.id),
        deleted: state.items.is_deleted(&item.id),
    };
    items.map(describe).collect()
}

fn uncached(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
