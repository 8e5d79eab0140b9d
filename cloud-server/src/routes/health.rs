use actix_web::{HttpRequest, HttpResponse, Responder, http::header, web};
use serde_json::{Value, json};
use tandem_storage::StorageError;

use crate::{access::Role, error::ApiError, state::AppState};

/// Whether the process answers.
#[utoipa::path(
    get, path = "/livez", tag = "operation",
    responses((status = 200, description = "The process answers")),
)]
pub(crate) async fn livez() -> impl Responder {
    uncached(&json!({ "status": "live" }))
}

/// Whether requests for candidates are accepted: all language models are loaded and the server is
/// not shutting down.
///
/// With `--storage` the field `storage` says whether the database is `ready` or `unavailable`: lists go
/// on while it does not answer. The field `event_stream` says the same of `--event-stream`. 503 if its
/// file or tables were removed, which does not end by itself.
///
/// Servers with `--generator` read the other fields: `catalogue_hash`, `makes_lists` (whether the
/// server has language models of its own), `needs_key`, and `access`, what the caller may do: `admin`,
/// `public` or `none`.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses(
        (status = 200, description = "Ready, with the language models"),
        (status = 503, description = "Loading or shutting down, or the database is gone", body = tandem_protocol::Problem),
    ),
)]
pub(crate) async fn readyz(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<impl Responder, ApiError> {
    if state.is_draining() {
        return Err(ApiError::ShuttingDown);
    }
    if !state.is_ready() {
        let generators = state.generators.as_ref();
        return Err(generators.map_or(ApiError::NotReady, |_| ApiError::NoGenerator));
    }
    let rules = state.access();
    let peer = request.peer_addr().map(|peer| peer.ip());
    let caller = rules.caller(peer, request.version(), request.headers());
    let access = match caller.map(|caller| caller.role) {
        Ok(Role::Admin) => "admin",
        Ok(Role::Public) => "public",
        Err(_) => "none",
    };
    let mut body = json!({
        "status": "ready",
        "models": state.hosted_models(),
        "catalogue_hash": state.recommender().catalogue.hash(),
        "makes_lists": state.generators.is_none(),
        "needs_key": rules.has_keys(),
        "access": access,
    });
    if let Some(storage) = &state.storage {
        body["storage"] = match storage.check() {
            Ok(()) => "ready".into(),
            Err(StorageError::Lost { .. }) => return Err(ApiError::StorageLost),
            // It may answer soon, and lists go on.
            Err(_) => "unavailable".into(),
        };
    }
    if let Some(stream) = &state.event_stream {
        // Lists go on.
        body["event_stream"] = if stream.answers() { "ready" } else { "unavailable" }.into();
    }
    Ok(uncached(&body))
}

fn uncached(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
