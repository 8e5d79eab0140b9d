//! Checks of a GGUF file before llama.cpp loads it. llama.cpp aborts the process on many files
//! that it cannot use, and others load and then rank by rubbish.

mod architecture;
mod hyperparameters;
mod tokenizer;
mod weights;

use std::{fmt::Display, path::Path};

use tandem_dataset::files::sha256_hex_of_file;

use crate::{
    GeneratorError,
    gguf::{GgufError, Metadata},
};

pub(super) use weights::check_weights;

/// What a file should have and what it has instead.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    expected: String,
    found: String,
}

impl Fault {
    fn new(expected: impl Into<String>, found: impl Display) -> Self {
        Self { expected: expected.into(), found: found.to_string() }
    }
}

/// Refuses parts of split files, models that do not score a next token, and hyperparameters on
/// which llama.cpp would abort the process or compute no finite numbers.
///
/// # Errors
/// [`GeneratorError::Unsupported`] for the first fault.
pub(super) fn check_decoder(path: &Path, metadata: &Metadata) -> Result<(), GeneratorError> {
    check_part(metadata)
        .and_then(|()| architecture::check(metadata))
        .and_then(|()| hyperparameters::check(metadata))
        .map_err(|fault| unsupported(path, &fault.expected, &fault.found))
}

/// Refuses text models on whose tokenizer the text functions of llama.cpp would abort.
///
/// # Errors
/// [`GeneratorError::Unsupported`] for the first fault.
pub(super) fn check_tokenizer(path: &Path, metadata: &Metadata) -> Result<(), GeneratorError> {
    tokenizer::check(metadata).map_err(|fault| unsupported(path, &fault.expected, &fault.found))
}

/// The same for a model that embeds texts, which can be an encoder.
///
/// # Errors
/// [`GeneratorError::Unsupported`] for the first fault.
pub(super) fn check_embedder(path: &Path, metadata: &Metadata) -> Result<(), GeneratorError> {
    if metadata.text("tokenizer.ggml.model") != Some("bert") {
        return check_tokenizer(path, metadata);
    }
    check_part(metadata)
        .and_then(|()| tokenizer::check_vocabulary(metadata).map(drop))
        .map_err(|fault| unsupported(path, &fault.expected, &fault.found))
}

/// Checks the metadata of a text model as [`Model::load`](crate::Model::load) does before
/// llama.cpp sees the file.
///
/// # Errors
/// [`GeneratorError::Unsupported`] for the first fault.
pub fn check_metadata(path: &Path, metadata: &Metadata) -> Result<(), GeneratorError> {
    check_decoder(path, metadata)?;
    check_tokenizer(path, metadata)
}

/// The first part of a split file has the metadata; llama.cpp finds the other parts itself.
fn check_part(metadata: &Metadata) -> Result<(), Fault> {
    match (metadata.number("split.no"), metadata.number("split.count")) {
        (Some(number), count) if number > 0 => {
            let count = count.map_or_else(|| "several".to_owned(), |count| count.to_string());
            let part = number.saturating_add(1);
            Err(Fault::new("the first part of a split model", format!("part {part} of {count}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn unsupported(path: &Path, expected: &str, found: &str) -> GeneratorError {
    GeneratorError::Unsupported {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// SHA-256 of a file, lower-case hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String, GeneratorError> {
    Ok(sha256_hex_of_file(path).map_err(GgufError::read(path))?)
}

/// A header with these values, for the tests of the checks.
#[cfg(test)]
fn header(values: &[(&str, crate::gguf::Value)]) -> Metadata {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    Metadata { version: 3, values: values.collect(), tensors: Vec::new(), data: 0 }
}
