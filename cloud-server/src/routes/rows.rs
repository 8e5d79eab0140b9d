use actix_web::web;
use tandem_protocol::{ItemRow, RowsRequest, RowsResponse};

use crate::{ApiError, AppState, body::Json, selection::known};

/// `POST /v1/rows`.
pub(super) async fn rows(
    state: web::Data<AppState>,
    Json(request): Json<RowsRequest>,
) -> Result<web::Json<RowsResponse>, ApiError> {
    let (items, unknown) = known(&request.items, &state.catalogue, &state.limits)?;
    let release = state.artifacts.current();
    let rows = items
        .into_iter()
        .map(|item| ItemRow { item: state.catalogue.get(item).id.clone(), row: release.row(item) })
        .collect();
    Ok(web::Json(RowsResponse { rows_hash: release.rows_hash().to_owned(), rows, unknown }))
}
