use actix_web::{HttpResponse, Responder, http::header, web};
use serde_json::{Value, json};

use crate::{ApiError, AppState, Hosted};

/// `GET /livez`: the process answers.
pub(super) async fn livez() -> impl Responder {
    said(&json!({ "status": "live" }))
}

/// `GET /readyz`: all language models are loaded; which, is said.
pub(super) async fn readyz(state: web::Data<AppState>) -> Result<impl Responder, ApiError> {
    if !state.models.are_ready() {
        return Err(ApiError::NotReady);
    }
    let models: Vec<_> = state.models.iter().map(Hosted::status).collect();
    Ok(said(&json!({ "status": "ready", "models": models })))
}

fn said(what: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(what)
}
