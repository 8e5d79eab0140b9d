//! GGUF files, version 3: a reader of metadata and a writer, in plain Rust.
//!
//! Layout (little-endian): magic, version, counts, metadata, tensor descriptions, padding
//! to the alignment, tensor data each padded likewise. Source: the GGUF specification in
//! the ggml repository.

mod encoding;
mod reader;
mod value;
mod writer;

use std::path::{Path, PathBuf};

pub use encoding::Encoding;
pub use reader::{Metadata, TensorInfo};
pub use value::Value;
pub use writer::Writer;

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The version this module writes; it reads 2 and 3, which differ in nothing it uses.
pub const VERSION: u32 = 3;
/// Tensor data start at multiples of this many bytes unless `general.alignment` says else.
pub const ALIGNMENT: u64 = 32;

/// Why a GGUF file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The operating system said no.
    #[error("cannot access {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The bytes are not what the format asks for.
    #[error("{path} is not a sound GGUF file: expected {expected}, found {found}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A tensor handed to the writer does not have the shape it claims.
    #[error("tensor {name}: expected {expected}, found {found}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What its dimensions and encoding ask for.
        expected: String,
        /// What was given.
        found: String,
    },
}

impl GgufError {
    fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

fn align(offset: u64, alignment: u64) -> u64 {
    offset.next_multiple_of(alignment)
}

#[cfg(test)]
mod tests;
