use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header::ContentType, web};
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::AddedItems;
use tandem_protocol::{ItemId, ItemRow, Problem, RowsRequest, RowsResponse};

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

/// Rows of the small model's item table.
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
    let (items, unknown) = resolve_ids(&request.items, position, &state.limits)?;
    let release = find_release(&recommender.artifacts, request.release.as_deref()).await?;
    let name = release.hash().to_owned();
    let json = if items.len() <= MAX_INLINE_ROWS {
        encode(catalogue, added.as_deref(), &release, &items, unknown)?
    } else {
        let turn = tokio::time::timeout(PATIENCE, state.large_rows.acquire()).await;
        let _turn = turn.map_err(|_| ApiError::Busy)?;
        let catalogue = Arc::clone(catalogue);
        let encode = move || encode(&catalogue, added.as_deref(), &release, &items, unknown);
        blocking(encode).await??
    };
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((RELEASE_HEADER, name))
        .body(json))
}

fn encode(
    catalogue: &Catalogue,
    added: Option<&AddedItems>,
    release: &Release,
    items: &[ItemIndex],
    unknown: usize,
) -> Result<Vec<u8>, ApiError> {
    let rows = items
        .iter()
        .filter_map(|&item| {
            let row = row_of(release, catalogue, added, item)?;
            let id = match added.and_then(|added| added.get(item)) {
                Some(added) => added.item.id.clone(),
                None => catalogue.get(item).id.clone(),
            };
            Some(ItemRow { item: id, row })
        })
        .collect();
    let response = RowsResponse { rows_hash: release.rows_hash().to_owned(), rows, unknown };
    serde_json::to_vec(&response).map_err(|_| ApiError::Internal)
}
