mod artifacts;
mod candidates;
mod events;
mod health;
mod models;
mod rows;
mod site;
mod status;

use std::{path::PathBuf, sync::Arc};

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpResponse, Resource,
    body::BoxBody,
    dev::{Handler, ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::header,
    middleware::{Compress, Condition, from_fn},
    web,
};
use tandem_dataset::Catalogue;

use crate::{ApiError, ArtifactStore, EventLog, Limits, Models, Origin, observe::observe};

/// Header that names the release a manifest is of.
pub(crate) const RELEASE_HEADER: &str = "x-artifacts";

/// Seconds for which a browser may keep the answer to a preflight request.
const PREFLIGHT_S: usize = 3600;

/// Everything the handlers share.
#[derive(Debug)]
pub struct AppState {
    /// The items that can be recommended.
    pub catalogue: Arc<Catalogue>,
    /// What the items are, for people.
    pub dataset: DatasetInfo,
    /// What devices load.
    pub artifacts: ArtifactStore,
    /// The language models.
    pub models: Models,
    /// What a request may ask for.
    pub limits: Limits,
    /// Folder of the static site, if there is one.
    pub site: Option<PathBuf>,
    /// The log of events, if one is kept.
    pub events: Option<Arc<EventLog>>,
    /// Origins beside the server's own whose pages may call it.
    pub allowed_origins: Vec<Origin>,
}

/// The dataset's name and terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetInfo {
    /// Short name.
    pub name: String,
    /// Citation and terms of use, to be shown where the data is.
    pub notice: Option<String>,
}

/// The whole HTTP surface of the server.
pub fn create_app(
    state: web::Data<AppState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = Condition::new(!state.allowed_origins.is_empty(), cors(&state.allowed_origins));
    let site = state.site.clone();
    App::new()
        .app_data(state)
        .service(get("/livez", health::livez))
        .service(get("/readyz", health::readyz))
        .service(
            web::scope("/v1")
                .wrap(Compress::default())
                .service(post("/candidates", candidates::candidates))
                .service(post("/rows", rows::rows))
                .service(post("/events", events::events))
                .service(post("/disagreements", events::disagreements))
                .service(get("/manifest", artifacts::manifest))
                .service(get("/models", models::models))
                .service(get("/status", status::status))
                .default_service(web::to(nothing)),
        )
        .service(get("/artifacts/{hash}/{file}", artifacts::file))
        .configure(|app| {
            if let Some(folder) = site {
                app.service(site::site(folder));
            }
        })
        .default_service(web::to(nothing))
        .wrap(cors)
        .wrap(from_fn(observe))
}

async fn nothing() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound)
}

fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    let reading = guard::Any(guard::Get()).or(guard::Head());
    resource(path, web::route().guard(reading).to(handler), "GET, HEAD")
}

fn post<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    resource(path, web::post().to(handler), "POST")
}

fn resource(path: &str, route: actix_web::Route, allow: &'static str) -> Resource {
    web::resource(path).route(route).default_service(web::to(move || async move {
        Err::<HttpResponse, _>(ApiError::MethodNotAllowed { allow })
    }))
}

fn cors(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST"])
        .allowed_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .expose_headers([RELEASE_HEADER, "retry-after"])
        .max_age(PREFLIGHT_S);
    origins.iter().fold(cors, |cors, origin| match origin {
        Origin::Any => cors.allow_any_origin().send_wildcard(),
        Origin::One(origin) => cors.allowed_origin(origin),
    })
}
