use std::path::PathBuf;

use actix_web::{
    HttpResponse,
    dev::HttpServiceFactory,
    http::header::{CACHE_CONTROL, HeaderValue},
    middleware::Compress,
    web::{self, ServiceConfig},
};

use super::{
    get,
    site::{self, protect},
};
use crate::{authorize::Access, config::CLIENT_SCRIPT};

const SCRIPT: &[u8] = include_bytes!("../home/home.js");
const STYLE: &[u8] = include_bytes!("../home/home.css");

/// The page of a server without a site: the catalogue with a search, and live recommendations.
/// With the folder of the built npm package, which is served at `/client`, the page runs the small
/// model in the browser; without it, it shows the server's own lists.
pub(super) fn home(app: &mut ServiceConfig, client: Option<PathBuf>) -> &mut ServiceConfig {
    let script = client.as_ref().map_or_else(String::new, |_| format!("/client/{CLIENT_SCRIPT}"));
    let page = include_str!("../home/index.html").replace("{client}", &script);
    if let Some(folder) = client {
        app.service(site::files("/client/{path:.*}", folder));
    }
    app.service(
        web::scope("")
            .wrap(Compress::default())
            .service(file("/", "text/html; charset=utf-8", page.into()))
            .service(file("/home.js", "text/javascript", web::Bytes::from_static(SCRIPT)))
            .service(file("/home.css", "text/css; charset=utf-8", web::Bytes::from_static(STYLE))),
    )
}

fn file(
    path: &'static str,
    media_type: &'static str,
    content: web::Bytes,
) -> impl HttpServiceFactory {
    get(path, Access::Open, move || {
        let mut response = HttpResponse::Ok().content_type(media_type).body(content.clone());
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        protect(headers);
        std::future::ready(response)
    })
}
