use actix_web::web;
use tandem_protocol::{ItemRow, RowsRequest, RowsResponse};

use crate::{body::JsonBody, error::ApiError, item_ids::resolve_ids, state::AppState};

/// `POST /v1/rows`: rows of the small model's item table.
pub(super) async fn rows(
    state: web::Data<AppState>,
    JsonBody(request): JsonBody<RowsRequest>,
) -> Result<web::Json<RowsResponse>, ApiError> {
    let (items, unknown) = resolve_ids(&request.items, &state.catalogue, &state.limits)?;
    let release = state.artifacts.current();
    let rows = items
        .into_iter()
        .map(|item| ItemRow { item: state.catalogue.get(item).id.clone(), row: release.row(item) })
        .collect();
    Ok(web::Json(RowsResponse { rows_hash: release.rows_hash().to_owned(), rows, unknown }))
}
