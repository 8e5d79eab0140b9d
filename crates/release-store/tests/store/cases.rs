//! What holds for every store.

use std::{fs, time::Duration};

use tandem_release_store::{LocalCopy, Published, ReleaseStore, ReleaseStoreError, Start};

use crate::shop::{FIRST, SECOND, Shop, THIRD, artifacts_of, model_of, names};

type Case = fn(&Shop);

/// All cases, each in a folder of its own below `url`.
pub(crate) fn all(url: &str) {
    let cases: [(&str, Case); 7] = [
        ("copies", copies_follow_an_upload),
        ("resumed", an_upload_continues_and_sends_a_changed_dataset_again),
        ("broken", an_upload_that_broke_off_is_not_used),
        ("damaged", damaged_objects_are_refused_and_a_repaired_upload_is_used),
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

fn start(copy: &LocalCopy) -> Result<Start, ReleaseStoreError> {
    copy.start(Duration::ZERO, |_| ())
}

fn copies_follow_an_upload(shop: &Shop) {
    let (one, other) = (shop.copy("one"), shop.copy("other"));
    assert!(matches!(start(&one), Err(ReleaseStoreError::NoRelease { .. })));
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

fn an_upload_continues_and_sends_a_changed_dataset_again(shop: &Shop) {
    let files = shop.files(FIRST, &artifacts_of(FIRST));
    let upload = || shop.store.upload_release(FIRST, &files, &|_| ()).unwrap();
    assert_eq!(upload(), Published { sent: 5, kept: 0 });
    // Only the dataset, from which a visitor may have been removed.
    assert_eq!(upload(), Published { sent: 1, kept: 4 });
    shop.damage(&files[2].path, |bytes| Some(bytes[..100].to_vec()));
    shop.damage(&files[3].path, |_| None);
    assert_eq!(upload(), Published { sent: 3, kept: 2 });
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
    assert_eq!(shop.store.remove_older(1).unwrap().len(), 1);
    assert!(shop.has(&format!("artifacts/{}/manifest.json", artifacts_of(SECOND))));
    assert!(matches!(start(&shop.copy("two")), Ok(Start::Current)));
}
