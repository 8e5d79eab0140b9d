use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, HeaderValue, IfNoneMatch},
    web,
};

use super::RELEASE_HEADER;
use crate::{ApiError, AppState};

/// What is addressed by its hash never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /v1/manifest`: the current release's manifest, to be asked for again every time.
pub(super) async fn manifest(
    state: web::Data<AppState>,
    if_none_match: Option<web::Header<IfNoneMatch>>,
) -> impl Responder {
    let release = state.artifacts.current();
    let tag = EntityTag::new_weak(release.hash().to_owned());
    let held = match if_none_match.map(web::Header::into_inner) {
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|held| held.weak_eq(&tag)),
        Some(IfNoneMatch::Any) => true,
        None => false,
    };
    let mut response = if held { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag.to_string()))
        .insert_header((RELEASE_HEADER, release.hash()));
    if held {
        response.finish()
    } else {
        response.content_type("application/json").body(release.manifest())
    }
}

/// `GET /artifacts/{hash}/{file}`: a file of any release that is still on disk, so that a
/// device which read the manifest before a new export can finish.
pub(super) async fn file(
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (hash, file) = path.into_inner();
    let path = state.artifacts.path_of(&hash, &file).ok_or(ApiError::NotFound)?;
    let file = NamedFile::open(path).map_err(|_| ApiError::NotFound)?;
    if !file.metadata().is_file() {
        return Err(ApiError::NotFound);
    }
    let mut response = file.disable_content_disposition().into_response(&request);
    if !response.status().is_client_error() {
        response.headers_mut().insert(CACHE_CONTROL, FOR_EVER);
    }
    Ok(response)
}
