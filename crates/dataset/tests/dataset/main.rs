//! Tests of the public interface.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod catalogue;
mod columns;
mod external;
mod folder;
mod formats;
mod fuzz;
mod interrupt;
mod malformed;
mod rules;
mod same_log;
mod sequences;

use std::{fs, path::PathBuf};

use tandem_dataset::{Dataset, DatasetError, ImportOptions, Imported, Sequence, import};
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

    /// Options for the import of these files of interactions.
    fn options(&self, events: &[&str]) -> ImportOptions {
        ImportOptions::new("test", events.iter().map(|name| self.path(name)))
    }
}

/// Imports one text of interactions.
fn import_text(text: impl AsRef<[u8]>) -> Imported {
    try_import(text, |_| ()).unwrap()
}

/// Imports one text of interactions with changed options.
fn try_import(
    text: impl AsRef<[u8]>,
    change: impl FnOnce(&mut ImportOptions),
) -> Result<Imported, DatasetError> {
    let files = Files::new(&[("log", text.as_ref())]);
    let mut options = files.options(&["log"]);
    change(&mut options);
    import(&options)
}

/// Imports a log and a catalogue.
fn with_catalogue(log: &str, catalogue: impl AsRef<[u8]>) -> Imported {
    let files = Files::new(&[("log", log.as_bytes()), ("items", catalogue.as_ref())]);
    let catalogue = vec![files.path("items")];
    import(&ImportOptions { catalogue, max_bad_rows: 1.0, ..files.options(&["log"]) }).unwrap()
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

/// Each reason for which rows are left out, with their number.
fn left_out(imported: &Imported) -> Vec<(u64, &str)> {
    imported.summary.left_out.iter().map(|it| (it.rows, it.reason.as_str())).collect()
}

/// `id title year genres` of each item.
fn items(imported: &Imported) -> Vec<String> {
    let items = imported.dataset.catalogue.items().iter();
    items
        .map(|item| {
            let year = item.year.map_or("-".to_owned(), |year| year.to_string());
            let item = (item.id.as_str(), &item.title, item.genres.join("|"));
            format!("{} {:?} {year} {}", item.0, item.1, item.2).trim_end().to_owned()
        })
        .collect()
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
