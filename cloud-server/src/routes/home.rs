use std::path::PathBuf;

use actix_files::Files;
use actix_web::{
    HttpResponse, Resource,
    dev::HttpServiceFactory,
    middleware::{Compress, from_fn},
    web,
};

use super::{get, site::with_headers};
use crate::config::CLIENT_SCRIPT;

/// Where the folder of the npm package is served.
const CLIENT: &str = "/client";

/// The page of a server without a site: the catalogue with a search, and live recommendations.
/// With the folder of the built npm package, the page runs the small model in the browser;
/// without it, it shows the server's own lists.
pub(super) fn home(client: Option<PathBuf>) -> impl HttpServiceFactory {
    let script = client.as_ref().map_or_else(String::new, |_| format!("{CLIENT}/{CLIENT_SCRIPT}"));
    let page = include_str!("../home/index.html").replace("{client}", &script);
    let scope = web::scope("")
        .wrap(from_fn(with_headers))
        .wrap(Compress::default())
        .service(file("/", "text/html; charset=utf-8", page))
        .service(file("/home.js", "text/javascript", include_str!("../home/home.js").to_owned()))
        .service(file(
            "/home.css",
            "text/css; charset=utf-8",
            include_str!("../home/home.css").to_owned(),
        ));
    match client {
        Some(folder) => scope
            .service(Files::new(CLIENT, folder).prefer_utf8(true).disable_content_disposition()),
        None => scope,
    }
}

fn file(path: &str, media_type: &'static str, content: String) -> Resource {
    let content = web::Bytes::from(content);
    get(path, move || {
        let response = HttpResponse::Ok().content_type(media_type).body(content.clone());
        std::future::ready(response)
    })
}
