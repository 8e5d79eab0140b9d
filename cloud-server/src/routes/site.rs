use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    dev::HttpServiceFactory,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentEncoding, HeaderMap, HeaderName,
        HeaderValue, REFERRER_POLICY, VARY,
    },
    web,
};

use super::{accept_encoding::accepts, entity_tag::respond, get};
use crate::{
    authorize::Access,
    content_tags::ContentTags,
    error::ApiError,
    files::{blocking, open_file},
    state::AppState,
};

/// Content security policy: everything from this server, nothing inline, WebAssembly allowed.
/// It is sent with every file, because a worker obeys the policy of its own script.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Folder of the files whose names contain a hash (Vite's output).
const HASHED: &str = "/assets/";

/// Encodings of compressed copies beside a file, the best first.
const COMPRESSED: [(&str, &str, ContentEncoding); 2] =
    [("br", "br", ContentEncoding::Brotli), ("gz", "gzip", ContentEncoding::Gzip)];

/// Serves the files of `folder` below the route `path`, which ends with `/{path:.*}`.
pub(super) fn files(path: &'static str, folder: PathBuf) -> impl HttpServiceFactory {
    let handler =
        move |state: web::Data<AppState>, path: web::Path<String>, request: HttpRequest| {
            let folder = folder.clone();
            async move { file(&state, &folder, &path, &request).await }
        };
    get(path, Access::Open, handler)
}

/// A file of `folder`, `index.html` for a folder in it. Clients that accept it get `FILE.br` or
/// `FILE.gz` instead of `FILE`. Hidden files are not served.
async fn file(
    state: &AppState,
    folder: &Path,
    path: &str,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut path = folder.join(relative(path).ok_or(ApiError::NotFound)?);
    if request.path().ends_with('/') {
        path.push("index.html");
    }
    let accepted = accepted_encodings(request.headers());
    let tags = Arc::clone(&state.content_tags);
    let opened = blocking(move || open_best(&path, &accepted, &tags)).await?;
    let Opened { file, tag, has_copy } = opened.ok_or(ApiError::NotFound)?;
    let mut response = respond(file.prefer_utf8(true), tag, request);
    let immutable = request.path().starts_with(HASHED) && response.status().is_success();
    let headers = response.headers_mut();
    let caching = if immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    set(headers, CACHE_CONTROL, caching);
    protect(headers);
    if has_copy {
        set(headers, VARY, "accept-encoding");
    }
    Ok(response)
}

/// Sets what a page and its files may do.
pub(super) fn protect(headers: &mut HeaderMap) {
    set(headers, CONTENT_SECURITY_POLICY, POLICY);
    set(headers, REFERRER_POLICY, "no-referrer");
}

/// The path below the site's folder; `None` for names that could leave it, and hidden files.
fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_plain = !part.starts_with('.') && !part.contains(['\\', '\0', ':']);
        if !is_plain {
            return None;
        }
        relative.push(part);
    }
    Some(relative)
}

/// Endings and encodings of compressed copies that the client accepts.
fn accepted_encodings(headers: &HeaderMap) -> Vec<(&'static str, ContentEncoding)> {
    let accepted = COMPRESSED.into_iter().filter(|(_, name, _)| accepts(headers, name));
    accepted.map(|(ending, _, encoding)| (ending, encoding)).collect()
}

/// A file of the site, or a compressed copy of it.
struct Opened {
    file: NamedFile,
    /// The entity tag.
    tag: Option<String>,
    /// Whether it is a compressed copy.
    has_copy: bool,
}

/// Opens the first compressed copy that exists, or the file.
fn open_best(
    path: &Path,
    accepted: &[(&'static str, ContentEncoding)],
    tags: &ContentTags,
) -> Option<Opened> {
    // A file that cannot be read is as good as none.
    let open = |path: &Path| {
        open_file(path).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "cannot read a file of the site");
            None
        })
    };
    let plain = open(path)?;
    let kind = plain.content_type().clone();
    for (ending, encoding) in accepted {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        if let Some(copy) = open(Path::new(&name)) {
            let tag = tags.of(Path::new(&name), copy.metadata());
            let file = copy.set_content_type(kind).set_content_encoding(*encoding);
            return Some(Opened { file, tag, has_copy: true });
        }
    }
    let tag = tags.of(path, plain.metadata());
    Some(Opened { file: plain, tag, has_copy: false })
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_folder() {
        assert_eq!(relative("assets/app.js").unwrap(), Path::new("assets/app.js"));
        assert_eq!(relative("").unwrap(), Path::new(""));
        for path in ["../x", "a/../x", ".env", "a/.b", "a\\b", "c:x", "a\0"] {
            assert!(relative(path).is_none(), "{path:?} was accepted");
        }
    }
}
