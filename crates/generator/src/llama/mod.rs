//! GGUF files hosted by llama.cpp.

mod backend;
mod context;
mod embedding;
mod histories;
mod item_tokens;
mod model;
mod requantise;
mod titles;

pub use backend::passive_threads;
pub use context::Evaluator;
pub use embedding::TextEmbedder;
pub use item_tokens::ItemTokenGenerator;
pub use model::{LoadOptions, Model};
pub use requantise::{Format, requantise};
pub use titles::TitleGenerator;
