use std::{collections::HashSet, sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header::ContentType, web};
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::AddedItems;
use tandem_protocol::{
    Counts, ItemCounts, ItemId, ItemRow, NearItem, Problem, RowsRequest, RowsResponse,
};

use super::{artifacts::RELEASE_HEADER, candidates::row_of, release::find_release};
use crate::{
    artifacts::Release, body::JsonBody, error::ApiError, files::blocking, item_ids::resolve_ids,
    state::AppState,
};

/// Maximum number of rows that are encoded on the HTTP thread. More rows are encoded on the
/// thread pool, one request at a time, so that they do not take the language models' processors.
const MAX_INLINE_ROWS: usize = 100;
/// Time that a large request waits for those before it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Rows of the small model's item table, and co-occurrence counts.
#[utoipa::path(
    post, path = "/v1/rows", tag = "public", request_body = RowsRequest,
    responses(
        (status = 200, description = "Rows of the known items, in order", body = RowsResponse),
        (status = 400, description = "A field is missing, unknown or out of range", body = Problem),
        (status = 409, description = "The server does not have the release", body = Problem),
        (status = 429, description = "Too many requests of this client or key", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn rows(
    state: web::Data<AppState>,
    JsonBody(request): JsonBody<RowsRequest>,
) -> Result<HttpResponse, ApiError> {
    let recommender = state.recommender();
    let catalogue = &recommender.catalogue;
    let added = state.items.added(catalogue);
    let has_row = |item: &ItemIndex| {
        item.position() < catalogue.len()
            || added.as_ref().is_some_and(|added| added.text(*item).is_some())
    };
    let position = |id: &ItemId| state.items.position(catalogue, id).filter(has_row);
    let (items, unknown_items) = resolve_ids("items", &request.items, position, state.limits.rows)?;
    let (counted, unknown_counted) =
        resolve_ids("counts", &request.counts, position, Counts::NEWEST)?;
    let release = find_release(&recommender.artifacts, request.release.as_deref()).await?;
    let name = release.hash().to_owned();
    // Those that the shop has hidden would not be shown.
    let neighbours = |&item: &ItemIndex| {
        let near = release.near(item);
        let near = near.map(|(near, weight)| (catalogue.get(near).id.clone(), (near, weight)));
        (item, state.items.first_visible(near, None, usize::MAX))
    };
    let counted = counted.iter().filter(|item| release.has_counts(**item)).map(neighbours);
    let wanted = Wanted {
        counted: counted.collect(),
        catalogue: Arc::clone(catalogue),
        added,
        release,
        items,
        unknown: unknown_items + unknown_counted,
    };
    let json = if wanted.rows() <= MAX_INLINE_ROWS {
        wanted.encode()?
    } else {
        let turn = tokio::time::timeout(PATIENCE, state.large_rows.acquire()).await;
        let _turn = turn.map_err(|_| ApiError::Busy)?;
        blocking(move || wanted.encode()).await??
    };
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((RELEASE_HEADER, name))
        .body(json))
}

/// What a response has.
struct Wanted {
    catalogue: Arc<Catalogue>,
    added: Option<Arc<AddedItems>>,
    release: Arc<Release>,
    items: Vec<ItemIndex>,
    /// Items with the ids, positions and weights of their neighbours.
    counted: Vec<(ItemIndex, Vec<Neighbour>)>,
    unknown: usize,
}

type Neighbour = (ItemId, (ItemIndex, f32));

impl Wanted {
    /// Number of rows, at most.
    fn rows(&self) -> usize {
        let of_neighbours = self.counted.iter().map(|(_, neighbours)| neighbours.len());
        self.items.len() + of_neighbours.sum::<usize>()
    }

    fn encode(&self) -> Result<Vec<u8>, ApiError> {
        let row = |&item: &ItemIndex| Some(ItemRow { item: self.id(item), row: self.row(item)? });
        let rows = self.items.iter().filter_map(row).collect();
        let mut sent: HashSet<ItemIndex> = self.items.iter().copied().collect();
        let mut near = |(id, (position, weight)): &Neighbour| {
            let row = if sent.insert(*position) { self.row(*position) } else { None };
            NearItem { item: id.clone(), weight: *weight, row }
        };
        let counts = self.counted.iter().map(|(item, neighbours)| ItemCounts {
            item: self.id(*item),
            near: neighbours.iter().map(&mut near).collect(),
        });
        let counts = counts.collect();
        let rows_hash = self.release.rows_hash().to_owned();
        let response = RowsResponse { rows_hash, rows, counts, unknown: self.unknown };
        serde_json::to_vec(&response).map_err(|_| ApiError::Internal)
    }

    fn row(&self, item: ItemIndex) -> Option<String> {
        row_of(&self.release, &self.catalogue, self.added.as_deref(), item)
    }

    fn id(&self, item: ItemIndex) -> ItemId {
        match self.added.as_ref().and_then(|added| added.get(item)) {
            Some(added) => added.item.id.clone(),
            None => self.catalogue.get(item).id.clone(),
        }
    }
}
