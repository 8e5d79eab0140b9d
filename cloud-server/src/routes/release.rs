use std::sync::Arc;

use crate::{
    artifacts::{ArtifactStore, Release, is_release},
    error::ApiError,
    files::blocking,
    messages::shortened,
};

/// The release that a request names, or the current one. A device must not get rows of another
/// release than its weights are of: their scores would be meaningless.
///
/// # Errors
/// [`ApiError::UnknownRelease`] if the server does not have it.
pub(super) async fn find_release(
    artifacts: &Arc<ArtifactStore>,
    name: Option<&str>,
) -> Result<Arc<Release>, ApiError> {
    let Some(name) = name else { return Ok(artifacts.current()) };
    if !is_release(name) {
        return Err(ApiError::InvalidField {
            field: "release".to_owned(),
            detail: format!(
                "expected 16 hexadecimal digits, the header `x-artifacts` of /v1/manifest, found `{}`",
                shortened(name)
            ),
        });
    }
    if let Some(held) = artifacts.held(name) {
        return Ok(held);
    }
    let (artifacts, wanted) = (Arc::clone(artifacts), name.to_owned());
    let loaded = blocking(move || artifacts.release(&wanted)).await?;
    loaded.map_err(|error| {
        tracing::debug!(%error, "a device names a release that cannot be used");
        ApiError::UnknownRelease { release: name.to_owned() }
    })
}
