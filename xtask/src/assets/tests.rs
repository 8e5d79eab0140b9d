//! Tests of downloads, with a closure as the package index.

use std::{
    cell::Cell,
    fs::{self, File},
    io::Write,
    path::Path,
};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::{Member, Wheel};
use crate::{digest, failure::Failure};

const CONTENT: &str = "hello from inside the wheel";

/// A wheel with one file, and its pinned hashes.
fn wheel(folder: &Path) -> (Wheel, Vec<u8>) {
    let path = folder.join("original.whl");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    zip.start_file("package/hello.txt", SimpleFileOptions::default()).unwrap();
    zip.write_all(CONTENT.as_bytes()).unwrap();
    zip.finish().unwrap();
    let content = folder.join("content");
    fs::write(&content, CONTENT).unwrap();
    // Leaked, because pinned hashes are `&'static str`.
    let sha256: &'static str = digest::of_file(&path).unwrap().leak();
    let member = digest::of_file(&content).unwrap().leak();
    let members = vec![Member { path: "package/hello.txt", sha256: member }].leak();
    let wheel =
        Wheel { requirement: "hello==1", file: "hello-1.whl", sha256, folder: "hello", members };
    (wheel, fs::read(path).unwrap())
}

struct Index {
    bytes: Vec<u8>,
    asked: Cell<usize>,
}

impl Index {
    fn serve(&self, _requirement: &str, folder: &Path) -> Result<(), Failure> {
        self.asked.set(self.asked.get() + 1);
        fs::write(folder.join("hello-1.whl"), &self.bytes).map_err(Failure::file(folder))
    }
}

fn left_over(store: &Path) -> Vec<String> {
    let names = fs::read_dir(store).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect()
}

#[test]
fn intact_files_are_kept_and_damaged_files_are_restored() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (wheel, bytes) = wheel(folder.path());
    let index = Index { bytes, asked: Cell::new(0) };
    let provide = || wheel.provide(&store, |name, to| index.serve(name, to)).unwrap();
    let file = store.join("hello/hello.txt");

    assert_eq!(provide().join("hello.txt"), file);
    assert_eq!(fs::read_to_string(&file).unwrap(), CONTENT);
    provide();
    assert_eq!(index.asked.get(), 1);

    // A changed byte in an unpacked file; the wheel is intact.
    fs::write(&file, CONTENT.replace("hello", "hallo")).unwrap();
    provide();
    assert_eq!(fs::read_to_string(&file).unwrap(), CONTENT);
    assert_eq!(index.asked.get(), 1);

    // A truncated wheel, and nothing unpacked.
    fs::remove_dir_all(store.join("hello")).unwrap();
    let half = &index.bytes[..index.bytes.len() / 2];
    fs::write(store.join("hello-1.whl"), half).unwrap();
    provide();
    assert_eq!(fs::read_to_string(&file).unwrap(), CONTENT);
    assert_eq!(index.asked.get(), 2);
    assert_eq!(left_over(&store), Vec::<String>::new());
}

#[test]
fn a_missing_stamp_leads_to_a_check_but_no_download() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (wheel, bytes) = wheel(folder.path());
    let index = Index { bytes, asked: Cell::new(0) };
    let provide = || wheel.provide(&store, |name, to| index.serve(name, to)).unwrap();
    provide();
    fs::remove_file(store.join("hello-1.whl")).unwrap();
    fs::remove_file(store.join("hello/checked.stamp")).unwrap();
    provide();
    assert_eq!(index.asked.get(), 1);
    assert!(store.join("hello/checked.stamp").exists());
}

#[test]
fn a_wrong_hash_is_an_error_with_both_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (wheel, mut bytes) = wheel(folder.path());
    bytes[20] ^= 1;
    let index = Index { bytes, asked: Cell::new(0) };
    let failure = wheel.provide(&store, |name, to| index.serve(name, to)).unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("hello-1.whl") && text.contains(wheel.sha256), "{text}");
    assert_eq!(failure.status(), 2);
    assert!(!store.join("hello").exists() && !store.join("hello-1.whl").exists());
    assert_eq!(left_over(&store), Vec::<String>::new());
}
