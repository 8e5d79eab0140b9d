//! The page that shows the description of the API.

use std::io::Read;

use actix_web::test::TestRequest;
use flate2::read::GzDecoder;

use crate::{
    fixture::{Fixture, Options},
    http::{app, get, send},
};

/// The values of an attribute in a page.
fn values<'p>(page: &'p str, attribute: &'static str) -> impl Iterator<Item = &'p str> {
    page.split(attribute).skip(1).filter_map(|rest| rest.strip_prefix("=\"")?.split('"').next())
}

#[actix_rt::test]
async fn the_page_loads_only_files_of_this_server() {
    let app = app(&Fixture::new()).await;
    let page = get(&app, "/docs/api/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe-inline"), "{policy}");
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let files: Vec<_> = values(&text, "src")
        .chain(values(&text, "href"))
        .filter(|file| *file != "data:,")
        .collect();
    assert_eq!(files, ["swagger-ui-bundle.js", "start.js", "swagger-ui.css"]);
    for file in files {
        let reply = get(&app, &format!("/docs/api/{file}")).await;
        assert_eq!(reply.status.as_u16(), 200, "{file}");
        assert_eq!(reply.header("content-security-policy"), policy, "{file}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{file}");
    }
    let licence = get(&app, "/docs/api/swagger-ui-bundle.js.LICENSE.txt").await;
    let licence = String::from_utf8(licence.body.to_vec()).unwrap();
    assert!(licence.contains("SmartBear") && licence.contains("Apache License"), "{licence}");
    // The policy allows no script within the page.
    assert!(text.matches("<script").count() == 2 && !text.contains("onload"), "{text}");
    let start = get(&app, "/docs/api/start.js").await;
    let start = String::from_utf8(start.body.to_vec()).unwrap();
    assert!(start.contains("\"../../openapi.json\"") && !start.contains("http"), "{start}");
}

#[actix_rt::test]
async fn files_are_compressed_for_clients_that_accept_it() {
    let app = app(&Fixture::new()).await;
    let path = "/docs/api/swagger-ui.css";
    let plain = get(&app, path).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert!(plain.body.starts_with(b".swagger-ui"), "{:?}", &plain.body[..20]);
    let with = |accept| TestRequest::get().uri(path).insert_header(("accept-encoding", accept));
    let packed = send(&app, with("br, gzip")).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    for refused in ["br", "gzip;q=0", "identity"] {
        assert_eq!(send(&app, with(refused)).await.body, plain.body, "{refused}");
    }
}

#[actix_rt::test]
async fn the_page_is_found_without_a_slash_and_has_no_other_files() {
    let app = app(&Fixture::new()).await;
    let found = get(&app, "/docs/api").await;
    assert_eq!((found.status.as_u16(), found.header("location")), (308, "api/"));
    for path in ["/docs/api/index.html", "/docs/api/../home.js", "/docs/api/a/b", "/docs"] {
        assert_eq!(get(&app, path).await.refusal(), "404 not_found", "{path}");
    }
}

#[actix_rt::test]
async fn the_page_can_be_left_out() {
    let app = app(&Fixture::with(Options { no_api_docs: true, ..Options::default() })).await;
    for path in ["/docs/api", "/docs/api/", "/docs/api/start.js"] {
        assert_eq!(get(&app, path).await.refusal(), "404 not_found", "{path}");
    }
    assert_eq!(get(&app, "/openapi.json").await.status.as_u16(), 200);
}
