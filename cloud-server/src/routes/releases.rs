//! The releases of the folder of `--release`: list, upload, activation, roll-back and deletion.

use std::{path::Path, rc::Rc, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header,
    middleware::from_fn,
    web::{self, ServiceConfig},
};
use serde::Serialize;
use tandem_protocol::Problem;
use tandem_release_store::ReleaseStoreError;
use tandem_storage::Activation;
use tokio::sync::{TryAcquireError, mpsc};

use super::{get, not_allowed, only_admin, post};
use crate::{
    access::Caller,
    activations::{Activations, Loading, Outcome, Refusal, previous},
    artifacts::{is_release, read_current},
    authorize::Access,
    body::{check_encoding, next_chunk},
    connection::Activity,
    error::ApiError,
    files::blocking,
    messages::shortened,
    release_folder::CURRENT,
    releases::{BodyReader, ReleaseContents, UploadError, contents, exists, hide, receive},
    state::AppState,
    storage::refusal,
};

/// The routes below `/v1`.
pub(super) fn configure(routes: &mut ServiceConfig) {
    routes
        .service(get("/releases", Access::Admin, list))
        .service(post("/releases/rollback", Access::Admin, rollback))
        .service(post("/releases/{name}/activate", Access::Admin, activate))
        .service(
            web::resource("/releases/{name}")
                .route(web::put().to(upload))
                .route(web::delete().to(delete))
                .default_service(not_allowed("PUT, DELETE"))
                .wrap(from_fn(only_admin)),
        );
}

/// Number of parts of an upload that wait for the disk.
const WAITING_PARTS: usize = 8;
/// Number of bytes of a refused upload that are read and discarded, before the connection is closed.
const DISCARDED: u64 = 64 << 20;
/// Number of activations in the list.
const ACTIVATIONS: u32 = 50;

/// The response of `GET /v1/releases`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ReleaseList {
    /// Name of the release in use.
    in_use: String,
    /// The release before it, which a roll-back puts in use; `null` if none is known or it was
    /// deleted.
    previous: Option<String>,
    /// The release that is being tried and loaded.
    loading: Option<Loading>,
    /// All releases on the disk, the newest first.
    releases: Vec<ListedRelease>,
    /// The last refusal of each release since the start of the server, also of those that are not on
    /// the disk.
    refused: Vec<Refusal>,
    /// The newest activations, newest first.
    #[schema(value_type = Vec<Object>)]
    activations: Vec<Activation>,
}

/// A release on the disk.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ListedRelease {
    name: String,
    in_use: bool,
    /// Why it was refused, if the last attempt to use it failed since the start of the server.
    refused: Option<Refusal>,
    #[serde(flatten)]
    contents: ReleaseContents,
}

/// What became of a request to use a release.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ActivationResponse {
    release: String,
    /// `in_use`, or `loading` if it takes longer than a request may: see `GET /v1/releases`.
    state: &'static str,
    /// The release before it; `null` if it was in use already.
    previous: Option<String>,
}

/// The releases on the disk: which is in use, which were refused and why, and the activations.
#[utoipa::path(
    get, path = "/v1/releases", tag = "admin",
    responses(
        (status = 200, description = "The releases", body = ReleaseList),
        (status = 404, description = "The server has no folder of releases", body = Problem),
        (status = 503, description = "The activations are in a database that does not answer", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn list(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let releases = folder(&state)?;
    let path = releases.folder().to_owned();
    let found = blocking(move || contents(&path)).await?.map_err(|error| {
        tracing::error!(%error, "cannot list the releases");
        ApiError::Internal
    })?;
    let snapshot = releases.snapshot();
    let history = history(&state, &releases).await?;
    let is_there = |name: &str| found.iter().any(|(found, _)| found == name);
    let previous = previous(&history, &snapshot.in_use).filter(|name| is_there(name));
    let previous = previous.map(ToOwned::to_owned);
    let listed = found.into_iter().map(|(name, contents)| ListedRelease {
        in_use: name == snapshot.in_use,
        refused: snapshot.refused.iter().find(|refusal| refusal.release == name).cloned(),
        name,
        contents,
    });
    Ok(uncached(&mut HttpResponse::Ok()).json(ReleaseList {
        releases: listed.collect(),
        previous,
        in_use: snapshot.in_use,
        loading: snapshot.loading,
        refused: snapshot.refused,
        activations: history,
    }))
}

/// Puts a release in use.
///
/// It is tried and loaded beside the one in use, which stays in use until the new one is ready, and
/// if the new one is refused. If that takes longer than `--timeout`, the answer is 202 and the
/// server goes on; `GET /v1/releases` has the outcome.
#[utoipa::path(
    post, path = "/v1/releases/{name}/activate", tag = "admin",
    params(("name" = String, Path, description = "Name of the release")),
    responses(
        (status = 200, description = "It is in use", body = ActivationResponse),
        (status = 202, description = "It is being loaded", body = ActivationResponse),
        (status = 404, description = "No such release", body = Problem),
        (status = 409, description = "Another release is being loaded", body = Problem),
        (status = 422, description = "The release cannot be used", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn activate(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let releases = folder(&state)?;
    put_in_use(&state, &releases, &caller, checked(name)?).await
}

/// Puts the release in use that was in use before the current one. A second roll-back undoes the
/// first.
#[utoipa::path(
    post, path = "/v1/releases/rollback", tag = "admin",
    responses(
        (status = 200, description = "It is in use", body = ActivationResponse),
        (status = 202, description = "It is being loaded", body = ActivationResponse),
        (status = 404, description = "The earlier release was deleted", body = Problem),
        (status = 409, description = "No earlier release is known", body = Problem),
        (status = 422, description = "The release cannot be used", body = Problem),
        (status = 503, description = "The activations are in a database that does not answer", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn rollback(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
) -> Result<HttpResponse, ApiError> {
    let releases = folder(&state)?;
    let history = history(&state, &releases).await?;
    let Some(name) = previous(&history, &releases.in_use()).map(ToOwned::to_owned) else {
        let detail = "no earlier release is known; activate one by its name".to_owned();
        return Err(ApiError::Conflict { detail });
    };
    put_in_use(&state, &releases, &caller, name).await
}

async fn put_in_use(
    state: &AppState,
    releases: &Activations,
    caller: &Caller,
    name: String,
) -> Result<HttpResponse, ApiError> {
    if state.is_draining() {
        return Err(ApiError::ShuttingDown);
    }
    check_exists(releases, &name).await?;
    let answer = releases.request(&name, caller.id()).map_err(|other| ApiError::Conflict {
        detail: format!("release {other} is being loaded; wait until it is in use or refused"),
    })?;
    match tokio::time::timeout(state.limits.timeout, answer).await {
        Ok(Ok(Outcome::InUse { previous })) => {
            let response = ActivationResponse { release: name, state: "in_use", previous };
            Ok(uncached(&mut HttpResponse::Ok()).json(response))
        }
        Ok(Ok(Outcome::Refused(reason))) => Err(ApiError::ReleaseRefused { release: name, reason }),
        Ok(Ok(Outcome::Stopping) | Err(_)) => Err(ApiError::ShuttingDown),
        Err(_) => {
            let response = ActivationResponse { release: name, state: "loading", previous: None };
            Ok(uncached(&mut HttpResponse::Accepted()).json(response))
        }
    }
}

/// Adds a release to the folder.
///
/// The body is a tar stream with the paths `releases/NAME/…` and `artifacts/HASH/…`, as in the folder
/// that `tandem quickstart` writes. It is verified before it is listed; what is refused leaves
/// nothing behind. It is not in use before it is activated.
#[utoipa::path(
    put, path = "/v1/releases/{name}", tag = "admin",
    params(("name" = String, Path, description = "Name of the release, 16 hexadecimal digits")),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses(
        (status = 201, description = "It is in the folder"),
        (status = 404, description = "The server has no folder of releases", body = Problem),
        (status = 409, description = "It exists, another upload is running, or the releases are in an object store", body = Problem),
        (status = 413, description = "It is larger than --release-max-size", body = Problem),
        (status = 422, description = "The upload is no release that can be used", body = Problem),
        (status = 503, description = "The disk is full", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn upload(
    state: web::Data<AppState>,
    http: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let releases = folder(&state)?;
    let name = checked(name)?;
    check_own_folder(&releases)?;
    check_encoding(http.headers())?;
    let limit = releases.max_bytes();
    let length = http.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // The archive has the headers of the files, too.
    if length.is_some_and(|length| length / 2 > limit) {
        return Err(ApiError::ReleaseTooLarge { limit });
    }
    let place = alone(&releases)?;
    let (parts, arrived) = mpsc::channel(WAITING_PARTS);
    let (path, wanted) = (releases.folder().to_owned(), name.clone());
    let unpacking = web::block(move || {
        let _place = place;
        receive(&path, &wanted, BodyReader::new(arrived), limit)
    });
    let (sent, unpacked) =
        tokio::join!(forward(&state, &http, payload, parts, 2 * limit), unpacking);
    sent?;
    let refused = |error: UploadError| match error {
        UploadError::TooLarge { limit } => ApiError::ReleaseTooLarge { limit },
        UploadError::Exists => exists_already(&name),
        UploadError::Write(source) if source.kind() == std::io::ErrorKind::StorageFull => {
            ApiError::StorageFull
        }
        // The caller is the operator, who can change the permissions.
        UploadError::Write(source) if !is_forbidden(&source) => {
            tracing::error!(error = %source, "cannot write an uploaded release");
            ApiError::Internal
        }
        other => ApiError::ReleaseRefused { release: name.clone(), reason: other.to_string() },
    };
    unpacked.map_err(|_| ApiError::Internal)?.map_err(refused)?;
    tracing::info!(release = name, "a release was uploaded");
    Ok(HttpResponse::Created().json(serde_json::json!({ "release": name })))
}

/// Hands the body to the thread that unpacks it. When that thread has refused it, reads on for
/// [`DISCARDED`] bytes: a client that still sends would not see the reason.
async fn forward(
    state: &AppState,
    http: &HttpRequest,
    payload: web::Payload,
    parts: mpsc::Sender<Option<web::Bytes>>,
    limit: u64,
) -> Result<(), ApiError> {
    let mut payload = payload.into_inner();
    let patience = state.limits.body_timeout;
    let (mut received, mut discarded) = (0, 0);
    loop {
        let part = tokio::time::timeout(patience, next_chunk(&mut payload)).await;
        let part = part.map_err(|_| ApiError::InvalidRequest {
            detail: format!("expected more of the body within {} s", patience.as_secs()),
        })?;
        let Some(part) = part else { break };
        let part = part.map_err(|error| ApiError::InvalidRequest {
            detail: format!("the body could not be read: {error}; send it again"),
        })?;
        received += part.len() as u64;
        if received > limit {
            return Err(ApiError::ReleaseTooLarge { limit: limit / 2 });
        }
        let length = part.len() as u64;
        if parts.send(Some(part)).await.is_err() {
            discarded += length;
        }
        if discarded > DISCARDED {
            // The thread has the reason.
            return Ok(());
        }
    }
    if let Some(activity) = http.conn_data::<Rc<Activity>>() {
        activity.body_arrived();
    }
    let _ = parts.send(None).await;
    Ok(())
}

/// Deletes a release that is not in use, with the artefacts that no other release has.
#[utoipa::path(
    delete, path = "/v1/releases/{name}", tag = "admin",
    params(("name" = String, Path, description = "Name of the release")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such release", body = Problem),
        (status = 409, description = "It is in use or being loaded, or the releases are in an object store", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn delete(
    state: web::Data<AppState>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let releases = folder(&state)?;
    let name = checked(name)?;
    check_own_folder(&releases)?;
    check_exists(&releases, &name).await?;
    let place = alone(&releases)?;
    let deleted = name.clone();
    let removal = move || {
        let _place = place;
        let folder = releases.folder();
        if is_current(folder, &name) {
            return Err(Err("in use"));
        }
        let hidden = releases.while_unused(&name, || hide(folder, &name)).map_err(Err)?;
        releases.forget(&name);
        hidden.and_then(|hidden| hidden.remove(folder)).map_err(Ok)
    };
    let failed = |error: Result<std::io::Error, &str>| match error {
        Err(used) => ApiError::Conflict {
            detail: format!("release {deleted} is {used}; activate another one first"),
        },
        Ok(error) => {
            tracing::error!(%error, release = deleted, "cannot delete a release");
            ApiError::Internal
        }
    };
    web::block(removal).await.map_err(|_| ApiError::Internal)?.map_err(failed)?;
    tracing::info!(release = deleted, "a release was deleted");
    Ok(HttpResponse::NoContent().finish())
}

/// Whether the server may not write to its folder of releases.
fn is_forbidden(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// Whether the next start uses the release.
fn is_current(folder: &Path, name: &str) -> bool {
    read_current(&folder.join(CURRENT)).is_ok_and(|current| current == name)
}

fn folder(state: &AppState) -> Result<Arc<Activations>, ApiError> {
    state.releases.clone().ok_or(ApiError::NoReleases)
}

/// The place of the only upload or deletion at a time.
fn alone(releases: &Activations) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
    Arc::clone(&releases.uploads).try_acquire_owned().map_err(|error| match error {
        TryAcquireError::NoPermits => ApiError::Conflict {
            detail: "another upload or deletion is running; try again later".to_owned(),
        },
        TryAcquireError::Closed => ApiError::Internal,
    })
}

fn checked(name: web::Path<String>) -> Result<String, ApiError> {
    if is_release(&name) {
        return Ok(name.into_inner());
    }
    Err(ApiError::InvalidField {
        field: "name".to_owned(),
        detail: format!(
            "expected 16 hexadecimal digits, the name of a folder in `releases`, found `{}`",
            shortened(&name)
        ),
    })
}

/// Refuses uploads and deletions in the copy of an object store: other servers would not see them.
fn check_own_folder(releases: &Activations) -> Result<(), ApiError> {
    let Some(store) = releases.store() else { return Ok(()) };
    let url = store.url();
    let detail = format!(
        "the releases of this server are in {url}; upload with `tandem publish --to {url}`, and remove older ones with its option --keep"
    );
    Err(ApiError::Conflict { detail })
}

async fn check_exists(releases: &Activations, name: &str) -> Result<(), ApiError> {
    let (path, wanted) = (releases.folder().to_owned(), name.to_owned());
    let store = releases.store().cloned();
    let exists = blocking(move || match store {
        Some(store) => store.has(&wanted),
        None => Ok(exists(&path, &wanted)),
    });
    if exists.await?.map_err(|error| store_refusal(&error))? {
        return Ok(());
    }
    Err(ApiError::ReleaseNotFound { release: name.to_owned() })
}

/// The answer to a request that the object store did not serve; its reason goes to the log.
fn store_refusal(error: &ReleaseStoreError) -> ApiError {
    tracing::error!(%error, "the object store refused a request");
    if error.is_temporary() { ApiError::StorageTimeout } else { ApiError::Internal }
}

fn exists_already(name: &str) -> ApiError {
    ApiError::Conflict { detail: format!("there is a release {name}; delete it first") }
}

/// The activations of the database, and without one those since the start. While the database does
/// not answer, those that were read last and those since then.
async fn history(state: &AppState, releases: &Activations) -> Result<Vec<Activation>, ApiError> {
    let Some(storage) = &state.storage else { return Ok(releases.snapshot().history) };
    match storage.activations(ACTIVATIONS).await {
        Ok(stored) => {
            releases.read(&stored);
            Ok(stored)
        }
        Err(error) => releases.known(ACTIVATIONS as usize).ok_or_else(|| refusal(&error)),
    }
}

fn uncached(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response.insert_header((header::CACHE_CONTROL, "no-store"))
}
