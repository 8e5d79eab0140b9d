use actix_web::{HttpResponse, Responder, http::header, web};
use tandem_protocol::ModelsResponse;

use crate::{AppState, Hosted};

/// `GET /v1/models`: what requests may name, the default first.
pub(super) async fn models(state: web::Data<AppState>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ModelsResponse { models: state.models.iter().map(Hosted::status).collect() })
}
