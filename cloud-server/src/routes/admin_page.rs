use actix_web::{
    HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, REFERRER_POLICY,
    },
    middleware::Compress,
    web::{self, ServiceConfig},
};

use super::get;
use crate::{authorize::Access, error::ApiError};

/// The page loads its own files and calls its own server, and nothing else. Strings never become
/// markup: the types of the browser refuse it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const SCRIPT: &str = "text/javascript";

macro_rules! files {
    ($($name:literal: $media_type:expr,)+) => {
        [$(($name, $media_type, include_str!(concat!("../admin/", $name))),)+]
    };
}

/// Name, media type and content.
const FILES: [(&str, &str, &str); 15] = files! {
    "index.html": "text/html; charset=utf-8",
    "admin.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": SCRIPT,
    "server.js": SCRIPT,
    "login.js": SCRIPT,
    "elements.js": SCRIPT,
    "numbers.js": SCRIPT,
    "charts.js": SCRIPT,
    "polling.js": SCRIPT,
    "overview.js": SCRIPT,
    "releases.js": SCRIPT,
    "catalogue.js": SCRIPT,
    "events.js": SCRIPT,
    "keys.js": SCRIPT,
};

/// The admin page, with its files in the program. The files have no data: the page gets it from the
/// admin routes, with the key that its user enters.
pub(super) fn admin_page(app: &mut ServiceConfig) {
    app.service(get("/admin", Access::Open, redirect));
    app.service(web::scope("/admin").wrap(Compress::default()).service(get(
        "/{file:[^/]*}",
        Access::Open,
        file,
    )));
}

async fn redirect() -> HttpResponse {
    // Relative, because a proxy may serve the server under a path.
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "admin/")).finish()
}

async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let name = if name.is_empty() { "index.html" } else { name.as_str() };
    let file = FILES.iter().find(|(file, ..)| *file == name).ok_or(ApiError::NotFound)?;
    let (_, media_type, content) = *file;
    let mut response = HttpResponse::Ok().content_type(media_type).body(content);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
