use std::sync::Arc;

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, HeaderValue, IfNoneMatch, VARY},
    web,
};

use super::{accept_encoding::accepts, entity_tag::respond};
use crate::{
    artifacts::{ArtifactStore, OpenError},
    error::ApiError,
    files::blocking,
    state::AppState,
};

/// Header with the name of the release that a manifest belongs to.
pub(super) const RELEASE_HEADER: &str = "x-artifacts";

/// Cache header of files whose URL contains a hash: their content never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The manifest of the current release.
///
/// Clients revalidate it every time.
#[utoipa::path(
    get, path = "/v1/manifest", tag = "public",
    responses(
        (status = 200, description = "The manifest; `x-artifacts` is the name of the release", body = serde_json::Value),
        (status = 304, description = "The client's copy is current"),
    ),
    security(("key" = [])),
)]
pub(crate) async fn manifest(
    state: web::Data<AppState>,
    if_none_match: Option<web::Header<IfNoneMatch>>,
) -> impl Responder {
    let artifacts = Arc::clone(&state.recommender().artifacts);
    let refreshed = Arc::clone(&artifacts);
    // A file system that does not answer is no reason to have no manifest.
    let release = match blocking(move || refreshed.refresh()).await {
        Ok(release) => release,
        Err(_) => artifacts.current(),
    };
    let tag = EntityTag::new_weak(release.hash().to_owned());
    let is_cached = match if_none_match.map(web::Header::into_inner) {
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|cached| cached.weak_eq(&tag)),
        Some(IfNoneMatch::Any) => true,
        None => false,
    };
    let mut response = if is_cached { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag.to_string()))
        .insert_header((RELEASE_HEADER, release.hash()));
    if is_cached {
        response.finish()
    } else {
        response.content_type("application/json").body(release.manifest())
    }
}

/// A file of a release.
///
/// Any release on the disk is served, so that a device that read an older manifest can load the
/// rest of its release. The file's hash is verified. Clients that accept Brotli get the compressed
/// copy that `tandem export` made.
#[utoipa::path(
    get, path = "/artifacts/{release}/{file}", tag = "public",
    params(
        ("release" = String, Path, description = "Name of the release"),
        ("file" = String, Path, description = "Name of a file in the manifest"),
    ),
    responses(
        (status = 200, description = "The file; it never changes", content_type = "application/octet-stream"),
        (status = 404, description = "No such file", body = tandem_protocol::Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn file(
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (release, file) = path.into_inner();
    let brotli = accepts(request.headers(), "br");
    // The name of a release is the hash of what it has.
    let tag = format!("{release}-{file}");
    let open = move |store: &ArtifactStore| store.open_file(&release, &file, brotli);
    let mut response = immutable_file(&state, &request, tag, open).await?;
    // Also of a file without a copy: a cache keeps it for a year, and a copy may be added.
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

/// A cell of the item table.
#[utoipa::path(
    get, path = "/artifacts/{release}/cells/{sha256}", tag = "public",
    params(
        ("release" = String, Path, description = "Name of the release"),
        ("sha256" = String, Path, description = "SHA-256 of the cell"),
    ),
    responses(
        (status = 200, description = "The cell; it never changes", content_type = "application/octet-stream"),
        (status = 404, description = "No such cell", body = tandem_protocol::Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn cell(
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (release, cell) = path.into_inner();
    let tag = cell.clone();
    immutable_file(&state, &request, tag, move |store| store.open_cell(&release, &cell)).await
}

async fn immutable_file(
    state: &web::Data<AppState>,
    request: &HttpRequest,
    tag: String,
    open: impl FnOnce(&ArtifactStore) -> Result<Option<NamedFile>, OpenError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let artifacts = Arc::clone(&state.recommender().artifacts);
    let opened = blocking(move || open(&artifacts)).await?.map_err(|error| {
        tracing::error!(%error, "an artefact is not served");
        ApiError::Internal
    })?;
    let file = opened.ok_or(ApiError::ArtifactNotFound)?;
    let mut response = respond(file, Some(tag), request);
    if !response.status().is_client_error() {
        response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
    }
    Ok(response)
}
