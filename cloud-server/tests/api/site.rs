//! The static site, and pages of other origins.

use std::fs;

use actix_web::test::TestRequest;
use tempfile::TempDir;

use crate::{
    fixture::{Fixture, Options},
    http::{Reply, app, get, send},
};

fn site() -> (TempDir, Fixture) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("assets")).unwrap();
    write("index.html", "<!doctype html><title>Films</title>");
    write("assets/app-1a2b.js", "export {};");
    write("assets/app-1a2b.css", "a{}");
    write("tandem_bg.wasm", "plain");
    write("tandem_bg.wasm.br", "brotli");
    write(".env", "secret");
    let options = Options { site: Some(folder.path().to_owned()), ..Options::default() };
    let fixture = Fixture::with(options);
    (folder, fixture)
}

#[actix_rt::test]
async fn files_have_their_media_types_and_caching() {
    let (_folder, fixture) = site();
    let app = app(&fixture).await;
    let immutable = "public, max-age=31536000, immutable";
    for (path, media_type, caching) in [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/?demo=1", "text/html; charset=utf-8", "no-cache"),
        ("/assets/app-1a2b.js", "text/javascript", immutable),
        ("/assets/app-1a2b.css", "text/css; charset=utf-8", immutable),
        ("/tandem_bg.wasm", "application/wasm", "no-cache"),
    ] {
        let reply = get(&app, path).await;
        assert_eq!(reply.status.as_u16(), 200, "for {path}");
        assert_eq!(reply.header("content-type"), media_type, "for {path}");
        assert_eq!(reply.header("cache-control"), caching, "for {path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
        assert!(policy.contains("worker-src 'self';"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
}

#[actix_rt::test]
async fn compressed_files_are_sent_to_clients_that_accept_them() {
    let (_folder, fixture) = site();
    let app = app(&fixture).await;
    let asking = |accept: &'static str| {
        TestRequest::get().uri("/tandem_bg.wasm").insert_header(("accept-encoding", accept))
    };
    let reply = send(&app, asking("gzip, deflate, br")).await;
    assert_eq!(&reply.body[..], b"brotli");
    assert_eq!(reply.header("content-encoding"), "br");
    assert_eq!(reply.header("content-type"), "application/wasm");
    let reply = send(&app, asking("gzip")).await;
    assert_eq!(&reply.body[..], b"plain");
    assert_eq!(reply.header("content-encoding"), "");
}

/// Servers behind one balancer have the same files, with other inodes and times.
#[actix_rt::test]
async fn entity_tags_are_those_of_the_content() {
    let ((first_folder, first), (_folder, second)) = (site(), site());
    let (first, second) = (app(&first).await, app(&second).await);
    for path in ["/", "/assets/app-1a2b.js", "/tandem_bg.wasm"] {
        let (one, other) = (get(&first, path).await, get(&second, path).await);
        let tag = one.header("etag");
        assert!(tag.len() > 60 && tag == other.header("etag"), "{path}: {tag}");
        let asking = |tag: &str| TestRequest::get().uri(path).insert_header(("if-none-match", tag));
        let unchanged = send(&second, asking(tag)).await;
        assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0), "{path}");
        for header in ["etag", "cache-control", "content-security-policy", "last-modified"] {
            assert!(!unchanged.header(header).is_empty(), "{path}: {header}");
        }
        assert_eq!(send(&second, asking("\"another\"")).await.status.as_u16(), 200, "{path}");
    }
    let asking = TestRequest::get().uri("/tandem_bg.wasm").insert_header(("accept-encoding", "br"));
    let copy = send(&first, asking).await;
    assert_ne!(copy.header("etag"), get(&first, "/tandem_bg.wasm").await.header("etag"));
    // A new content of the same length has another tag.
    let old = get(&first, "/index.html").await;
    let file = first_folder.path().join("index.html");
    fs::write(first_folder.path().join("new"), "<!doctype html><title>Shoes</title>").unwrap();
    fs::rename(first_folder.path().join("new"), file).unwrap();
    let new = get(&first, "/index.html").await;
    assert_eq!(new.body.len(), old.body.len());
    assert_ne!(new.header("etag"), old.header("etag"));
}

#[actix_rt::test]
async fn a_part_of_a_file_is_sent() {
    let (_folder, fixture) = site();
    let app = app(&fixture).await;
    let request =
        || TestRequest::get().uri("/tandem_bg.wasm").insert_header(("range", "bytes=1-2"));
    let reply = send(&app, request()).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (206, &b"la"[..]));
    let tag = reply.header("etag").to_owned();
    // The tag of a range is not compared: the whole file is always right.
    let reply = send(&app, request().insert_header(("if-range", tag))).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"plain"[..]));
}

#[actix_rt::test]
async fn hidden_files_and_files_outside_the_site_are_not_served() {
    let (folder, fixture) = site();
    let app = app(&fixture).await;
    fs::write(folder.path().with_extension("secret"), "secret").unwrap();
    let name = folder.path().with_extension("secret");
    let name = name.file_name().unwrap().to_str().unwrap();
    for path in [
        "/.env".to_owned(),
        "/nothing.js".to_owned(),
        "/assets/".to_owned(),
        format!("/../{name}"),
        format!("/%2e%2e/{name}"),
        format!("/..%2f{name}"),
    ] {
        let reply = get(&app, &path).await;
        assert!(reply.status.is_client_error(), "{path} gave {}", reply.status);
        reply.problem();
    }
    let reply = send(&app, TestRequest::post().uri("/")).await;
    assert_eq!(reply.refusal(), "405 method_not_allowed");
    assert_eq!(reply.header("allow"), "GET, HEAD");
    fs::remove_file(folder.path().with_extension("secret")).unwrap();
}

async fn from_origin(fixture: &Fixture, origin: &str) -> Reply {
    let app = app(fixture).await;
    // An invalid request, because the calling page must be able to read errors, too.
    let request = TestRequest::post()
        .uri("/v1/candidates")
        .insert_header(("origin", origin))
        .insert_header(("content-type", "application/json"))
        .set_payload("{}");
    send(&app, request).await
}

#[actix_rt::test]
async fn only_allowed_origins_may_call_the_server() {
    const ALLOW: &str = "access-control-allow-origin";
    let shop = "https://shop.example";

    let closed = Fixture::new();
    assert_eq!(from_origin(&closed, shop).await.header(ALLOW), "");

    let open = Fixture::with(Options {
        allowed_origins: vec![shop.parse().unwrap()],
        ..Options::default()
    });
    let reply = from_origin(&open, shop).await;
    assert_eq!(reply.refusal(), "400 invalid_field history");
    assert_eq!(reply.header(ALLOW), shop);
    assert!(reply.header("access-control-expose-headers").contains("x-artifacts"));
    assert_eq!(from_origin(&open, "https://other.example").await.header(ALLOW), "");

    let preflight = TestRequest::default()
        .method(actix_web::http::Method::OPTIONS)
        .uri("/v1/candidates")
        .insert_header(("origin", shop))
        .insert_header(("access-control-request-method", "POST"))
        .insert_header(("access-control-request-headers", "content-type"));
    let reply = send(&app(&open).await, preflight).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(reply.header(ALLOW), shop);

    for origins in [vec!["*"], vec!["*", shop], vec![shop, "*"]] {
        let allowed_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        let any = Fixture::with(Options { allowed_origins, ..Options::default() });
        let reply = from_origin(&any, "https://other.example").await;
        assert_eq!(reply.header(ALLOW), "https://other.example", "for {origins:?}");
    }
}

#[actix_rt::test]
async fn a_server_without_a_site_has_a_page_of_its_own() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/home.js", "text/javascript"),
        ("/home.css", "text/css; charset=utf-8"),
    ] {
        let reply = get(&app, path).await;
        assert_eq!(reply.status.as_u16(), 200, "for {path}");
        assert_eq!(reply.header("content-type"), media_type, "for {path}");
        assert!(reply.header("content-security-policy").contains("script-src 'self'"));
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} is not alone");
    }
    let page = get(&app, "/").await;
    assert!(String::from_utf8(page.body.to_vec()).unwrap().contains("data-client=\"\""));
    for path in ["/nothing.js", "/client/dist/tandem.global.js"] {
        assert_eq!(get(&app, path).await.refusal(), "404 not_found", "for {path}");
    }
    let reply = send(&app, TestRequest::post().uri("/")).await;
    assert_eq!(reply.refusal(), "405 method_not_allowed");
}

#[actix_rt::test]
async fn the_page_runs_the_package_that_the_server_has() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dist")).unwrap();
    fs::write(folder.path().join("dist/tandem.global.js"), "var Tandem;").unwrap();
    let client = Some(folder.path().to_owned());
    let fixture = Fixture::with(Options { client, ..Options::default() });
    let app = app(&fixture).await;
    let page = get(&app, "/").await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("data-client=\"/client/dist/tandem.global.js\""), "{text}");
    let script = get(&app, "/client/dist/tandem.global.js").await;
    assert_eq!(&script.body[..], b"var Tandem;");
    assert_eq!(script.header("content-type"), "text/javascript");
}
