//! The HTTP routes, one module per resource.

mod accept_encoding;
mod admin;
mod admin_items;
mod admin_page;
mod api_docs;
mod artifacts;
mod candidates;
mod compress_large;
mod entity_tag;
mod events;
mod health;
mod home;
mod items;
mod list;
mod metrics;
mod models;
mod openapi;
mod rankings;
mod release;
mod releases;
mod remote_list;
mod rows;
mod shared_list;
mod site;
mod status;

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{Handler, HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::{Method, header},
    middleware::{Compress, DefaultHeaders, Next, from_fn},
    web,
};

use crate::{
    access::Cost,
    authorize::{Access, authorize},
    error::ApiError,
    problem_json::errors_as_problems,
    request_log::log_requests,
    state::AppState,
};
use artifacts::RELEASE_HEADER;
use compress_large::compress_large;

/// Seconds for which a browser may cache the response to a CORS preflight request.
const PREFLIGHT_S: usize = 3600;

/// Header by which a page with tracing of its own names the trace of a request.
const TRACEPARENT: header::HeaderName = header::HeaderName::from_static("traceparent");

const REQUEST: Access = Access::Public(Cost::Request);

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
    let cors = cors(&state);
    let (site, client) = (state.site.clone(), state.client.clone());
    let (has_api_docs, has_admin) = (state.api_docs, state.admin);
    App::new()
        .app_data(state)
        .service(get("/livez", Access::Open, health::livez))
        .service(get("/readyz", Access::Open, health::readyz))
        .service(get("/metrics", Access::Admin, metrics::metrics))
        .service(get("/openapi.json", Access::Open, openapi::openapi))
        .service(
            web::resource("/v1/rows")
                .route(web::post().to(rows::rows))
                .default_service(not_allowed("POST"))
                .wrap(from_fn(compress_large))
                .wrap(from_fn(|request: ServiceRequest, next: Next<_>| {
                    authorize(REQUEST, request, next)
                })),
        )
        .service(
            web::scope("/v1")
                .wrap(Compress::default())
                .service(post(
                    "/candidates",
                    Access::Public(Cost::Candidates),
                    candidates::candidates,
                ))
                .service(post("/candidates/batch", Access::Admin, candidates::batch))
                .service(post("/events", REQUEST, events::events))
                .service(post("/disagreements", REQUEST, events::disagreements))
                .service(
                    web::resource("/users/{name}")
                        .route(web::route().guard(get_or_head()).to(events::user))
                        .route(web::delete().to(events::forget))
                        .default_service(not_allowed("GET, HEAD, DELETE"))
                        .wrap(from_fn(only_admin)),
                )
                .service(
                    web::resource("/items")
                        .route(web::route().guard(get_or_head()).to(items::list))
                        .route(web::post().to(items::upsert))
                        .default_service(not_allowed("GET, HEAD, POST"))
                        .wrap(from_fn(only_admin)),
                )
                .service(ranking("/items/popular", rankings::popular))
                .service(ranking("/items/latest", rankings::latest))
                .service(ranking("/items/trending", rankings::trending))
                .service(get("/items/{id}/similar", REQUEST, rankings::similar))
                .service(
                    web::resource("/items/{id}")
                        .route(web::route().guard(get_or_head()).to(items::get))
                        .route(web::delete().to(items::delete))
                        .default_service(not_allowed("GET, HEAD, DELETE"))
                        .wrap(from_fn(only_admin)),
                )
                .service(
                    web::resource("/availability")
                        .route(web::put().to(items::availability))
                        .default_service(not_allowed("PUT"))
                        .wrap(from_fn(only_admin)),
                )
                .configure(releases::configure)
                .configure(admin::configure)
                .configure(admin_items::configure)
                .service(get("/manifest", REQUEST, artifacts::manifest))
                .service(get("/models", REQUEST, models::models))
                .service(get("/status", Access::Admin, status::status))
                .default_service(web::to(not_found)),
        )
        // JSON shrinks several times, weights and cells by a tenth.
        .service(
            web::resource(r"/artifacts/{release}/{file:[^/]+\.json}")
                .wrap(Compress::default())
                .wrap(from_fn(|request: ServiceRequest, next: Next<_>| {
                    authorize(REQUEST, request, next)
                }))
                .route(web::route().guard(get_or_head()).to(artifacts::file))
                .default_service(not_allowed("GET, HEAD")),
        )
        .service(get("/artifacts/{release}/{file}", REQUEST, artifacts::file))
        .service(get("/artifacts/{release}/cells/{sha256}", REQUEST, artifacts::cell))
        .configure(|app| {
            if has_api_docs {
                api_docs::api_docs(app);
            }
            if has_admin {
                admin_page::admin_page(app);
            }
            match site {
                Some(folder) => app.service(site::files("/{path:.*}", folder)),
                None => home::home(app, client),
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

async fn only_admin<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    authorize(Access::Admin, request, next).await
}

fn get_or_head() -> impl guard::Guard {
    guard::Any(guard::Get()).or(guard::Head())
}

fn get<F, Args>(
    path: &'static str,
    access: Access,
    handler: F,
) -> impl HttpServiceFactory + use<F, Args>
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    resource(path, access, web::route().guard(get_or_head()).to(handler), "GET, HEAD")
}

/// A list of items. The id of an item may be the name of the list: it can be deleted, but not read,
/// at this path.
fn ranking<F, Args>(path: &'static str, handler: F) -> impl HttpServiceFactory + use<F, Args>
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    web::resource(path)
        .route(web::route().guard(get_or_head()).to(handler))
        .route(web::delete().to(items::delete_named_as_list))
        .default_service(not_allowed("GET, HEAD, DELETE"))
        .wrap(from_fn(|request: ServiceRequest, next: Next<_>| {
            let is_deletion = request.method() == Method::DELETE;
            authorize(if is_deletion { Access::Admin } else { REQUEST }, request, next)
        }))
}

fn post<F, Args>(
    path: &'static str,
    access: Access,
    handler: F,
) -> impl HttpServiceFactory + use<F, Args>
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    resource(path, access, web::post().to(handler), "POST")
}

fn resource(
    path: &'static str,
    access: Access,
    route: actix_web::Route,
    allow: &'static str,
) -> impl HttpServiceFactory {
    web::resource(path).route(route).default_service(not_allowed(allow)).wrap(from_fn(
        move |request: ServiceRequest, next: Next<_>| authorize(access, request, next),
    ))
}

fn not_allowed(allow: &'static str) -> actix_web::Route {
    web::to(move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed { allow }) })
}

/// CORS for the origins of the options and of the keys, which may be read again at any time.
fn cors(state: &web::Data<AppState>) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST"])
        .allowed_headers([header::CONTENT_TYPE, header::AUTHORIZATION, TRACEPARENT])
        .expose_headers([RELEASE_HEADER, "retry-after", "x-request-id"])
        .max_age(PREFLIGHT_S);
    // Not `allow_any_origin`, which would stay when the configuration is read again.
    let state = state.clone();
    cors.allowed_origin_fn(move |origin, _| {
        origin.to_str().is_ok_and(|origin| state.access().allows_origin(origin))
    })
}
