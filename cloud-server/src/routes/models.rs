use actix_web::{HttpResponse, Responder, http::header, web};
use tandem_protocol::ModelsResponse;

use crate::state::AppState;

/// The language models that requests can name, the default first.
#[utoipa::path(
    get, path = "/v1/models", tag = "public",
    responses((status = 200, description = "The models", body = ModelsResponse)),
    security(("key" = [])),
)]
pub(crate) async fn models(state: web::Data<AppState>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ModelsResponse { models: state.hosted_models() })
}
