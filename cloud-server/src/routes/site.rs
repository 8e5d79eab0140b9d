use std::path::PathBuf;

use actix_files::Files;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{HttpServiceFactory, ServiceRequest, ServiceResponse},
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    },
    middleware::{Next, from_fn},
    web,
};

/// Content security policy: everything from this server, nothing inline, WebAssembly allowed.
/// It is sent with every file, because a worker obeys the policy of its own script.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Folder of the files whose names contain a hash (Vite's output).
const HASHED: &str = "/assets/";

/// The static site at `/`. Clients that accept it get `FILE.br` or `FILE.gz` instead of `FILE`.
pub(super) fn site(folder: PathBuf) -> impl HttpServiceFactory {
    let files = Files::new("/", folder)
        .index_file("index.html")
        .try_compressed()
        .prefer_utf8(true)
        .disable_content_disposition();
    web::scope("").wrap(from_fn(with_headers)).service(files)
}

pub(super) async fn with_headers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let hashed = request.path().starts_with(HASHED);
    let mut response = next.call(request).await?;
    let immutable = hashed && response.status().is_success();
    let headers = response.headers_mut();
    set(
        headers,
        CACHE_CONTROL,
        if immutable { "public, max-age=31536000, immutable" } else { "no-cache" },
    );
    set(headers, CONTENT_SECURITY_POLICY, POLICY);
    set(headers, REFERRER_POLICY, "no-referrer");
    Ok(response)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
