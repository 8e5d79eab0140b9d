use actix_web::{HttpResponse, Responder, http::header, web};
use tandem_protocol::ModelsResponse;

use crate::{models::ServedModel, state::AppState};

/// The language models that requests can name, the default first.
#[utoipa::path(
    get, path = "/v1/models", tag = "public",
    responses((status = 200, description = "The models", body = ModelsResponse)),
    security(("key" = [])),
)]
pub(crate) async fn models(state: web::Data<AppState>) -> impl Responder {
    let recommender = state.recommender();
    let models = recommender.models.iter().map(ServedModel::status).collect();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ModelsResponse { models })
}
