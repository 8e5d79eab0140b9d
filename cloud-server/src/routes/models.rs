use actix_web::{HttpResponse, Responder, http::header, web};
use tandem_protocol::ModelsResponse;

use crate::{models::ServedModel, state::AppState};

/// `GET /v1/models`: the language models that requests can name, the default first.
pub(super) async fn models(state: web::Data<AppState>) -> impl Responder {
    let recommender = state.recommender();
    let models = recommender.models.iter().map(ServedModel::status).collect();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ModelsResponse { models })
}
