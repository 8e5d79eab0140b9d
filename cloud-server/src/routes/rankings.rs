//! Lists of items that need no visitor: popular, latest, trending and similar ones.

use std::sync::Arc;

use actix_web::web;
use serde::{Deserialize, Serialize};
use tandem_dataset::ItemIndex;
use tandem_protocol::{ItemId, Problem};

use crate::{
    access::Caller,
    error::ApiError,
    files::blocking,
    popularity::Popularity,
    query::Query,
    recommender::Recommender,
    shown_items::ShownItem,
    similar::{Comparison, Similarities, similarities},
    state::AppState,
    trends::Window,
};

const DEFAULT_LIMIT: u32 = 50;
/// Maximum number of items in a list.
const MAX_LIMIT: u32 = 200;

/// Items to show, best first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ItemRanking {
    /// What the order is based on.
    by: Vec<RankedBy>,
    /// The items.
    items: Vec<ShownItem>,
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum RankedBy {
    /// Number of interactions, with those of visitors who are on the site now.
    Popularity,
    /// When an item was added.
    Created,
    /// Clicks and purchases of the last hour or day.
    Events,
    /// Similarity of texts.
    Text,
    /// Items that are chosen together.
    Counts,
    /// Rows of the small model.
    SmallModel,
}

impl From<Comparison> for RankedBy {
    fn from(comparison: Comparison) -> Self {
        match comparison {
            Comparison::Text => Self::Text,
            Comparison::Counts => Self::Counts,
            Comparison::SmallModel => Self::SmallModel,
        }
    }
}

/// The query of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankingQuery {
    /// A category that the items must have.
    category: Option<String>,
    /// Maximum number of items, 1 to 200 (default: 50).
    limit: Option<u32>,
}

/// The query of `GET /v1/items/trending`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrendingQuery {
    /// A category that the items must have.
    category: Option<String>,
    /// Maximum number of items, 1 to 200 (default: 50).
    limit: Option<u32>,
    /// `hour`: an event counts half after an hour; `day` (default): after a day.
    #[param(inline)]
    window: Option<Window>,
}

/// The query of `GET /v1/items/{id}/similar`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimilarQuery {
    /// A category that the items must have.
    category: Option<String>,
    /// Maximum number of items, 1 to 200 (default: 50).
    limit: Option<u32>,
    /// The one comparison to use: `text`, `counts` or `small_model` (default: all that the release
    /// has).
    #[param(inline)]
    by: Option<Comparison>,
}

/// The items that are chosen most.
///
/// By the number of interactions in the training log and since then: with ranking signals up to
/// now, without them since the server started. Items that are not available are left out.
#[utoipa::path(
    get, path = "/v1/items/popular", tag = "public", params(RankingQuery),
    responses((status = 200, description = "The items", body = ItemRanking)),
    security(("key" = [])),
)]
pub(crate) async fn popular(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    query: Result<Query<RankingQuery>, ApiError>,
) -> Result<web::Json<ItemRanking>, ApiError> {
    let RankingQuery { category, limit } = parameters(query)?;
    let page = Page::new(category, limit)?;
    let popularity = |state: &AppState, recommender: &Recommender| {
        let popularity = Popularity::new(recommender, &state.trends);
        let catalogue = &recommender.catalogue;
        let known = catalogue.indices().map(|index| {
            let item = catalogue.get(index);
            (item.id.clone(), popularity.of_known(index, item))
        });
        let added = popularity.chosen_since_start().filter(|id| catalogue.index_of(id).is_none());
        let added = added.map(|id| (id.clone(), popularity.of_added(id)));
        let mut ranked: Vec<(ItemId, f64)> = known.chain(added).collect();
        // A stable sort: ties are in the order of the catalogue.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    };
    page.ranked(state, &caller, vec![RankedBy::Popularity], popularity).await
}

/// The items that were added last.
///
/// An item of a catalogue counts as added when it was copied into the database. Items that are not
/// available are left out. 404 without `--storage`.
#[utoipa::path(
    get, path = "/v1/items/latest", tag = "public", params(RankingQuery),
    responses(
        (status = 200, description = "The items", body = ItemRanking),
        (status = 404, description = "The server has no storage", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn latest(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    query: Result<Query<RankingQuery>, ApiError>,
) -> Result<web::Json<ItemRanking>, ApiError> {
    let RankingQuery { category, limit } = parameters(query)?;
    let Page { category, limit } = Page::new(category, limit)?;
    let storage = state.storage.as_ref().ok_or(ApiError::NO_STORAGE)?;
    let catalogue = Arc::clone(&state.recommender().catalogue);
    let known = (&state.items, &catalogue);
    let items = state.shown_items.latest(known, storage, category, limit).await;
    let items = items.into_iter().map(|item| item.shown_to(caller.role)).collect();
    Ok(web::Json(ItemRanking { by: vec![RankedBy::Created], items }))
}

/// The items that were chosen most in the last hour or day.
///
/// The score of an item is the number of clicks and purchases, each of which counts half after an
/// hour or a day. Items that are not available are left out. 404 unless the server stores events.
#[utoipa::path(
    get, path = "/v1/items/trending", tag = "public", params(TrendingQuery),
    responses(
        (status = 200, description = "The items", body = ItemRanking),
        (status = 404, description = "The server stores no events", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn trending(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    query: Result<Query<TrendingQuery>, ApiError>,
) -> Result<web::Json<ItemRanking>, ApiError> {
    let TrendingQuery { category, limit, window } = parameters(query)?;
    let page = Page::new(category, limit)?;
    if state.event_sink().is_none() {
        return Err(ApiError::NO_EVENTS);
    }
    let window = window.unwrap_or_default();
    let trending = move |state: &AppState, _: &Recommender| state.trends.trending(window);
    page.ranked(state, &caller, vec![RankedBy::Events], trending).await
}

/// The items that are most similar to an item.
///
/// By the similarity of texts, by what visitors choose together, and by the rows of the small
/// model, as far as the release has them; `by` in the response names those that were used. An item
/// that no model knows is compared by its text, with an embedding model (`--embedder`), and by what
/// visitors have chosen since; without either the list is empty. Items that are not available are
/// left out; the item itself need not be available.
#[utoipa::path(
    get, path = "/v1/items/{id}/similar", tag = "public",
    params(("id" = String, Path, description = "The shop's id"), SimilarQuery),
    responses(
        (status = 200, description = "The items", body = ItemRanking),
        (status = 404, description = "No such item", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn similar(
    state: web::Data<AppState>,
    id: web::Path<String>,
    caller: web::ReqData<Caller>,
    query: Result<Query<SimilarQuery>, ApiError>,
) -> Result<web::Json<ItemRanking>, ApiError> {
    let SimilarQuery { category, limit, by: only } = parameters(query)?;
    let page = Page::new(category, limit)?;
    let id = ItemId::new(id.into_inner());
    let recommender = state.recommender();
    let added = state.items.added(&recommender.catalogue);
    let Some(item) = state.items.position(&recommender.catalogue, &id) else {
        if state.items.knows(&id) {
            return Ok(web::Json(ItemRanking { by: Vec::new(), items: Vec::new() }));
        }
        return Err(ApiError::ItemNotFound { item: id.to_string() });
    };
    let compared = blocking(move || {
        let Similarities { by, scores, counted } =
            similarities(&recommender, added.as_deref(), item, only);
        let catalogue = &recommender.catalogue;
        let id_at = |position: usize| match (catalogue.items().get(position), &added) {
            (Some(item), _) => Some(item.id.clone()),
            (None, Some(added)) => {
                let index = ItemIndex(position as u32);
                // Nothing is known of an added item without a text that was never chosen together
                // with this one.
                let is_compared = added.text(index).is_some()
                    || counted.get(position).is_some_and(|count| *count > 0.0);
                added.get(index).filter(|_| is_compared).map(|added| added.item.id.clone())
            }
            (None, None) => None,
        };
        let others = scores.into_iter().enumerate();
        let others = others.filter_map(|(at, score)| Some((id_at(at)?, f64::from(score))));
        let mut ranked: Vec<_> = others.filter(|(other, _)| *other != id).collect();
        if by.is_empty() {
            ranked.clear();
        }
        if matches!(*by, [Comparison::Counts]) {
            // The others were never chosen together with it.
            ranked.retain(|(_, score)| *score > 0.0);
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        (by, ranked)
    });
    let (by, ranked) = compared.await?;
    let by = by.into_iter().map(RankedBy::from).collect();
    page.ranked(state, &caller, by, |_, _| ranked).await
}

/// Category and length of a list.
struct Page {
    category: Option<String>,
    limit: u32,
}

impl Page {
    fn new(category: Option<String>, limit: Option<u32>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::InvalidField {
                field: "limit".to_owned(),
                detail: format!("expected 1 to {MAX_LIMIT}, found {limit}"),
            });
        }
        if category.as_ref().is_some_and(|category| category.contains('\0')) {
            return Err(ApiError::InvalidField {
                field: "category".to_owned(),
                detail: "the character U+0000 is not allowed".to_owned(),
            });
        }
        Ok(Self { category, limit })
    }

    /// The first items of a ranking that may be recommended. The ranking is made on the thread
    /// pool, because it looks at every item.
    async fn ranked(
        self,
        state: web::Data<AppState>,
        caller: &Caller,
        by: Vec<RankedBy>,
        ranking: impl FnOnce(&AppState, &Recommender) -> Vec<(ItemId, f64)> + Send + 'static,
    ) -> Result<web::Json<ItemRanking>, ApiError> {
        let Self { category, limit } = self;
        let recommender = state.recommender();
        let (shared, of) = (state.clone().into_inner(), Arc::clone(&recommender));
        let first = blocking(move || {
            let ranked = ranking(&shared, &of);
            shared.items.first_visible(ranked, category.as_deref(), limit as usize)
        });
        let first = first.await?;
        let known = (&state.items, &recommender.catalogue);
        let items = state.shown_items.ranked(known, state.storage.as_ref(), first).await;
        let items = items.into_iter().map(|item| item.shown_to(caller.role)).collect();
        Ok(web::Json(ItemRanking { by, items }))
    }
}

fn parameters<T>(query: Result<Query<T>, ApiError>) -> Result<T, ApiError> {
    query.map(|Query(parameters)| parameters)
}
