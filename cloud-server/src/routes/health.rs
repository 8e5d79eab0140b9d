use actix_web::{HttpResponse, Responder, http::header, web};
use serde_json::{Value, json};

use crate::{error::ApiError, models::ServedModel, state::AppState};

/// `GET /livez`: 200 while the process answers.
pub(super) async fn livez() -> impl Responder {
    uncached(&json!({ "status": "live" }))
}

/// `GET /readyz`: 200 and the language models once all of them are loaded.
pub(super) async fn readyz(state: web::Data<AppState>) -> Result<impl Responder, ApiError> {
    let recommender = state.recommender();
    if !recommender.models.are_ready() {
        return Err(ApiError::NotReady);
    }
    let models: Vec<_> = recommender.models.iter().map(ServedModel::status).collect();
    Ok(uncached(&json!({ "status": "ready", "models": models })))
}

fn uncached(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
