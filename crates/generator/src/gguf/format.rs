use std::path::{Path, PathBuf};

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The version this module writes. It reads versions 2 and 3, whose headers are the same.
pub const VERSION: u32 = 3;
/// Default alignment of tensor data, in bytes; `general.alignment` overrides it.
pub const ALIGNMENT: u64 = 32;

/// The operation of [`GgufError::Io`] where a file is read.
const READ: &str = "read";

/// Errors of reading and writing GGUF files.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file cannot be opened, read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// The operation: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The content violates the format.
    #[error("{path} is not a valid GGUF file: expected {expected}, found {found}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the format requires.
        expected: String,
        /// What the file contains.
        found: String,
    },
    /// A tensor passed to the writer has another size than its dimensions.
    #[error("tensor {name}: expected {expected}, found {found}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What its dimensions and encoding require.
        expected: String,
        /// What was passed.
        found: String,
    },
}

impl GgufError {
    /// Whether the file that was read is at fault, rather than the file that is written or the
    /// program.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        match self {
            Self::Io { action, .. } => *action == READ,
            Self::Format { .. } => true,
            Self::Tensor { .. } => false,
        }
    }

    pub(crate) fn read(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| Self::Io { action: READ, path: path.to_owned(), source }
    }

    pub(super) fn write(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| Self::Io { action: "write", path: path.to_owned(), source }
    }
}

pub(super) fn align(offset: u64, alignment: u64) -> u64 {
    offset.next_multiple_of(alignment)
}
