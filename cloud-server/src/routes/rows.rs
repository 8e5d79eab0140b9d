use actix_web::{HttpResponse, http::header::ContentType, web};
use tandem_dataset::ItemIndex;
use tandem_protocol::{ItemRow, RowsRequest, RowsResponse};

use crate::{
    body::JsonBody,
    error::ApiError,
    item_ids::resolve_ids,
    state::{AppState, Recommender},
};

/// Maximum number of rows that are encoded on the HTTP thread. More rows are encoded on the
/// thread pool, so that they do not delay other requests.
const MAX_INLINE_ROWS: usize = 100;

/// `POST /v1/rows`: rows of the small model's item table.
pub(super) async fn rows(
    state: web::Data<AppState>,
    JsonBody(request): JsonBody<RowsRequest>,
) -> Result<HttpResponse, ApiError> {
    let recommender = state.recommender();
    let (items, unknown) = resolve_ids(&request.items, &recommender.catalogue, &state.limits)?;
    let json = if items.len() <= MAX_INLINE_ROWS {
        encode(&recommender, &items, unknown)?
    } else {
        web::block(move || encode(&recommender, &items, unknown))
            .await
            .map_err(|_| ApiError::Internal)??
    };
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(json))
}

fn encode(
    recommender: &Recommender,
    items: &[ItemIndex],
    unknown: usize,
) -> Result<Vec<u8>, ApiError> {
    let release = recommender.artifacts.current();
    let rows = items
        .iter()
        .map(|&item| ItemRow {
            item: recommender.catalogue.get(item).id.clone(),
            row: release.row(item),
        })
        .collect();
    let response = RowsResponse { rows_hash: release.rows_hash().to_owned(), rows, unknown };
    serde_json::to_vec(&response).map_err(|_| ApiError::Internal)
}
