//! Settings of the environment that cannot be used, each in one sentence.

use std::{env, process::Command};

use tandem_release_store::ReleaseStore;

/// The variable with the store to open.
const STORE: &str = "TEST_STORE";

/// Opens a store in a process of its own with only these settings, and returns what it says.
fn open(store: &str, settings: &[(&str, &str)]) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "settings::in_a_process", "--nocapture"])
        .env_clear()
        .env(STORE, store)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "runs in a process with the settings of a test"]
fn in_a_process() {
    let store = env::var(STORE).unwrap().parse().unwrap();
    match ReleaseStore::open(store) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn settings_that_cannot_be_used_are_explained() {
    let endpoint = |url| ("AWS_ENDPOINT_URL", url);
    let http = endpoint("http://tdm_secret@127.0.0.1:9000");
    for (store, settings, part) in [
        ("s3://shop", &[http][..], "AWS_ALLOW_HTTP=true"),
        ("s3://shop", &[http, ("AWS_ALLOW_HTTP", "false")], "AWS_ALLOW_HTTP=true"),
        ("s3://shop", &[endpoint("http://tdm_secret:99999")], "a port that is not a number"),
        ("s3://shop", &[endpoint("tdm_secret/x")], "AWS_ENDPOINT_URL, found a text without"),
        ("s3://shop", &[endpoint("ftp://tdm_secret")], "the scheme `ftp`"),
        ("az://shop", &[], "AZURE_STORAGE_ACCOUNT_NAME"),
        ("s3://shop", &[http, ("AWS_ALLOW_HTTP", "true")], "opened"),
        ("s3://shop", &[], "opened"),
    ] {
        let said = open(store, settings);
        assert!(
            said.contains(part) && !said.contains("tdm_secret"),
            "{store} {settings:?}: {said}"
        );
    }
}
