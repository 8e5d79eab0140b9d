use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web,
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{artifacts, candidates, events, health, metrics, models, rows, status};

/// The description of all routes, from their types and comments.
#[derive(OpenApi)]
#[openapi(
    info(title = "Tandem cloud server", description = "Candidate lists, item rows and artefacts"),
    paths(
        candidates::candidates,
        candidates::batch,
        rows::rows,
        events::events,
        events::disagreements,
        events::forget,
        artifacts::manifest,
        artifacts::file,
        artifacts::cell,
        models::models,
        status::status,
        health::livez,
        health::readyz,
        metrics::metrics,
        openapi,
    ),
    modifiers(&Keys),
    tags(
        (name = "public", description = "For web pages, with a public key"),
        (name = "admin", description = "For programs of the shop, with an admin key"),
        (name = "operation", description = "For operators and monitoring"),
    ),
)]
struct Description;

/// Adds the keys as a security scheme.
struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(key));
    }
}

/// The `OpenAPI` description of this server.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
pub(crate) async fn openapi() -> HttpResponse {
    static TEXT: LazyLock<web::Bytes> = LazyLock::new(|| {
        // Plain data: this does not fail.
        serde_json::to_vec(&Description::openapi()).unwrap_or_default().into()
    });
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type(ContentType::json())
        .body(TEXT.clone())
}
