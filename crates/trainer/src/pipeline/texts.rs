//! Texts of the items in both models, with `--embedder`.

use std::path::Path;

use anyhow::Result;
use tandem_dataset::{Dataset, files::sha256_hex_of_file, text_vectors::DEFAULT_TEMPLATE};
use tandem_generator::llama::TextEmbedder;

use super::{Files, with_files};
use crate::{
    embed,
    failure::BadInput,
    small_model::read_checkpoint,
    train::text_part::{self, TrainTextPart},
    values::parse,
};

/// Whether and how texts are used.
pub(super) struct Texts<'a> {
    /// The embedding model and the file of the vectors.
    used: Option<(&'a Path, &'a Path)>,
    key: String,
}

impl<'a> Texts<'a> {
    /// # Errors
    /// [`BadInput`] if the embedding model cannot be read.
    pub(super) fn of(embedder: Option<&'a Path>, files: &'a Files) -> Result<Self> {
        let Some(embedder) = embedder else { return Ok(Self { used: None, key: String::new() }) };
        let key = sha256_hex_of_file(embedder)
            .map_err(|error| BadInput(format!("cannot read {}: {error}", embedder.display())))?;
        Ok(Self { used: Some((embedder, &files.text)), key })
    }

    /// Identifies the embedding model; empty without one.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The embedding model.
    pub(super) fn embedder(&self) -> Option<&Path> {
        Some(self.used?.0)
    }

    /// Options of a training, with those of the texts.
    pub(super) fn for_training(&self, mut options: Vec<String>) -> Vec<String> {
        if let Some((_, text)) = self.used {
            options.extend(["--text".to_owned(), text.to_string_lossy().into_owned()]);
        }
        options
    }

    /// Where a small model is trained to: texts are added to its rows afterwards.
    pub(super) fn trained<'b>(&self, own: &'b Path, finished: &'b Path) -> &'b Path {
        if self.used.is_some() { own } else { finished }
    }
}

/// Embeds the texts of the catalogue. Vectors that `out` has are used again.
pub(super) fn embed(embedder: &Path, dataset: &Dataset, out: &Path) -> Result<()> {
    let embedder = TextEmbedder::load(embedder, None, embed::all_cores())?;
    embed::embed(&embedder, &dataset.catalogue, DEFAULT_TEMPLATE, out).map(drop)
}

/// Writes `out`, the model `own` of `dataset` with a text part in its rows, whose weight is fitted
/// on validation targets.
pub(super) fn add_fitted(files: &Files, dataset: &Dataset, own: &Path, out: &Path) -> Result<()> {
    add(&[], files, dataset, own, out)
}

/// As [`add_fitted`], with the weight of the small model that has not seen everything.
pub(super) fn add_as_measured(
    files: &Files,
    dataset: &Dataset,
    own: &Path,
    out: &Path,
) -> Result<()> {
    let weight = read_checkpoint(&files.small_model, dataset)?.text.map_or(0.0, |text| text.weight);
    add(&["--weight".to_owned(), weight.to_string()], files, dataset, own, out)
}

fn add(options: &[String], files: &Files, dataset: &Dataset, own: &Path, out: &Path) -> Result<()> {
    let mut options = with_files(options, &files.data, out);
    for (name, path) in [("--srm", own), ("--text", files.text.as_path())] {
        options.extend([name.into(), path.into()]);
    }
    let options: TrainTextPart = parse(options)?;
    text_part::add(&options, dataset).map(drop)
}
