//! The cases on S3.

use std::{env, process::Command, time::Duration};

use tandem_release_store::{LocalCopy, ReleaseStore, ReleaseStoreError};

use crate::{
    cases,
    s3_server::{BUCKET, S3, settings},
};

/// The settings are those of the environment, so the cases run in a process of their own.
#[test]
fn on_s3() {
    let Some(server) = S3::start() else { return };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "s3::with_settings", "--nocapture"])
        .envs(settings(server.port))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in a process with the settings of S3"]
fn with_settings() {
    cases::all(&format!("s3://{BUCKET}/eu"));
    let store = ReleaseStore::open("s3://no-such-bucket".parse().unwrap()).unwrap();
    let error = store.activate("0000000000000001").unwrap_err();
    assert!(matches!(error, ReleaseStoreError::Missing { .. }), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let copy = LocalCopy::open(store, folder.path()).unwrap();
    let error = copy.start(Duration::from_mins(1), |_| ()).unwrap_err().to_string();
    assert!(error.contains("no such bucket"), "{error}");
}
