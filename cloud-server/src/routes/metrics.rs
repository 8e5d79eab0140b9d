use std::sync::Arc;

use actix_web::{HttpResponse, http::header, web};

use crate::{
    error::ApiError,
    files::blocking,
    log_writer::lines_dropped,
    metrics::{MEDIA_TYPE, Snapshot},
    state::AppState,
};

/// Metrics in the text format of Prometheus (`OpenMetrics`).
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses(
        (status = 200, description = "The metrics", content_type = "application/openmetrics-text"),
        (status = 403, description = "Not an admin key", body = tandem_protocol::Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn metrics(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let event_log = match state.events.clone() {
        Some(log) => blocking(move || (log.sizes(), log.max_bytes())).await.ok(),
        None => None,
    };
    let recommender = state.recommender();
    let artifacts = Arc::clone(&recommender.artifacts);
    // Waits for the disk while a release is being read.
    let release_refusals = blocking(move || artifacts.refusals()).await.unwrap_or_default();
    let models = recommender
        .models
        .iter()
        .map(|model| (model.name.clone(), model.worker.queued(), model.worker.engine().is_some()));
    let release_store = state.releases.as_ref().and_then(|releases| releases.store());
    let text = state.metrics.text(&Snapshot {
        models: models.collect(),
        connections: state.connections.open(),
        event_log,
        release: recommender.artifacts.current().hash().to_owned(),
        release_refusals: release_refusals + state.recommender.refusals(),
        release_store: release_store.map(|store| (store.url().to_string(), store.answers())),
        event_stream: state
            .event_stream
            .as_ref()
            .map(|stream| (stream.url().to_string(), stream.answers(), stream.waiting())),
        log_lines_dropped: lines_dropped(),
    });
    let text = text.map_err(|_| ApiError::Internal)?;
    Ok(HttpResponse::Ok()
        .content_type(MEDIA_TYPE)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text))
}
