use std::path::PathBuf;

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, HeaderValue, IfNoneMatch},
    web,
};

use crate::{error::ApiError, state::AppState};

/// Header with the name of the release that a manifest belongs to.
pub(super) const RELEASE_HEADER: &str = "x-artifacts";

/// Cache header of files whose URL contains a hash: their content never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /v1/manifest`: the manifest of the current release. Clients revalidate it every time.
pub(super) async fn manifest(
    state: web::Data<AppState>,
    if_none_match: Option<web::Header<IfNoneMatch>>,
) -> impl Responder {
    let release = state.recommender().artifacts.current();
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

/// `GET /artifacts/{release}/{file}`: a file of any release on disk, so that a device that
/// read an older manifest can load the rest of its release.
pub(super) async fn file(
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (release, file) = path.into_inner();
    immutable_file(state.recommender().artifacts.file_path(&release, &file), &request)
}

/// `GET /artifacts/{release}/cells/{sha256}`: a cell of the item table. The device verifies
/// its hash.
pub(super) async fn cell(
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (release, cell) = path.into_inner();
    immutable_file(state.recommender().artifacts.cell_path(&release, &cell), &request)
}

fn immutable_file(path: Option<PathBuf>, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = path.ok_or(ApiError::ArtifactNotFound)?;
    let file = NamedFile::open(path).map_err(|_| ApiError::ArtifactNotFound)?;
    if !file.metadata().is_file() {
        return Err(ApiError::ArtifactNotFound);
    }
    let mut response = file.disable_content_disposition().into_response(request);
    if !response.status().is_client_error() {
        response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
    }
    Ok(response)
}
