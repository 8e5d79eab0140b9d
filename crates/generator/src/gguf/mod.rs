//! A reader and a writer of GGUF files (version 3) in plain Rust.
//!
//! Layout (little-endian): magic, version, counts, metadata, tensor descriptions, padding to
//! the alignment, then the tensor data, each tensor padded to the alignment. Source: the GGUF
//! specification in the ggml repository.
//!
//! ```
//! use tandem_generator::gguf::{Encoding, Metadata, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("tiny.gguf");
//! let mut writer = Writer::new("llama");
//! writer.set("general.name", "tiny");
//! // Two outputs, three inputs: GGUF lists the fastest-varying dimension first.
//! writer.tensor("w", &[3, 2], Encoding::F32, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
//! writer.write(&path)?;
//!
//! let header = Metadata::read(&path)?;
//! assert_eq!(header.text("general.name"), Some("tiny"));
//! assert_eq!(header.tensor(&path, "w")?[3..], [4.0, 5.0, 6.0]);
//! # Ok(())
//! # }
//! ```

mod encoding;
mod format;
mod reader;
mod value;
mod writer;

pub use encoding::Encoding;
#[cfg(feature = "llama")]
pub(crate) use encoding::{StoredFloats, stored_floats};
pub use format::{ALIGNMENT, GgufError, MAGIC, VERSION};
pub use reader::{Metadata, TensorInfo};
pub use value::Value;
pub use writer::Writer;

#[cfg(test)]
mod tests;
