use std::io::Read;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderMap, HeaderValue, LOCATION, VARY,
    },
    web::{self, ServiceConfig},
};
use flate2::read::GzDecoder;

use super::{get, site::protect};
use crate::{authorize::Access, error::ApiError};

/// A file of the page, as it is in the program.
enum Content {
    Plain(&'static str),
    Gzip(&'static [u8]),
}

/// Name, media type and content. The build script takes the files of Swagger UI out of its
/// archive.
const FILES: [(&str, &str, Content); 5] = [
    ("", "text/html; charset=utf-8", Content::Plain(include_str!("../api_docs/index.html"))),
    ("start.js", "text/javascript", Content::Plain(include_str!("../api_docs/start.js"))),
    (
        "swagger-ui-bundle.js",
        "text/javascript",
        Content::Gzip(include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"))),
    ),
    (
        "swagger-ui.css",
        "text/css; charset=utf-8",
        Content::Gzip(include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"))),
    ),
    // The script names this file.
    (
        "swagger-ui-bundle.js.LICENSE.txt",
        "text/plain; charset=utf-8",
        Content::Plain(concat!(
            include_str!("../api_docs/licenses/NOTICE"),
            include_str!("../api_docs/licenses/BUNDLED.txt"),
            include_str!("../api_docs/licenses/LICENSE"),
        )),
    ),
];

/// A page for people that shows `/openapi.json`: Swagger UI, with its files in the program. The
/// browser loads nothing from elsewhere.
pub(super) fn api_docs(app: &mut ServiceConfig) {
    app.service(get("/docs/api", Access::Open, redirect));
    app.service(get("/docs/api/{file:[^/]*}", Access::Open, file));
}

async fn redirect() -> HttpResponse {
    // Relative, because a proxy may serve the server under a path.
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "api/")).finish()
}

async fn file(name: web::Path<String>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let file = FILES.iter().find(|(file, ..)| *file == name.as_str());
    let (_, media_type, content) = file.ok_or(ApiError::NotFound)?;
    let mut response = HttpResponse::Ok();
    response.content_type(*media_type);
    let mut response = match content {
        Content::Plain(text) => response.body(*text),
        Content::Gzip(bytes) if accepts_gzip(request.headers()) => {
            response.insert_header((CONTENT_ENCODING, "gzip")).body(*bytes)
        }
        Content::Gzip(bytes) => {
            let mut plain = Vec::new();
            GzDecoder::new(*bytes).read_to_end(&mut plain).map_err(|_| ApiError::Internal)?;
            response.body(plain)
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    protect(headers);
    Ok(response)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = matches!(
            weight.trim().strip_prefix("q=").map(str::parse::<f32>),
            Some(Ok(weight)) if weight <= 0.0
        );
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}
