use actix_web::{HttpResponse, Responder, http::header, web};

use crate::{ApiError, AppState, Readiness};

/// `GET /livez`: the process answers.
pub(super) async fn livez() -> impl Responder {
    said("live")
}

/// `GET /readyz`: the language model is loaded.
pub(super) async fn readyz(state: web::Data<AppState>) -> Result<impl Responder, ApiError> {
    match state.worker.readiness() {
        Readiness::Ready(_) => Ok(said("ready")),
        Readiness::Loading | Readiness::Failed(_) => Err(ApiError::NotReady),
    }
}

fn said(status: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "status": status }))
}
