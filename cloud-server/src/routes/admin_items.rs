//! The search of the catalogue on the admin page.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use actix_web::{
    HttpResponse,
    middleware::from_fn,
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use tandem_dataset::{Item, ItemIndex};
use tandem_protocol::{ItemId, Problem};
use tandem_storage::{SearchWords, StoredItem};

use super::{admin::uncached, get_or_head, not_allowed, only_admin};
use crate::{
    body::JsonBody, error::ApiError, files::blocking, popularity::Popularity, query::Query,
    recommender::Recommender, state::AppState,
};

/// Maximum number of items on a page of found ones.
const MAX_FOUND: usize = 100;
const DEFAULT_FOUND: usize = 30;
/// Maximum number of items in a request for items.
const MAX_ITEMS: usize = 1_000;

/// The route below `/v1`.
pub(super) fn configure(routes: &mut ServiceConfig) {
    routes.service(
        web::resource("/admin/items")
            .route(web::route().guard(get_or_head()).to(find_items))
            .route(web::post().to(items))
            .default_service(not_allowed("GET, HEAD, POST"))
            .wrap(from_fn(only_admin)),
    );
}

/// The query of `GET /v1/admin/items`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsQuery {
    /// Words that an item must have, as in `GET /v1/items`, the last one as the beginning of a word;
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
    let q = q.trim().to_owned();
    let stored = match &state.storage {
        Some(storage) if !q.is_empty() => storage.matching_ids(&q).await.ok(),
        _ => None,
    };
    let stored = stored.map(|ids| ids.into_iter().collect());
    let shared = state.clone().into_inner();
    // A large catalogue takes a while.
    let mut found = blocking(move || find(&shared, &q, stored.as_ref(), offset, limit)).await?;
    show_stored(&state, &mut found.items).await;
    Ok(uncached(&found))
}

/// Finds items: by the texts of the database, of which `stored` are those that it has found. While
/// it does not answer, and for deleted items, by those of the catalogue.
fn find(
    state: &Arc<AppState>,
    wanted: &str,
    stored: Option<&HashSet<ItemId>>,
    offset: usize,
    limit: usize,
) -> FoundItems {
    let recommender = state.recommender();
    let catalogue = &recommender.catalogue;
    let (words, part_of_id) = (SearchWords::new(wanted), wanted.to_lowercase());
    let is_found = |item: &Item| {
        if wanted.is_empty() || item.id.as_str().to_lowercase().contains(&part_of_id) {
            return true;
        }
        match stored {
            Some(stored) if !state.items.is_deleted(&item.id) => stored.contains(&item.id),
            _ => {
                let texts = [item.id.as_str(), &item.title, &item.brand].into_iter();
                words.are_in(texts.chain(item.genres.iter().map(String::as_str)))
            }
        }
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
        let is_wanted = |item: &Item| item.id.as_str().to_lowercase() == part_of_id;
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
    let mut items = described(&state, &recommender, known);
    drop(popularity);
    show_stored(&state, &mut items).await;
    Ok(uncached(&ItemsResponse { items }))
}

/// Shows items as they are stored; those of the catalogue stay if the database does not answer.
async fn show_stored(state: &AppState, items: &mut [CatalogueItem]) {
    let Some(storage) = &state.storage else { return };
    let ids: Vec<ItemId> = items.iter().map(|item| ItemId::new(item.id.as_str())).collect();
    let Ok(stored) = storage.items_by_id(&ids).await else { return };
    let mut stored: HashMap<String, StoredItem> =
        stored.into_iter().map(|item| (item.id.as_str().to_owned(), item)).collect();
    for item in items {
        if let Some(StoredItem { title, categories, year, .. }) = stored.remove(&item.id) {
            (item.title, item.genres) = (title, categories);
            item.year = year.and_then(|year| u16::try_from(year).ok());
        }
    }
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
