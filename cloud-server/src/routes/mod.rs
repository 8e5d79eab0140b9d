//! The HTTP routes, one module per resource.

mod artifacts;
mod candidates;
mod events;
mod health;
mod home;
mod models;
mod rows;
mod site;
mod status;

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpResponse, Resource,
    body::BoxBody,
    dev::{Handler, ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::header,
    middleware::{Compress, Condition, DefaultHeaders, from_fn},
    web,
};

use crate::{
    config::Origin, error::ApiError, problem_json::errors_as_problems, request_log::log_requests,
    state::AppState,
};
use artifacts::RELEASE_HEADER;

/// Seconds for which a browser may cache the response to a CORS preflight request.
const PREFLIGHT_S: usize = 3600;

/// Builds the actix application with all routes of the server.
///
/// # Example
/// Embeds the server's routes in an actix server with its own listener:
///
/// ```no_run
/// use actix_web::{HttpServer, web};
/// use cloud_server::{AppState, create_app};
///
/// async fn serve(state: AppState) -> std::io::Result<()> {
///     let state = web::Data::new(state);
///     HttpServer::new(move || create_app(state.clone())).bind(("127.0.0.1", 8080))?.run().await
/// }
/// ```
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
    let (site, client) = (state.site.clone(), state.client.clone());
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
                .default_service(web::to(not_found)),
        )
        // JSON shrinks several times, weights and cells by a tenth.
        .service(
            get(r"/artifacts/{release}/{file:[^/]+\.json}", artifacts::file)
                .wrap(Compress::default()),
        )
        .service(get("/artifacts/{release}/{file}", artifacts::file))
        .service(get("/artifacts/{release}/cells/{sha256}", artifacts::cell))
        .configure(|app| {
            match site {
                Some(folder) => app.service(site::site(folder)),
                None => app.service(home::home(client)),
            };
        })
        .default_service(web::to(not_found))
        .wrap(cors)
        .wrap(DefaultHeaders::new().add((header::X_CONTENT_TYPE_OPTIONS, "nosniff")))
        .wrap(from_fn(errors_as_problems))
        .wrap(from_fn(log_requests))
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound)
}

fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    let get_or_head = guard::Any(guard::Get()).or(guard::Head());
    resource(path, web::route().guard(get_or_head).to(handler), "GET, HEAD")
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
    // `allowed_origin` after `allow_any_origin` would limit access to that origin again.
    if origins.contains(&Origin::Any) {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| match origin {
        Origin::Any => cors,
        Origin::One(origin) => cors.allowed_origin(origin),
    })
}
