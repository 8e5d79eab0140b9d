//! The embedding model of the server, which makes vectors of the texts of new items.

use std::{
    io,
    path::{Path, PathBuf},
};

use tandem_dataset::{files::sha256_hex_of_file, text_vectors::TextSpace};
use tandem_generator::{
    GeneratorError,
    gguf::Metadata,
    llama::{Pooling, TextEmbedder},
    ranking_signals::RankingSignals,
};

use crate::files::check_regular;

/// The embedding model of `--embedder`, checked against the vectors of the ranking signals.
#[derive(Clone, Debug)]
pub(crate) struct Embedder {
    path: PathBuf,
    sha256: String,
    /// Numbers of a vector.
    dims: Option<u64>,
    threads: usize,
}

/// Why the embedding model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbedderError {
    /// The file cannot be read.
    #[error("cannot read the embedding model {}: {source}; give the GGUF file of tandem embed with --embedder", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is no GGUF file.
    #[error("cannot use the embedding model: {0}")]
    Model(#[from] GeneratorError),
    /// There are no text vectors to compare with.
    #[error(
        "--embedder needs ranking signals with text vectors, found none; make them with tandem fit-signals --text or tandem quickstart --embedder, or omit --embedder"
    )]
    NoVectors,
    /// The text vectors are of another model.
    #[error(
        "the text vectors of the ranking signals are of {model} with SHA-256 {expected}, found an embedding model with SHA-256 {found}; give the same file with --embedder"
    )]
    OtherModel {
        /// Name of the model of the vectors.
        model: String,
        /// Hash of the model of the vectors.
        expected: String,
        /// Hash of the given model.
        found: String,
    },
    /// The text vectors were reduced by a version that did not store how.
    #[error(
        "the text vectors of the ranking signals have {vectors} dimensions and the embedding model {model}, and the file does not say how they were reduced; make the signals again with tandem fit-signals"
    )]
    Reduced {
        /// Dimensions from which the vectors were made, as far as the file says.
        vectors: usize,
        /// Dimensions of the model.
        model: u64,
    },
}

impl Embedder {
    /// Reads hash and size of a GGUF file.
    ///
    /// # Errors
    /// If the file cannot be read or is no GGUF file.
    pub(crate) fn open(path: &Path, threads: usize) -> Result<Self, EmbedderError> {
        check_regular(path)
            .map_err(|source| EmbedderError::Unreadable { path: path.to_owned(), source })?;
        let metadata = Metadata::read(path).map_err(GeneratorError::from)?;
        let architecture = metadata.text("general.architecture").unwrap_or("none");
        let dims = metadata.number(&format!("{architecture}.embedding_length"));
        let sha256 = sha256_hex_of_file(path)
            .map_err(|source| EmbedderError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), sha256, dims, threads })
    }

    /// Checks that the text vectors of the signals are of this model, so that vectors of further
    /// texts can be compared with them.
    ///
    /// The file is the one that `tandem embed` ran, so it needs no trial in another process.
    ///
    /// # Errors
    /// If they are not.
    pub(crate) fn check(&self, signals: Option<&RankingSignals>) -> Result<(), EmbedderError> {
        let text = signals.and_then(RankingSignals::text).ok_or(EmbedderError::NoVectors)?;
        let space = text.space();
        if space.source.model_sha256 != self.sha256 {
            return Err(EmbedderError::OtherModel {
                model: space.source.model.clone(),
                expected: space.source.model_sha256.clone(),
                found: self.sha256.clone(),
            });
        }
        match self.dims {
            Some(model) if model != space.model_dims() as u64 => {
                Err(EmbedderError::Reduced { vectors: space.model_dims(), model })
            }
            _ => Ok(()),
        }
    }

    /// The model in `loaded`, loaded with the pooling of the vectors if it is not yet.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub(crate) fn load<'l>(
        &self,
        loaded: &'l mut Option<TextEmbedder>,
        space: &TextSpace,
    ) -> Result<&'l TextEmbedder, GeneratorError> {
        let pooling = Pooling::named(&space.source.pooling);
        let is_other = |it: &TextEmbedder| pooling.is_some_and(|wanted| wanted != it.pooling());
        if loaded.as_ref().is_some_and(is_other) {
            *loaded = None;
        }
        match loaded {
            Some(model) => Ok(model),
            None => Ok(loaded.insert(TextEmbedder::load(&self.path, pooling, self.threads)?)),
        }
    }
}
