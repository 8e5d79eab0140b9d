use std::path::PathBuf;

use actix_files::Files;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{HttpServiceFactory, ServiceRequest, ServiceResponse},
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    middleware::{Next, from_fn},
    web,
};

/// Everything from this server, nothing inline; WebAssembly may be compiled. Sent with
/// every file, because a worker is bound by the policy of its own script's response.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Where the bundler (Vite) puts files that carry a hash in their name.
const HASHED: &str = "/assets/";

/// The static site at `/`; `FILE.br` or `FILE.gz` beside a file is sent to whom accepts it.
pub(super) fn site(folder: PathBuf) -> impl HttpServiceFactory {
    let files = Files::new("/", folder)
        .index_file("index.html")
        .try_compressed()
        .prefer_utf8(true)
        .disable_content_disposition();
    web::scope("").wrap(from_fn(with_headers)).service(files)
}

async fn with_headers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let hashed = request.path().starts_with(HASHED);
    let mut response = next.call(request).await?;
    let for_ever = hashed && response.status().is_success();
    let headers = response.headers_mut();
    set(
        headers,
        CACHE_CONTROL,
        if for_ever { "public, max-age=31536000, immutable" } else { "no-cache" },
    );
    set(headers, CONTENT_SECURITY_POLICY, POLICY);
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, REFERRER_POLICY, "no-referrer");
    Ok(response)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
