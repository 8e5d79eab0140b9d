//! What holds for every store.

use std::{fs, time::Duration};

use tandem_release_store::{
    LocalCopy, LocalFile, Published, ReleaseStore, ReleaseStoreError, Start, verify_copy,
};

use crate::shop::{FIRST, SECOND, Shop, THIRD, artifacts_of, model_of, names};

type Case = fn(&Shop);

/// All cases, each in a folder of its own below `url`.
pub(crate) fn all(url: &str) {
    let cases: [(&str, Case); 8] = [
        ("copies", copies_follow_an_upload),
        ("resumed", an_upload_continues_and_replaces_other_content),
        ("broken", an_upload_that_broke_off_is_not_used),
        ("damaged", damaged_objects_are_refused_and_a_repaired_upload_is_used),
        ("repaired", files_of_a_copy_that_were_damaged_are_downloaded_again),
        ("continued", a_download_continues_with_the_file_that_failed),
        ("activated", a_copy_puts_a_release_in_use_for_all),
        ("removed", older_releases_are_removed_from_store_and_copies),
    ];
    for (name, case) in cases {
        println!("{name}");
        case(&Shop::new(&format!("{url}/{name}")));
    }
}

#[test]
fn on_a_folder() {
    let home = tempfile::tempdir().unwrap();
    all(&format!("file://{}", home.path().join("a store").display()).replace(' ', "%20"));
}

/// A folder that was removed, or that is empty because its file system is not mounted.
#[test]
fn a_folder_that_has_vanished_is_an_outage() {
    let home = tempfile::tempdir().unwrap();
    let (folder, away) = (home.path().join("store"), home.path().join("away"));
    let shop = Shop::new(&format!("file://{}", folder.display()));
    let error = start(&shop.copy("one")).unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("tandem publish"), "{error}");
    shop.publish(FIRST);
    let copy = shop.copy("one");
    assert!(matches!(start(&copy), Ok(Start::Current)));
    let is_outage = |part: &str| {
        let error = copy.follow().unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains(part), "{error}");
        let error = copy.put_in_use(FIRST).unwrap_err();
        assert!(error.is_temporary(), "{error}");
    };
    fs::rename(&folder, &away).unwrap();
    is_outage("cannot be read");
    fs::create_dir(&folder).unwrap();
    is_outage("is empty");
    assert!(names(&folder).is_empty(), "written into an empty folder");
    fs::remove_dir(&folder).unwrap();
    drop(copy);
    let copy = shop.copy("one");
    let started = start(&copy).unwrap();
    assert!(matches!(started, Start::Earlier(ReleaseStoreError::Unavailable { .. })));
    // Without a release, the start waits for the store.
    let waiting = shop.copy("other");
    let put_back = || fs::rename(&away, &folder).unwrap();
    let started = waiting.start(Duration::from_mins(1), |error| {
        assert!(error.is_temporary(), "{error}");
        put_back();
    });
    assert!(matches!(started, Ok(Start::Current)), "{started:?}");
    assert_eq!(copy.follow().unwrap(), None);
}

#[test]
fn the_folder_of_a_store_is_no_folder_for_copies() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("store");
    let shop = Shop::new(&format!("file://{}", folder.display()));
    shop.publish(FIRST);
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    for own in [folder.clone(), link, folder.join("a/copy"), folder.join("releases/../../store")] {
        let store = ReleaseStore::open(shop.store.url().clone()).unwrap();
        let error = LocalCopy::open(store, &own).unwrap_err();
        assert!(matches!(error, ReleaseStoreError::OwnFolder { .. }), "{own:?}: {error}");
    }
    assert_eq!(names(&folder), ["artifacts", "current", "releases"]);
}

fn start(copy: &LocalCopy) -> Result<Start, ReleaseStoreError> {
    copy.start(Duration::ZERO, |_| ())
}

fn copies_follow_an_upload(shop: &Shop) {
    let (one, other) = (shop.copy("one"), shop.copy("other"));
    let error = start(&one).unwrap_err();
    let is_folder = shop.store.url().folder().is_some();
    assert_eq!(is_folder, error.is_temporary(), "{error}");
    assert_eq!(!is_folder, matches!(error, ReleaseStoreError::NoRelease { .. }), "{error}");
    let store = ReleaseStore::open(shop.store.url().clone()).unwrap();
    let second = LocalCopy::open(store, &shop.copy_folder("one"));
    assert!(matches!(second, Err(ReleaseStoreError::InUse { .. })), "{second:?}");

    assert_eq!(shop.publish(FIRST), None);
    for copy in [&one, &other] {
        assert!(matches!(start(copy), Ok(Start::Current)));
        assert_eq!(copy.follow().unwrap(), None, "nothing has changed");
    }
    assert_eq!(shop.publish(SECOND).as_deref(), Some(FIRST));
    for copy in [&one, &other] {
        assert_eq!(copy.follow().unwrap().as_deref(), Some(SECOND));
        let folder = copy.folder();
        assert_eq!(fs::read_to_string(folder.join("current")).unwrap(), SECOND);
        for file in shop.files(SECOND, &artifacts_of(SECOND)) {
            let copied = fs::read(folder.join(&file.path)).unwrap();
            assert!(copied == fs::read(&file.file).unwrap(), "{} differs", file.path);
        }
        assert_eq!(names(folder), [".lock", "artifacts", "current", "releases"]);
    }
    // A release with the artefacts of another one.
    let files = shop.files(THIRD, &artifacts_of(SECOND));
    let sent = shop.store.upload_release(THIRD, &files, &|_| ()).unwrap();
    assert_eq!(sent, Published { sent: 3, kept: 2 });
    shop.store.activate(THIRD).unwrap();
    let shared = one.folder().join("artifacts");
    let before = fs::metadata(shared.join(artifacts_of(SECOND))).unwrap().modified().unwrap();
    assert_eq!(one.follow().unwrap().as_deref(), Some(THIRD));
    assert_eq!(names(&shared), [artifacts_of(FIRST), artifacts_of(SECOND)]);
    let after = fs::metadata(shared.join(artifacts_of(SECOND))).unwrap().modified().unwrap();
    assert_eq!(before, after);
}

fn an_upload_continues_and_replaces_other_content(shop: &Shop) {
    let files = shop.files(FIRST, &artifacts_of(FIRST));
    let upload = || shop.store.upload_release(FIRST, &files, &|_| ()).unwrap();
    assert_eq!(upload(), Published { sent: 5, kept: 0 });
    assert_eq!(upload(), Published { sent: 0, kept: 5 });
    let other = |mut bytes: Vec<u8>| {
        bytes[0] ^= 1;
        Some(bytes)
    };
    // The list is the last object that an upload writes.
    shop.damage(&format!("releases/{FIRST}/files.json"), |_| None);
    shop.damage(&files[1].path, other);
    shop.damage(&files[2].path, other);
    assert_eq!(upload(), Published { sent: 2, kept: 3 });
    shop.damage(&files[2].path, |bytes| Some(bytes[..100].to_vec()));
    shop.damage(&files[3].path, |_| None);
    shop.damage(&files[4].path, other);
    assert_eq!(upload(), Published { sent: 3, kept: 2 });
    // The dataset, from which a visitor was removed.
    fs::write(&files[1].file, "[]").unwrap();
    assert_eq!(upload(), Published { sent: 1, kept: 4 });
    shop.store.activate(FIRST).unwrap();
    assert!(matches!(start(&shop.copy("one")), Ok(Start::Current)));
    let refused = |name: &str| shop.store.upload_release(name, &files, &|_| ()).unwrap_err();
    for name in ["../x", "", "0123456789ABCDEF", SECOND] {
        assert!(matches!(refused(name), ReleaseStoreError::Name { .. }), "{name}");
    }
}

fn an_upload_that_broke_off_is_not_used(shop: &Shop) {
    shop.publish(FIRST);
    let copy = shop.copy("one");
    start(&copy).unwrap();
    let files = shop.files(SECOND, &artifacts_of(SECOND));
    shop.store.upload_release(SECOND, &files, &|_| ()).unwrap();
    assert_eq!(copy.follow().unwrap(), None, "`current` names the first one");
    let list = format!("releases/{SECOND}/files.json");
    shop.damage(&list, |_| None);
    let error = shop.store.activate(SECOND).unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Missing { .. }), "{error}");
    // Another program has written `current`.
    shop.damage("current", |_| Some(SECOND.into()));
    let error = copy.follow().unwrap_err();
    assert!(error.to_string().contains(&list), "{error}");
    assert_eq!(fs::read_to_string(copy.folder().join("current")).unwrap(), FIRST);
    // At a start, too.
    drop(copy);
    let copy = shop.copy("one");
    let started = start(&copy).unwrap();
    assert!(matches!(started, Start::Earlier(ReleaseStoreError::Missing { .. })), "{started:?}");
    shop.damage("current", |_| Some(b"something else".to_vec()));
    let error = copy.follow().unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Content { .. }), "{error}");
}

fn damaged_objects_are_refused_and_a_repaired_upload_is_used(shop: &Shop) {
    shop.publish(FIRST);
    let copy = shop.copy("one");
    start(&copy).unwrap();
    shop.publish(SECOND);
    let model = format!("releases/{SECOND}/language-model.gguf");
    let follow = || loop {
        match copy.follow() {
            // It is tried again after a while.
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    };
    shop.damage(&model, |bytes| Some(bytes[..bytes.len() - 1].to_vec()));
    let error = follow().unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("bytes"), "{error}");
    assert_eq!(copy.follow().unwrap(), None, "not at once");
    shop.publish(SECOND);
    shop.damage(&model, |mut bytes| {
        bytes[4_000_000] ^= 1;
        Some(bytes)
    });
    let error = follow().unwrap_err().to_string();
    assert!(error.contains("SHA-256") && error.contains(&model), "{error}");
    shop.damage(&model, |_| None);
    let error = follow().unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Missing { .. }), "{error}");
    shop.damage(&format!("releases/{SECOND}/files.json"), |_| Some(b"{\"files\":[]}".to_vec()));
    let error = follow().unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Content { .. }), "{error}");
    assert_eq!(names(&copy.folder().join("releases")), [FIRST]);
    assert_eq!(fs::read_to_string(copy.folder().join("current")).unwrap(), FIRST);
    // Another release is used at once.
    shop.publish(THIRD);
    assert_eq!(copy.follow().unwrap().as_deref(), Some(THIRD));
    shop.publish(SECOND);
    assert_eq!(copy.follow().unwrap().as_deref(), Some(SECOND));
}

fn files_of_a_copy_that_were_damaged_are_downloaded_again(shop: &Shop) {
    shop.publish(FIRST);
    let copy = shop.copy("one");
    start(&copy).unwrap();
    let folder = copy.folder().to_owned();
    let files = shop.files(FIRST, &artifacts_of(FIRST));
    let is_whole = |file: &LocalFile| {
        fs::read(folder.join(&file.path)).ok() == Some(fs::read(&file.file).unwrap())
    };
    let change = |file: &LocalFile, change: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(&file.file).unwrap();
        change(&mut bytes);
        fs::write(folder.join(&file.path), bytes).unwrap();
    };
    let last_bit = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    change(&files[1], |bytes| bytes.truncate(1));
    change(&files[2], last_bit);
    change(&files[4], last_bit);
    fs::remove_file(folder.join(&files[3].path)).unwrap();
    let error = verify_copy(&folder).unwrap_err();
    assert!(matches!(error, ReleaseStoreError::DamagedInUse { .. }), "{error}");
    drop(copy);
    let copy = shop.copy("one");
    assert!(matches!(start(&copy), Ok(Start::Current)));
    assert!(files.iter().all(is_whole));
    verify_copy(&folder).unwrap();
    assert_eq!(names(&folder), [".lock", "artifacts", "current", "releases"]);
    // A release that is put in use again.
    shop.publish(SECOND);
    copy.follow().unwrap();
    change(&files[2], last_bit);
    shop.store.activate(FIRST).unwrap();
    assert_eq!(copy.follow().unwrap().as_deref(), Some(FIRST));
    assert!(files.iter().all(is_whole));
    // Without a list, as an earlier version has left it.
    fs::remove_file(folder.join(format!("releases/{FIRST}/files.json"))).unwrap();
    change(&files[2], last_bit);
    drop(copy);
    let copy = shop.copy("one");
    assert!(matches!(start(&copy), Ok(Start::Current)));
    assert!(files.iter().all(is_whole));
    // What is damaged here and in the store is not used.
    change(&files[2], last_bit);
    shop.damage(&files[2].path, |bytes| Some(bytes[1..].to_vec()));
    drop(copy);
    let error = start(&shop.copy("one")).unwrap_err();
    assert!(matches!(error, ReleaseStoreError::DamagedCopy { .. }), "{error}");
    assert!(error.to_string().contains("language-model.gguf") && !error.is_temporary(), "{error}");
}

fn a_download_continues_with_the_file_that_failed(shop: &Shop) {
    let copy = shop.copy("one");
    shop.publish(FIRST);
    let manifest = format!("artifacts/{}/manifest.json", artifacts_of(FIRST));
    shop.damage(&manifest, |_| Some(b"damaged".to_vec()));
    let staged = copy.folder().join(format!(".download-{FIRST}"));
    let written = || fs::metadata(model_of(&staged, FIRST)).unwrap().modified().unwrap();
    assert!(copy.fetch(FIRST).is_err());
    let before = written();
    assert!(copy.fetch(FIRST).is_err());
    assert_eq!(written(), before, "downloaded again");
    // What was damaged on the disk meanwhile is.
    fs::write(staged.join(format!("releases/{FIRST}/artifacts")), "x").unwrap();
    shop.publish(FIRST);
    assert_eq!(copy.follow().unwrap().as_deref(), Some(FIRST));
    let model = fs::metadata(model_of(copy.folder(), FIRST)).unwrap();
    assert_eq!(model.modified().unwrap(), before);
    let hash = fs::read_to_string(copy.folder().join(format!("releases/{FIRST}/artifacts")));
    assert_eq!(hash.unwrap(), artifacts_of(FIRST));
}

fn a_copy_puts_a_release_in_use_for_all(shop: &Shop) {
    shop.publish(FIRST);
    shop.publish(SECOND);
    let (one, other) = (shop.copy("one"), shop.copy("other"));
    for copy in [&one, &other] {
        start(copy).unwrap();
    }
    one.fetch(FIRST).unwrap();
    one.put_in_use(FIRST).unwrap();
    assert_eq!(one.follow().unwrap(), None);
    assert_eq!(other.follow().unwrap().as_deref(), Some(FIRST));
    let error = one.put_in_use(THIRD).unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Missing { .. }), "{error}");
    assert_eq!(fs::read_to_string(one.folder().join("current")).unwrap(), FIRST);
}

fn older_releases_are_removed_from_store_and_copies(shop: &Shop) {
    let copy = shop.copy("one");
    for name in [FIRST, SECOND, THIRD] {
        shop.publish(name);
        copy.follow().unwrap();
    }
    let (releases, artifacts) = (copy.folder().join("releases"), copy.folder().join("artifacts"));
    // The third is not in use yet.
    copy.remove_older(FIRST).unwrap();
    assert_eq!(names(&releases), [FIRST, SECOND, THIRD]);
    copy.remove_older(THIRD).unwrap();
    assert_eq!(names(&releases), [SECOND, THIRD]);
    assert_eq!(names(&artifacts), [artifacts_of(SECOND), artifacts_of(THIRD)]);
    // The one before is the one that was in use, not the one that was downloaded last.
    shop.store.activate(SECOND).unwrap();
    copy.follow().unwrap();
    shop.publish(FIRST);
    copy.follow().unwrap();
    copy.remove_older(FIRST).unwrap();
    assert_eq!(names(&releases), [FIRST, SECOND]);

    assert!(shop.store.remove_older(3).unwrap().is_empty());
    shop.store.activate(SECOND).unwrap();
    let removed = shop.store.remove_older(2).unwrap();
    // The one in use is older than both others.
    assert_eq!(removed.len(), 1);
    assert!(shop.has(&format!("releases/{SECOND}/files.json")));
    let gone = &removed[0];
    assert!([FIRST, THIRD].contains(&gone.as_str()));
    assert!(!shop.has(&format!("releases/{gone}/files.json")));
    assert!(!shop.has(&format!("releases/{gone}/language-model.gguf")));
    assert!(!shop.has(&format!("artifacts/{}/manifest.json", artifacts_of(gone))));
    if let Some(folder) = shop.store.url().folder() {
        assert_eq!(names(&folder.join("releases")).len(), 2, "an empty folder is left");
        assert_eq!(names(&folder.join("artifacts")).len(), 2, "an empty folder is left");
    }
    assert_eq!(shop.store.remove_older(1).unwrap().len(), 1);
    assert!(shop.has(&format!("artifacts/{}/manifest.json", artifacts_of(SECOND))));
    assert!(matches!(start(&shop.copy("two")), Ok(Start::Current)));
}
