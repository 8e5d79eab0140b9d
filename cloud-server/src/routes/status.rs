use actix_web::{HttpResponse, Responder, http::header, web};
use serde::Serialize;
use tandem_protocol::{CatalogueInfo, HostedModel, LanguageModelInfo};

use crate::{recommender::Recommender, state::AppState};

/// The response of `GET /v1/status`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Status {
    version: &'static str,
    /// Whether all language models are loaded.
    ready: bool,
    /// The default model; `null` while it is loading.
    language_model: Option<LanguageModelInfo>,
    /// All language models, the default first.
    language_models: Vec<HostedModel>,
    dataset: String,
    /// Citation and terms of use of the dataset.
    notice: Option<String>,
    catalogue: CatalogueInfo,
    /// Name of the current release of artefacts.
    artifacts: String,
    /// Number of requests waiting for a language model.
    queued: usize,
}

/// Language models, catalogue, artefacts and queue length.
#[utoipa::path(
    get, path = "/v1/status", tag = "admin",
    responses(
        (status = 200, description = "The state of the server", body = Status),
        (status = 403, description = "Not an admin key", body = tandem_protocol::Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn status(state: web::Data<AppState>) -> impl Responder {
    let recommender = state.recommender();
    let Recommender { catalogue, dataset, artifacts, models, .. } = &*recommender;
    let language_models = state.hosted_models();
    let language_model = language_models.first().and_then(|model| {
        let (name, sha256) = (model.name.clone(), model.sha256.clone()?);
        Some(LanguageModelInfo { name, sha256 })
    });
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: state.is_ready(),
        language_model,
        language_models,
        dataset: dataset.name.clone(),
        notice: dataset.notice.clone(),
        catalogue: CatalogueInfo { hash: catalogue.hash().to_owned(), items: catalogue.len() },
        artifacts: artifacts.current().hash().to_owned(),
        queued: models.iter().map(|model| model.worker.queued()).sum(),
    })
}
