//! Tests of the public interface.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;
mod interrupt;
mod malformed;
mod readers;

use std::{fs, path::PathBuf};

use tandem_dataset::{Dataset, DatasetError, Sequence, readers::Provenance};
use tempfile::TempDir;

/// A temporary folder of files.
struct Files(TempDir);

impl Files {
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
}

fn provenance() -> Provenance {
    Provenance { name: "test".into(), notice: None }
}

/// Item ids of a sequence.
fn ids<'a>(dataset: &'a Dataset, sequence: &Sequence) -> Vec<&'a str> {
    sequence.items.iter().map(|&item| dataset.catalogue.get(item).id.as_str()).collect()
}

/// `user: id id …` for each user.
fn shown(dataset: &Dataset) -> Vec<String> {
    let show =
        |sequence: &Sequence| format!("{}: {}", sequence.user, ids(dataset, sequence).join(" "));
    dataset.sequences.iter().map(show).collect()
}

/// File name, line, expected and found of [`DatasetError::Malformed`].
fn fault(error: &DatasetError) -> (String, u64, &str, &str) {
    match error {
        DatasetError::Malformed { path, line, expected, found } => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), *line, expected, found)
        }
        other => panic!("expected a malformed line, found {other}"),
    }
}
