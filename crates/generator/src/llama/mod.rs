//! GGUF models run by llama.cpp.

mod backend;
mod context;
mod embedding;
mod item_tokens;
mod model;
mod options;
mod requantise;
mod titles;
mod trial;
mod validation;

pub use backend::{PASSIVE_THREADS, passive_threads, restart_with};
pub use context::Evaluator;
pub use embedding::{Pooling, TextEmbedder};
pub use item_tokens::ItemTokenGenerator;
pub use model::Model;
pub use options::LoadOptions;
pub use requantise::{Quantisation, requantise};
pub use titles::TitleGenerator;
pub use trial::try_model;
pub use validation::check_metadata;
