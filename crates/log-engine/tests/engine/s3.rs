//! Logs in S3.

use std::{env, io::Write, path::PathBuf, process::Command};

use flate2::{Compression, write::GzEncoder};
use tandem_dataset::ImportOptions;
use tandem_log_engine::{Engine, Memory};

use crate::{
    Logs, TINY, cluster, parquet_files,
    s3_server::{BUCKET, S3, settings},
};

const CSV: &[u8] =
    b"user,item,time,event\nann,tea,1700000000,view\nann,cup,x,view\nbob,tea,1700000001,cart\n";

fn files() -> [(&'static str, Vec<u8>); 3] {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(CSV).unwrap();
    let json = b"{\"user\":\"cy\",\"item\":\"tea\",\"time\":1700000002}\n".to_vec();
    [
        ("a.parquet", parquet_files::write(&parquet_files::rows(3_000), 100)),
        ("b.csv.gz", packed.finish().unwrap()),
        ("c.jsonl", json),
    ]
}

/// The settings are those of the environment, so the imports run in a process of their own.
#[test]
fn a_log_in_s3_gives_the_same_folder() {
    let Some(server) = S3::start() else { return };
    for (name, bytes) in files() {
        assert!(server.put(&format!("log/{name}"), &bytes), "{name}");
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "s3::with_settings", "--nocapture"])
        .envs(settings(server.port))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn objects(names: &[&str]) -> ImportOptions {
    let url = |name: &&str| PathBuf::from(format!("s3://{BUCKET}/log/{name}"));
    let mut options = ImportOptions::new("test", names.iter().map(url));
    options.max_bad_rows = 1.0;
    options
}

#[test]
#[ignore = "runs in a process with the settings of S3"]
fn with_settings() {
    let files = files();
    let names = files.each_ref().map(|(name, _)| *name);
    let contents = files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
    let logs = Logs::new(&contents);
    let mut local = logs.options(&names);
    local.max_bad_rows = 1.0;
    let (expected, _) = logs.in_memory(&local).unwrap();
    let bad_rows = |folder: &crate::Folder| folder["bad-rows.txt"].lines().count();
    for engine in [Engine::Local(Memory::Sorting(TINY)), Engine::Cluster(cluster::start())] {
        let (mut found, summary) = logs.outside(&objects(&names), engine).unwrap();
        assert_eq!(bad_rows(&found), bad_rows(&expected));
        // It names the files.
        found.insert("bad-rows.txt".to_owned(), expected["bad-rows.txt"].clone());
        assert_eq!(found, expected);
        assert!(summary.to_string().contains(&format!("s3://{BUCKET}/log/a.parquet")), "{summary}");
    }
    let engine = Engine::Local(Memory::Sorting(TINY));
    let missing = logs.outside(&objects(&["none.csv"]), engine).map(|_| ()).unwrap_err();
    let text = missing.to_string();
    assert!(text.contains(&format!("s3://{BUCKET}/log/none.csv")), "{text}");
}
