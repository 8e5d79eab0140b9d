use std::{io::Write, path::Path};

use tandem_dataset::files::FileDraft;

use super::{
    encoding::Encoding,
    format::{ALIGNMENT, GgufError, MAGIC, VERSION, align},
    value::{Value, write_text},
};

/// Collects metadata and tensors and writes them as one file.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(crate) values: Vec<(String, Value)>,
    pub(crate) tensors: Vec<Tensor>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<u64>,
    encoding: Encoding,
    pub(crate) data: Vec<u8>,
}

impl Writer {
    /// Starts a file for a model of the given architecture (`llama`).
    #[must_use]
    pub fn new(architecture: &str) -> Self {
        let mut writer = Self { values: Vec::new(), tensors: Vec::new() };
        writer.set("general.architecture", architecture);
        writer.set("general.alignment", ALIGNMENT as u32);
        writer
    }

    /// Sets a metadata value. An earlier value of the same key is replaced.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        match self.values.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.values.push((key.to_owned(), value)),
        }
        self
    }

    /// Adds a tensor. `dims` lists the fastest-varying dimension first: a weight from `n`
    /// inputs to `m` outputs is `[n, m]`, and `values[o * n + i]` connects input `i` to output
    /// `o`.
    ///
    /// # Errors
    /// [`GgufError::Tensor`] if the product of the dimensions is not the number of values, or
    /// the first dimension is not a multiple of the encoding's block.
    pub fn tensor(
        &mut self,
        name: &str,
        dims: &[u64],
        encoding: Encoding,
        values: &[f32],
    ) -> Result<&mut Self, GgufError> {
        let to_error = |expected: String, found: String| GgufError::Tensor {
            name: name.to_owned(),
            expected,
            found,
        };
        let numbers = dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
        if dims.is_empty() || numbers != Some(values.len() as u64) {
            return Err(to_error(
                format!("the product of {dims:?} as the number of values"),
                values.len().to_string(),
            ));
        }
        if !dims[0].is_multiple_of(encoding.block()) {
            return Err(to_error(
                format!("a first dimension that is a multiple of {}", encoding.block()),
                dims[0].to_string(),
            ));
        }
        let mut data = Vec::new();
        encoding.encode(values, &mut data);
        self.tensors.push(Tensor { name: name.to_owned(), dims: dims.to_vec(), encoding, data });
        Ok(self)
    }

    /// Writes the file atomically: to a temporary file in the same folder, which is then
    /// renamed, so that `path` never contains a partial file.
    ///
    /// # Errors
    /// [`GgufError::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), GgufError> {
        let io = GgufError::write(path);
        let mut file = FileDraft::new(path).map_err(&io)?;
        file.write_all(&self.header()).map_err(&io)?;
        for tensor in &self.tensors {
            file.write_all(&tensor.data).map_err(&io)?;
            file.write_all(&padding(tensor.data.len())).map_err(&io)?;
        }
        file.publish().map_err(&io)
    }

    fn header(&self) -> Vec<u8> {
        let mut out = Vec::from(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.values.len() as u64).to_le_bytes());
        for (key, value) in &self.values {
            write_text(key, &mut out);
            out.extend(value.code().to_le_bytes());
            value.write(&mut out);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            write_text(&tensor.name, &mut out);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(tensor.encoding.code().to_le_bytes());
            out.extend(u64::to_le_bytes(offset));
            offset = align(offset + tensor.data.len() as u64, ALIGNMENT);
        }
        out.extend(padding(out.len()));
        out
    }
}

/// Zero bytes up to the next multiple of the alignment.
fn padding(length: usize) -> Vec<u8> {
    let length = length as u64;
    vec![0; (align(length, ALIGNMENT) - length) as usize]
}
