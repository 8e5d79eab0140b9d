use actix_web::{HttpResponse, Responder, http::header, web};
use serde::Serialize;
use tandem_protocol::{CatalogueInfo, LanguageModelInfo};

use crate::{AppState, Readiness};

/// Answer of `GET /v1/status`: what this server recommends, and by what.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    ready: bool,
    /// `null` while the model is being loaded.
    language_model: Option<LanguageModelInfo>,
    dataset: String,
    /// Citation and terms of use of the dataset.
    notice: Option<String>,
    catalogue: CatalogueInfo,
    /// Name of the current release of artefacts.
    artifacts: String,
    /// Requests that wait for the language model.
    queued: usize,
}

/// `GET /v1/status`.
pub(super) async fn status(state: web::Data<AppState>) -> impl Responder {
    let language_model = match state.worker.readiness() {
        Readiness::Ready(info) => Some(info),
        Readiness::Loading | Readiness::Failed(_) => None,
    };
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: language_model.is_some(),
        language_model,
        dataset: state.dataset.name.clone(),
        notice: state.dataset.notice.clone(),
        catalogue: CatalogueInfo {
            hash: state.catalogue.hash().to_owned(),
            items: state.catalogue.len(),
        },
        artifacts: state.artifacts.current().hash().to_owned(),
        queued: state.worker.queued(),
    })
}
