//! `--text` of both trainings.

use std::path::Path;

use anyhow::Result;
use tandem_dataset::Dataset;
use tandem_training::{
    SequenceModel, TextFeatures, Trainer,
    fit::{FitConfig, training_part},
};

use super::options::FitOptions;
use crate::text_vectors::read_text_vectors;

/// Adds a learnt projection of the vectors of `--text` to the rows, if the option is given.
pub(super) fn add_text<M: SequenceModel>(
    trainer: &mut Trainer<M>,
    options: &FitOptions,
    dataset: &Dataset,
    config: &FitConfig,
) -> Result<()> {
    let Some(path) = &options.text else { return Ok(()) };
    trainer.set_text(features(path, dataset, config, options.text_alone)?)?;
    Ok(())
}

fn features(
    path: &Path,
    dataset: &Dataset,
    config: &FitConfig,
    id_dropout: f64,
) -> Result<TextFeatures> {
    let vectors = read_text_vectors(path, &dataset.catalogue)?;
    let mut known = vec![false; dataset.catalogue.len()];
    for item in dataset.sequences.iter().flat_map(|sequence| training_part(sequence, config)) {
        known[item.position()] = true;
    }
    let (vectors, width) = (vectors.values(), vectors.dims());
    Ok(TextFeatures { vectors, width, known, id_dropout: id_dropout as f32 })
}
