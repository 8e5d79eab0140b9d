use std::path::Path;

use crate::{
    GeneratorError,
    gguf::{Encoding, Metadata},
};

/// The rows of a matrix of a GGUF file, as they are stored.
#[derive(Debug)]
pub(super) struct StoredRows {
    encoding: Encoding,
    /// Bytes of a row.
    stride: usize,
    bytes: Vec<u8>,
}

impl StoredRows {
    /// Reads a matrix of `dims` columns.
    pub(super) fn read(
        metadata: &Metadata,
        path: &Path,
        name: &str,
        dims: usize,
    ) -> Result<Self, GeneratorError> {
        let (encoding, bytes) = metadata.stored_tensor(path, name)?;
        let stride = encoding.bytes_of(dims);
        Ok(Self { encoding, stride, bytes })
    }

    /// Appends the values of a row to `out`.
    pub(super) fn append(&self, row: usize, out: &mut Vec<f32>) {
        let bytes = &self.bytes[row * self.stride..(row + 1) * self.stride];
        self.encoding.decode_into(bytes, out);
    }
}
