//! An import outside of memory gives the same dataset folder as the one in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod cluster;
mod parquet_files;
mod properties;
mod refusals;
mod s3;
#[path = "../../../release-store/tests/store/s3_server.rs"]
mod s3_server;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tandem_dataset::{ImportOptions, Summary, import};
use tandem_log_engine::{Engine, EngineOptions, LogEngineError, Memory, import_log};
use tempfile::TempDir;

/// Memory that a few thousand rows exceed, in bytes.
const TINY: u64 = 2 << 20;

/// A temporary folder with the files of a log.
struct Logs(TempDir);

impl Logs {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self, events: &[&str]) -> ImportOptions {
        ImportOptions::new("test", events.iter().map(|name| self.path(name)))
    }

    /// Imports in memory; the files of the folder, and the summary.
    fn in_memory(&self, options: &ImportOptions) -> Result<(Folder, String), String> {
        let dir = self.path("in-memory");
        let imported = import(options).map_err(|error| error.to_string())?;
        imported.save(&dir).unwrap();
        Ok((folder(&dir), imported.summary.to_string()))
    }

    /// Imports outside of memory, Parquet files in parts of a few rows.
    fn outside(
        &self,
        options: &ImportOptions,
        engine: Engine,
    ) -> Result<(Folder, Summary), LogEngineError> {
        let dir = self.path("outside");
        let engine = EngineOptions { part_rows: 5, ..EngineOptions::new(engine) };
        let summary = import_log(options, &engine, &dir)?;
        Ok((folder(&dir), summary))
    }

    /// Nothing but the logs and the datasets is left.
    fn assert_tidy(&self) {
        let names = fs::read_dir(self.0.path()).unwrap();
        let hidden = names
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .find(|name| name.starts_with('.'));
        assert_eq!(hidden, None);
    }
}

/// The files of a dataset folder, by their names.
type Folder = BTreeMap<String, String>;

fn folder(dir: &Path) -> Folder {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

/// Imports in both ways, and compares folders and summaries, or the messages of refusals.
#[track_caller]
fn check(logs: &Logs, options: &ImportOptions) {
    let expected = logs.in_memory(options);
    let found = logs
        .outside(options, Engine::Local(Memory::Sorting(TINY)))
        .map(|(folder, summary)| (folder, summary.to_string()))
        .map_err(|error| error.to_string());
    assert_eq!(found, expected);
    logs.assert_tidy();
}

/// As [`check`], with one file.
#[track_caller]
fn check_text(text: impl AsRef<[u8]>, change: impl FnOnce(&mut ImportOptions)) {
    let logs = Logs::new(&[("log", text.as_ref())]);
    let mut options = logs.options(&["log"]);
    change(&mut options);
    check(&logs, &options);
}
