use std::path::PathBuf;

use crate::gguf::GgufError;

/// Errors from loading a GGUF file to making a candidate list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeneratorError {
    /// The file is missing, unreadable, damaged or not a GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A valid file that this crate cannot use.
    #[error("{path} cannot be used: expected {expected}, found {found}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What a usable file has.
        expected: String,
        /// What this file has.
        found: String,
    },
    /// An item-token model that was trained on another catalogue: its tokens mean other items.
    #[error(
        "{path} was trained on another catalogue: expected catalogue hash {expected}, found {found}; train the model on this catalogue (`tandem train llm`) or use the dataset it was trained on",
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
    /// A folder of ranking signals that cannot be used.
    #[error("{path}: {message}; make the signals again with tandem fit-signals", path = path.display())]
    Signals {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A small model that cannot be a ranking signal.
    #[error("{0}; train a SASRec or GRU4Rec on this catalogue with tandem train srm")]
    SmallModel(String),
    /// Ranking signals whose weights were fitted for another language model.
    #[error(
        "the signals were fitted for the language model with SHA-256 {expected}, found {found}; fit them again with tandem fit-signals"
    )]
    OtherSignals {
        /// Hash of the model that they belong to.
        expected: String,
        /// Hash of the model that is used.
        found: String,
    },
    /// The generator of one engine was requested from a model of the other engine.
    #[error(
        "{name} is not a model for the {engine} engine; call Model::generator, which selects the engine of the file"
    )]
    OtherEngine {
        /// The model.
        name: String,
        /// The requested engine.
        engine: &'static str,
    },
    /// llama.cpp could not load the file.
    #[error(
        "llama.cpp could not load {path}: {message}; the log target llama-cpp-2 has the reason",
        path = path.display()
    )]
    Load {
        /// The file.
        path: PathBuf,
        /// The message of llama.cpp.
        message: String,
    },
    /// llama.cpp could not create a context.
    #[error(
        "llama.cpp could not create a context for {name}: {message}; check that there is enough free memory"
    )]
    Context {
        /// The model.
        name: String,
        /// The message of llama.cpp.
        message: String,
    },
    /// llama.cpp failed while evaluating tokens. The generator has cleared its cache and can
    /// be used again.
    #[error("llama.cpp failed while {operation}: {message}")]
    Evaluate {
        /// The operation that failed.
        operation: &'static str,
        /// The message of llama.cpp.
        message: String,
    },
    /// The model's logits are NaN or infinite, so nothing can be ranked.
    #[error(
        "the language model's logits are not finite: its weights are damaged or its quantisation overflows; use another GGUF file"
    )]
    NotFinite,
    /// A query contains an item outside the catalogue.
    #[error("item {index} is not in the catalogue: expected a position below {items}")]
    UnknownItem {
        /// The position in the query.
        index: u32,
        /// Number of items in the catalogue.
        items: usize,
    },
    /// A file could not be converted to another quantisation.
    #[error("cannot requantise {from} to {to}: {message}", from = from.display(), to = to.display())]
    Requantise {
        /// The input file.
        from: PathBuf,
        /// The output file.
        to: PathBuf,
        /// The reason.
        message: String,
    },
}

impl GeneratorError {
    /// Whether the GGUF file is at fault, rather than the program or the machine.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        match self {
            Self::Gguf(error) => error.blames_input(),
            Self::Unsupported { .. }
            | Self::OtherCatalogue { .. }
            | Self::Signals { .. }
            | Self::OtherSignals { .. }
            | Self::SmallModel(_)
            | Self::NotFinite => true,
            Self::OtherEngine { .. }
            | Self::Load { .. }
            | Self::Context { .. }
            | Self::Evaluate { .. }
            | Self::UnknownItem { .. }
            | Self::Requantise { .. } => false,
        }
    }
}
