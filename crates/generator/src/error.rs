use std::path::PathBuf;

use crate::gguf::GgufError;

/// What can go wrong between a GGUF file and a list of candidates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeneratorError {
    /// The file is missing, unreadable, damaged or not a GGUF.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A sound GGUF file that this crate cannot generate with.
    #[error("{path} cannot make candidates: expected {expected}, found {found}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What a usable file has.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// A model of item tokens that was trained on another catalogue: its tokens would stand
    /// for other items.
    #[error(
        "{path} was trained on another catalogue: expected one with hash {expected}, found {found}; train the model on this catalogue (`tandem train llm`) or use the data it was trained on",
        path = path.display()
    )]
    OtherCatalogue {
        /// The file.
        path: PathBuf,
        /// Hash of the catalogue in use.
        expected: String,
        /// Hash of the catalogue the file was trained on.
        found: String,
    },
    /// A generator of one engine was asked of a model of the other.
    #[error("{name} is not a model for the {engine} engine: ask for its own generator")]
    OtherEngine {
        /// The model.
        name: String,
        /// The engine asked for.
        engine: &'static str,
    },
    /// llama.cpp refused the file.
    #[error(
        "llama.cpp could not load {path}: {message}; its log (target llama-cpp-2) says why",
        path = path.display()
    )]
    Load {
        /// The file.
        path: PathBuf,
        /// What llama.cpp answered.
        message: String,
    },
    /// llama.cpp could not make a context.
    #[error("llama.cpp could not make a context for {name}: {message}; is there enough memory?")]
    Context {
        /// The model.
        name: String,
        /// What llama.cpp answered.
        message: String,
    },
    /// llama.cpp failed while evaluating tokens. The generator has forgotten its cached
    /// prompt and can be asked again.
    #[error("llama.cpp failed while {doing}: {message}")]
    Evaluate {
        /// The step that failed.
        doing: &'static str,
        /// What llama.cpp answered.
        message: String,
    },
    /// The model's scores are not numbers, so nothing can be ranked by them.
    #[error(
        "the language model's scores are not finite: its weights are damaged, or its quantisation overflows"
    )]
    NotFinite,
    /// A query names an item that the catalogue does not have.
    #[error("item {index} is not in the catalogue: expected a position below {items}")]
    UnknownItem {
        /// The position asked for.
        index: u32,
        /// Length of the catalogue.
        items: usize,
    },
    /// A file could not be rewritten in another quantisation.
    #[error("cannot requantise {from} to {to}: {message}", from = from.display(), to = to.display())]
    Requantise {
        /// The file read.
        from: PathBuf,
        /// The file that was to be written.
        to: PathBuf,
        /// What failed.
        message: String,
    },
}
