//! The manifest, the files it names, and the cells.

use std::{fs, io::Write as _};

use actix_web::test::TestRequest;
use cloud_server::{ArtifactError, ArtifactStore};

use tandem_dataset::files::sha256_hex;

use crate::{
    fixture::{CELLS, Fixture, wait_until, write_artifacts},
    http::{app, get, post, send},
};

#[actix_rt::test]
async fn the_manifest_is_sent_unchanged() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let reply = get(&app, "/v1/manifest").await;
    let file = fixture.artifacts.join(&fixture.hash).join("manifest.json");
    assert_eq!(reply.body, fs::read(file).unwrap());
    assert_eq!(reply.header("x-artifacts"), fixture.hash);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-cache");
    // The search settings and the popular items are part of it.
    assert_eq!(reply.json()["search"]["cells"]["path"], "cells.bin");
    assert_eq!(reply.json()["popular"], serde_json::json!(["2", "1"]));

    let tag = reply.header("etag").to_owned();
    let again =
        TestRequest::get().uri("/v1/manifest").insert_header(("if-none-match", tag.as_str()));
    let reply = send(&app, again).await;
    assert_eq!(reply.status.as_u16(), 304);
    assert!(reply.body.is_empty());
    assert_eq!(reply.header("x-artifacts"), fixture.hash);
}

#[actix_rt::test]
async fn files_are_immutable() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let reply = get(&app, &format!("/artifacts/{}/body.safetensors", fixture.hash)).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(&reply.body[..], b"weights");
    assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
    // The same on every server.
    assert_eq!(reply.header("etag"), format!("\"{}-body.safetensors\"", fixture.hash));
}

#[actix_rt::test]
async fn only_json_artefacts_are_compressed() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let request = |file: &str| {
        TestRequest::get()
            .uri(&format!("/artifacts/{}/{file}", fixture.hash))
            .insert_header(("accept-encoding", "gzip"))
    };
    for file in ["items.json", "manifest.json"] {
        let reply = send(&app, request(file)).await;
        assert_eq!(reply.header("content-encoding"), "gzip", "for {file}");
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(&reply.body[..2], [0x1f, 0x8b], "the magic bytes of gzip");
    }
    let cell = format!("cells/{}", sha256_hex(CELLS[0]));
    for file in ["body.safetensors", "rows.bin", &cell] {
        assert_eq!(send(&app, request(file)).await.header("content-encoding"), "", "for {file}");
    }
    let plain = get(&app, &format!("/artifacts/{}/items.json", fixture.hash)).await;
    assert_eq!((plain.header("content-encoding"), &plain.body[..]), ("", &b"[]"[..]));
}

#[actix_rt::test]
async fn compressed_copies_are_served_and_verified() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let folder = fixture.artifacts.join(&fixture.hash);
    let brotli = |content: &[u8]| {
        let mut copy = Vec::new();
        let mut encoder = brotli::CompressorWriter::new(&mut copy, 4096, 11, 22);
        encoder.write_all(content).unwrap();
        drop(encoder);
        copy
    };
    let request = |file: &str, accepted: &str| {
        TestRequest::get()
            .uri(&format!("/artifacts/{}/{file}", fixture.hash))
            .insert_header(("accept-encoding", accepted))
    };
    for (file, content, kind) in [
        ("body.safetensors", &b"weights"[..], "application/octet-stream"),
        ("items.json", b"[]", "application/json"),
    ] {
        let copy = folder.join(format!("{file}.br"));
        fs::write(&copy, brotli(content)).unwrap();
        let reply = send(&app, request(file, "gzip, br")).await;
        assert_eq!(reply.header("content-encoding"), "br", "{file}");
        assert_eq!(reply.header("content-type"), kind);
        assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(reply.header("vary").starts_with("accept-encoding"), "{}", reply.header("vary"));
        assert_eq!(reply.body, brotli(content));
        let reply = send(&app, request(file, "identity")).await;
        assert_eq!((reply.header("content-encoding"), &reply.body[..]), ("", content));
        assert!(reply.header("vary").starts_with("accept-encoding"), "{}", reply.header("vary"));

        // A damaged copy, one of another content, a longer one, and none at all.
        let long = brotli(&vec![0; 1 << 20]);
        for damaged in [b"weights".to_vec(), brotli(b"other"), long] {
            fs::write(&copy, damaged).unwrap();
            let reply = send(&app, request(file, "br")).await;
            assert_eq!((reply.header("content-encoding"), &reply.body[..]), ("", content));
        }
        fs::remove_file(&copy).unwrap();
        let reply = send(&app, request(file, "br")).await;
        assert_eq!((reply.header("content-encoding"), &reply.body[..]), ("", content));
        // It is not a file of the release by itself.
        fs::write(&copy, brotli(content)).unwrap();
        let reply = send(&app, request(&format!("{file}.br"), "br")).await;
        assert_eq!(reply.refusal(), "404 not_found");
    }
}

#[actix_rt::test]
async fn no_path_leaves_the_artefact_folder() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    fs::write(fixture.artifacts.join("secret"), "secret").unwrap();
    fs::write(fixture.artifacts.join(&fixture.hash).join(".hidden"), "secret").unwrap();
    fs::create_dir(fixture.artifacts.join(&fixture.hash).join("folder")).unwrap();
    let hash = &fixture.hash;
    for path in [
        format!("/artifacts/{hash}/../secret"),
        format!("/artifacts/{hash}/..%2fsecret"),
        format!("/artifacts/{hash}/%2e%2e%2fsecret"),
        format!("/artifacts/{hash}/..%5csecret"),
        format!("/artifacts/{hash}/.hidden"),
        format!("/artifacts/{hash}/folder"),
        format!("/artifacts/{hash}/nothing"),
        format!("/artifacts/{hash}/"),
        "/artifacts/../artifacts/current".to_owned(),
        "/artifacts/%2e%2e/artifacts".to_owned(),
        "/artifacts/0123456789abcdef/manifest.json".to_owned(),
        "/artifacts//secret".to_owned(),
    ] {
        let reply = get(&app, &path).await;
        assert_eq!(reply.refusal(), "404 not_found", "for {path}");
    }
}

#[actix_rt::test]
async fn cells_are_served_as_immutable_files() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    for cell in CELLS {
        let path = format!("/artifacts/{}/cells/{}", fixture.hash, sha256_hex(cell));
        let reply = get(&app, &path).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert_eq!(&reply.body[..], cell);
        assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let reply = post(&app, &path, "{}").await;
        assert_eq!(reply.refusal(), "405 method_not_allowed");
    }
}

#[actix_rt::test]
async fn cells_of_an_older_release_are_still_served() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let newer = write_artifacts(&fixture.artifacts, &fixture.recommender.catalogue, 1);
    for release in [&fixture.hash, &newer] {
        let path = format!("/artifacts/{release}/cells/{}", sha256_hex(CELLS[0]));
        assert_eq!(get(&app, &path).await.status.as_u16(), 200, "for {release}");
    }
}

#[actix_rt::test]
async fn missing_cells_and_invalid_cell_names_get_404() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let hash = &fixture.hash;
    let folder = fixture.artifacts.join(hash);
    let (cell, missing) = (sha256_hex(CELLS[0]), sha256_hex(b"no such cell"));
    // A file outside `cells` with a valid name, a folder with a valid name, and a secret.
    fs::write(folder.join(&missing), "secret").unwrap();
    fs::create_dir(folder.join("cells").join("f".repeat(64))).unwrap();
    fs::write(folder.join("cells").join("secret"), "secret").unwrap();
    for path in [
        format!("/artifacts/{hash}/cells/{missing}"),
        format!("/artifacts/{hash}/cells/{}", "f".repeat(64)),
        format!("/artifacts/{hash}/cells/secret"),
        format!("/artifacts/{hash}/cells/"),
        format!("/artifacts/{hash}/cells"),
        format!("/artifacts/{hash}/cells/{}", cell.to_uppercase()),
        format!("/artifacts/{hash}/cells/{}", &cell[1..]),
        format!("/artifacts/{hash}/cells/{cell}/"),
        format!("/artifacts/{hash}/cells/../manifest.json"),
        format!("/artifacts/{hash}/cells/..%2fmanifest.json"),
        format!("/artifacts/{hash}/cells/%2e%2e%2f{missing}"),
        format!("/artifacts/{hash}/cells%2f{cell}"),
        format!("/artifacts/0123456789abcdef/cells/{cell}"),
        format!("/artifacts/../cells/{cell}"),
        format!("/artifacts/%2e%2e/cells/{cell}"),
    ] {
        let reply = get(&app, &path).await;
        assert_eq!(reply.refusal(), "404 not_found", "for {path}");
    }
    let reply = get(&app, &format!("/artifacts/{hash}/cells/{missing}")).await;
    assert!(reply.problem().detail.contains("/v1/manifest"), "the detail says what to do");
}

#[actix_rt::test]
async fn a_new_release_is_used_and_the_old_one_still_served() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let newer = write_artifacts(&fixture.artifacts, &fixture.recommender.catalogue, 1);
    assert_ne!(newer, fixture.hash);
    assert_eq!(get(&app, "/v1/manifest").await.header("x-artifacts"), newer);
    let rows = post(&app, "/v1/rows", r#"{"items":["1"]}"#).await.json();
    let manifest = get(&app, "/v1/manifest").await.json();
    assert_eq!(rows["rows_hash"], manifest["rows"]["sha256"]);
    let old = format!("/artifacts/{}/rows.bin", fixture.hash);
    assert_eq!(get(&app, &old).await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn a_file_that_was_changed_is_not_served() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let folder = fixture.artifacts.join(&fixture.hash);
    let path = format!("/artifacts/{}/body.safetensors", fixture.hash);
    assert_eq!(get(&app, &path).await.status.as_u16(), 200);
    let body = folder.join("body.safetensors");
    fs::write(&body, "another").unwrap();
    let reply = get(&app, &path).await;
    assert_eq!(reply.refusal(), "500 internal");
    assert_eq!(reply.header("cache-control"), "no-store");
    fs::write(&body, "weights").unwrap();
    assert_eq!(get(&app, &path).await.status.as_u16(), 200);

    let cell = sha256_hex(CELLS[0]);
    fs::write(folder.join("cells").join(&cell), "another").unwrap();
    let path = format!("/artifacts/{}/cells/{cell}", fixture.hash);
    assert_eq!(get(&app, &path).await.refusal(), "500 internal");
    // A file that the manifest does not name was not exported.
    fs::write(folder.join("notes.txt"), "secret").unwrap();
    let path = format!("/artifacts/{}/notes.txt", fixture.hash);
    assert_eq!(get(&app, &path).await.refusal(), "404 not_found");
}

/// A device that holds the weights of a release must not get rows of another one.
#[actix_rt::test]
async fn rows_are_of_the_release_that_the_device_names() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let older = fixture.hash.clone();
    let rows = |release: &str| format!(r#"{{"items":["1"],"release":"{release}"}}"#);
    let list =
        |release: &str| format!(r#"{{"history":["2"],"k":1,"rows":true,"release":"{release}"}}"#);
    let first = post(&app, "/v1/rows", rows(&older)).await;
    assert_eq!(first.header("x-artifacts"), older);
    let newer = write_artifacts(&fixture.artifacts, &fixture.recommender.catalogue, 1);
    assert_eq!(get(&app, "/v1/manifest").await.header("x-artifacts"), newer);

    let again = post(&app, "/v1/rows", rows(&older)).await;
    assert_eq!(again.header("x-artifacts"), older);
    assert_eq!(again.json(), first.json());
    let current = post(&app, "/v1/rows", rows(&newer)).await;
    assert_ne!(current.json()["rows"], first.json()["rows"]);
    assert_ne!(current.json()["rows_hash"], first.json()["rows_hash"]);
    let of_list = post(&app, "/v1/candidates", list(&older)).await;
    assert_eq!(of_list.header("x-artifacts"), older);
    assert_eq!(of_list.json()["candidates"][0]["row"], first.json()["rows"][0]["row"]);
    let of_list = post(&app, "/v1/candidates", r#"{"history":["2"],"k":1,"rows":true}"#).await;
    assert_eq!(of_list.header("x-artifacts"), newer);

    for (path, body) in
        [("/v1/rows", rows("0123456789abcdef")), ("/v1/candidates", list("0123456789abcdef"))]
    {
        let reply = post(&app, path, body).await;
        assert_eq!(reply.refusal(), "409 catalogue_changed", "{path}");
        assert!(reply.problem().detail.contains("/v1/manifest"));
    }
    let reply = post(&app, "/v1/rows", rows("../secret")).await;
    assert_eq!(reply.refusal(), "400 invalid_field release");
}

/// A release that the server did not hold when it started.
#[actix_rt::test]
async fn an_older_release_on_the_disk_is_read_when_a_device_names_it() {
    let fixture = Fixture::new();
    let older = write_artifacts(&fixture.artifacts, &fixture.recommender.catalogue, 7);
    fs::write(fixture.artifacts.join("current"), &fixture.hash).unwrap();
    let app = app(&fixture).await;
    let body = format!(r#"{{"items":["1"],"release":"{older}"}}"#);
    let reply = post(&app, "/v1/rows", body.clone()).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-artifacts")), (200, older.as_str()));
    assert_eq!(get(&app, "/v1/manifest").await.header("x-artifacts"), fixture.hash);
    // It is in memory now.
    fs::remove_dir_all(fixture.artifacts.join(&older)).unwrap();
    assert_eq!(post(&app, "/v1/rows", body).await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn a_damaged_new_release_is_refused_and_the_old_one_stays_in_use() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    let newer = write_artifacts(&fixture.artifacts, &fixture.recommender.catalogue, 1);
    let rows = fixture.artifacts.join(&newer).join("rows.bin");
    let mut bytes = fs::read(&rows).unwrap();
    bytes[20] ^= 1;
    fs::write(&rows, bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(get(&app, "/v1/manifest").await.header("x-artifacts"), fixture.hash);
    }
    fs::write(fixture.artifacts.join("current"), "../../etc").unwrap();
    assert_eq!(get(&app, "/v1/manifest").await.header("x-artifacts"), fixture.hash);
}

/// A copy program may write `current` before the files of the release.
#[test]
fn a_release_that_is_completed_later_is_used_without_a_restart() {
    let fixture = Fixture::new();
    let artifacts = &fixture.recommender.artifacts;
    let newer = write_artifacts(&fixture.artifacts, &fixture.recommender.catalogue, 1);
    let rows = fixture.artifacts.join(&newer).join("rows.bin");
    let bytes = fs::read(&rows).unwrap();
    fs::remove_file(&rows).unwrap();
    assert_eq!(artifacts.refresh().hash(), fixture.hash);
    fs::write(&rows, bytes).unwrap();
    wait_until("the completed release is used", || artifacts.refresh().hash() == newer);
}

#[test]
fn each_fault_of_an_artefact_folder_has_its_own_error() {
    let fixture = Fixture::new();
    let open = || {
        ArtifactStore::open(&fixture.artifacts, fixture.recommender.catalogue.clone()).map(|_| ())
    };
    let file = |name: &str| fixture.artifacts.join(&fixture.hash).join(name);
    assert!(open().is_ok());

    let rows = fs::read(file("rows.bin")).unwrap();
    let mut flipped = rows.clone();
    flipped[9] ^= 1;
    fs::write(file("rows.bin"), flipped).unwrap();
    match open() {
        Err(ArtifactError::Damaged { path, expected, found }) => {
            assert_eq!(path, file("rows.bin"));
            assert_ne!(expected, found);
        }
        other => panic!("{other:?}"),
    }
    fs::remove_file(file("rows.bin")).unwrap();
    assert!(matches!(open(), Err(ArtifactError::Unreadable { .. })));
    fs::write(file("rows.bin"), rows).unwrap();
    assert!(open().is_ok());

    let index = fs::read(file("cells.bin")).unwrap();
    fs::write(file("cells.bin"), "another index").unwrap();
    assert!(matches!(open(), Err(ArtifactError::Damaged { .. })));
    fs::write(file("cells.bin"), index).unwrap();
    assert!(open().is_ok());

    let mut manifest = fs::read(file("manifest.json")).unwrap();
    manifest.push(b' ');
    fs::write(file("manifest.json"), manifest).unwrap();
    assert!(matches!(open(), Err(ArtifactError::Damaged { .. })));

    let other = tandem_dataset::Catalogue::new(
        fixture.recommender.catalogue.items().iter().take(3).cloned().collect(),
    )
    .unwrap();
    write_artifacts(&fixture.artifacts, &other, 0);
    assert!(matches!(open(), Err(ArtifactError::OtherCatalogue { .. })));

    fs::write(fixture.artifacts.join("current"), "x").unwrap();
    assert!(matches!(open(), Err(ArtifactError::Current { .. })));
    fs::remove_file(fixture.artifacts.join("current")).unwrap();
    assert!(matches!(open(), Err(ArtifactError::Unreadable { .. })));
}
