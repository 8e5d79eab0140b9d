use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web,
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, RefOr, Response, ResponseBuilder,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    admin, admin_items, artifacts, candidates, events, health, items, metrics, models, rankings,
    releases, rows, status,
};
use crate::{error::PROBLEM_JSON, error_table};

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
        events::user,
        items::upsert,
        items::availability,
        items::list,
        items::get,
        items::delete,
        rankings::popular,
        rankings::latest,
        rankings::trending,
        rankings::similar,
        artifacts::manifest,
        artifacts::file,
        artifacts::cell,
        models::models,
        status::status,
        releases::list,
        releases::activate,
        releases::rollback,
        releases::upload,
        releases::delete,
        admin::overview,
        admin::storage,
        admin::keys,
        admin_items::find_items,
        admin_items::items,
        health::livez,
        health::readyz,
        metrics::metrics,
        openapi,
    ),
    modifiers(&Keys, &Problems, &ErrorTable),
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

/// Adds the refusals that whole groups of routes have in common, and the media type of errors.
struct Problems;

/// Refusals of every route.
const ALWAYS: [(&str, &str); 2] =
    [("400", "The request is not valid"), ("503", "Starting, shutting down or overloaded")];
/// Refusals of routes that need a key.
const WITH_KEY: [(&str, &str); 3] = [
    ("401", "No valid key"),
    ("403", "The key is not for this route or not for pages of this origin"),
    ("429", "Too many requests of this client or key"),
];
/// Refusals of routes that read a body.
const WITH_BODY: [(&str, &str); 2] = [
    ("413", "The body is too large"),
    ("415", "The body has another media type, or is compressed"),
];

/// Adds the table of errors for people.
struct ErrorTable;

impl Modify for ErrorTable {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let description = openapi.info.description.get_or_insert_default();
        description.push_str(".\n\n## Errors\n\nEvery error is `application/problem+json`.\n\n");
        description.push_str(&error_table::markdown());
    }
}

impl Modify for Problems {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for path in openapi.paths.paths.values_mut() {
            [&mut path.get, &mut path.post, &mut path.put, &mut path.delete]
                .into_iter()
                .flatten()
                .for_each(describe_problems);
        }
    }
}

fn describe_problems(operation: &mut Operation) {
    let with_key = operation.security.as_ref().map(|_| WITH_KEY);
    let with_body = operation.request_body.as_ref().map(|_| WITH_BODY);
    let common = ALWAYS.into_iter().chain(with_key.into_iter().flatten());
    let responses = &mut operation.responses.responses;
    for (status, description) in common.chain(with_body.into_iter().flatten()) {
        responses.entry(status.to_owned()).or_insert_with(|| problem(description));
    }
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
        let RefOr::T(response) = response else { continue };
        let contents = std::mem::take(&mut response.content).into_values();
        response.content = contents.map(|content| (PROBLEM_JSON.to_owned(), content)).collect();
    }
}

fn problem(description: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name("Problem");
    let content = Content::new(Some(RefOr::<utoipa::openapi::Schema>::Ref(schema)));
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).into()
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
