use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    encoding::{Encoding, block_layout},
    format::{ALIGNMENT, GgufError, MAGIC, align},
    value::Value,
};

/// Maximum nesting of arrays; a file with deeper nesting is considered damaged.
const MAX_DEPTH: u32 = 4;

/// Maximum number of array elements in all metadata. A vocabulary has a few hundred thousand
/// tokens, scores and kinds; an element needs 32 bytes of memory, but may be one byte of the file.
const MAX_ELEMENTS: usize = 8 << 20;
/// Maximum alignment of tensor data in bytes.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// The header of a GGUF file: metadata and tensor descriptions.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Version of the format.
    pub version: u32,
    /// Metadata by key.
    pub values: BTreeMap<String, Value>,
    /// Tensors in file order.
    pub tensors: Vec<TensorInfo>,
    /// Start of the tensor data, in bytes from the start of the file.
    pub data: u64,
}

/// The description of a tensor in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name.
    pub name: String,
    /// Dimensions, the fastest-varying first.
    pub dims: Vec<u64>,
    /// GGUF type code of its storage format.
    pub encoding: u32,
    /// Start of its data, in bytes after [`Metadata::data`].
    pub offset: u64,
}

impl Metadata {
    /// Reads the header of a file and checks that all tensors lie inside the file.
    ///
    /// # Errors
    /// If the file cannot be read, is not a GGUF file, or is damaged or truncated.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        let file = File::open(path).map_err(GgufError::read(path))?;
        let length = file.metadata().map_err(GgufError::read(path))?.len();
        Self::decode(path, BufReader::new(file), length)
    }

    /// Reads the header of a file of `length` bytes from its start. `path` is for errors.
    ///
    /// # Errors
    /// As [`Metadata::read`].
    pub fn decode(path: &Path, input: impl Read, length: u64) -> Result<Self, GgufError> {
        Reader { path, input, at: 0, length, elements: MAX_ELEMENTS }.metadata()
    }

    /// The text value of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// The non-negative integer value of a key.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.values.get(key)?.as_u64()
    }

    /// Reads the values of a tensor from the file at `path`, which this header was read from.
    ///
    /// # Errors
    /// If there is no tensor of that name, its storage format is not one of [`Encoding`], or
    /// the file cannot be read.
    pub fn tensor(&self, path: &Path, name: &str) -> Result<Vec<f32>, GgufError> {
        let (encoding, data) = self.stored_tensor(path, name)?;
        Ok(encoding.decode(&data))
    }

    /// As [`tensor`](Self::tensor), in the storage format of the file.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub(crate) fn stored_tensor(
        &self,
        path: &Path,
        name: &str,
    ) -> Result<(Encoding, Vec<u8>), GgufError> {
        let to_error = |expected: &str, found: String| GgufError::Format {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let info = self.tensors.iter().find(|tensor| tensor.name == name);
        let info = info.ok_or_else(|| to_error(&format!("a tensor {name}"), "none".to_owned()))?;
        let encoding = Encoding::from_code(info.encoding).ok_or_else(|| {
            let expected = format!("tensor {name} as F32, F16 or Q8_0");
            to_error(&expected, format!("encoding {}", info.encoding))
        })?;
        let (bytes, numbers) = block_layout(info.encoding).unwrap_or((4, 1));
        // `Metadata::read` has checked that the tensor lies inside the file.
        let size = info.dims.iter().product::<u64>() / numbers * bytes;
        let mut file = File::open(path).map_err(GgufError::read(path))?;
        file.seek(SeekFrom::Start(self.data + info.offset)).map_err(GgufError::read(path))?;
        let mut data = Vec::new();
        file.take(size).read_to_end(&mut data).map_err(GgufError::read(path))?;
        Ok((encoding, data))
    }
}

struct Reader<'a, R> {
    path: &'a Path,
    input: R,
    at: u64,
    length: u64,
    /// Number of array elements that may still follow.
    elements: usize,
}

impl<R: Read> Reader<'_, R> {
    fn metadata(&mut self) -> Result<Metadata, GgufError> {
        let magic: [u8; 4] = if self.length < 4 {
            return Err(self.format_error("the magic bytes GGUF", format!("{} bytes", self.length)));
        } else {
            self.array()?
        };
        if magic != MAGIC {
            return Err(self.format_error(
                "the magic bytes GGUF",
                format!("{:?}", magic.escape_ascii().to_string()),
            ));
        }
        let version = u32::from_le_bytes(self.array()?);
        if !(2..=3).contains(&version) {
            return Err(self.format_error("version 2 or 3", format!("version {version}")));
        }
        let tensors = self.count(24, "tensors")?;
        let entries = self.count(13, "metadata entries")?;
        let mut values = BTreeMap::new();
        for _ in 0..entries {
            let key = self.text()?;
            let code = u32::from_le_bytes(self.array()?);
            let value = self.value(code, 0)?;
            values.insert(key, value);
        }
        let tensors: Vec<TensorInfo> =
            (0..tensors).map(|_| self.tensor()).collect::<Result<_, _>>()?;
        let mut metadata = Metadata { version, values, tensors, data: 0 };
        metadata.data = self.check_extent(&metadata)?;
        Ok(metadata)
    }

    fn tensor(&mut self) -> Result<TensorInfo, GgufError> {
        let name = self.text()?;
        let rank = u32::from_le_bytes(self.array()?);
        if rank > 8 {
            return Err(
                self.format_error("at most 8 dimensions", format!("{rank} in tensor {name}"))
            );
        }
        let dims = (0..rank).map(|_| self.u64()).collect::<Result<_, _>>()?;
        let encoding = u32::from_le_bytes(self.array()?);
        Ok(TensorInfo { name, dims, encoding, offset: self.u64()? })
    }

    /// Checks that all tensors lie inside the file. Returns the start of the tensor data.
    fn check_extent(&self, metadata: &Metadata) -> Result<u64, GgufError> {
        let alignment = metadata.number("general.alignment").unwrap_or(ALIGNMENT);
        if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
            return Err(self.format_error(
                &format!("an alignment that is a power of two up to {MAX_ALIGNMENT}"),
                alignment.to_string(),
            ));
        }
        let start = align(self.at, alignment);
        for tensor in &metadata.tensors {
            let Some((bytes, numbers)) = block_layout(tensor.encoding) else { continue };
            let end = tensor
                .dims
                .iter()
                .try_fold(1_u64, |product, &dim| product.checked_mul(dim))
                .and_then(|product| (product / numbers).checked_mul(bytes))
                .and_then(|size| size.checked_add(tensor.offset)?.checked_add(start));
            if end.is_none_or(|end| end > self.length) {
                let wanted = end.map_or_else(|| "more".to_owned(), |end| end.to_string());
                return Err(self.format_error(
                    &format!("at least {wanted} bytes, for tensor {}", tensor.name),
                    format!(
                        "{} bytes; the file is truncated, download or export it again",
                        self.length
                    ),
                ));
            }
        }
        Ok(start)
    }

    fn value(&mut self, code: u32, depth: u32) -> Result<Value, GgufError> {
        Ok(match code {
            0 => Value::U8(u8::from_le_bytes(self.array()?)),
            1 => Value::I8(i8::from_le_bytes(self.array()?)),
            2 => Value::U16(u16::from_le_bytes(self.array()?)),
            3 => Value::I16(i16::from_le_bytes(self.array()?)),
            4 => Value::U32(u32::from_le_bytes(self.array()?)),
            5 => Value::I32(i32::from_le_bytes(self.array()?)),
            6 => Value::F32(f32::from_le_bytes(self.array()?)),
            7 => Value::Bool(u8::from_le_bytes(self.array()?) != 0),
            8 => Value::String(self.text()?),
            9 if depth < MAX_DEPTH => {
                let code = u32::from_le_bytes(self.array()?);
                let length = self.count(1, "array elements")?;
                self.elements = self.elements.checked_sub(length).ok_or_else(|| {
                    let expected = format!("at most {MAX_ELEMENTS} array elements");
                    self.format_error(&expected, format!("another {length}"))
                })?;
                Value::Array(
                    (0..length).map(|_| self.value(code, depth + 1)).collect::<Result<_, _>>()?,
                )
            }
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.array()?)),
            12 => Value::F64(f64::from_le_bytes(self.array()?)),
            _ => {
                return Err(
                    self.format_error("a metadata type from 0 to 12", format!("type {code}"))
                );
            }
        })
    }

    fn text(&mut self) -> Result<String, GgufError> {
        let length = self.count(1, "bytes of text")?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        // Vocabularies contain partial UTF-8 sequences; nothing here depends on them.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads a count of elements of at least `size` bytes each. The elements must fit the
    /// file, so that a damaged count cannot cause an unbounded allocation.
    fn count(&mut self, size: u64, what: &str) -> Result<usize, GgufError> {
        let count = self.u64()?;
        let room = (self.length - self.at) / size;
        if count > room {
            return Err(self.format_error(&format!("at most {room} {what}"), count.to_string()));
        }
        usize::try_from(count)
            .map_err(|_| self.format_error("a count this machine can hold", count.to_string()))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        if self.length - self.at < bytes.len() as u64 {
            return Err(self.format_error(
                &format!("{} more bytes", bytes.len()),
                format!(
                    "{}; the file is truncated, download or export it again",
                    self.length - self.at
                ),
            ));
        }
        self.input.read_exact(bytes).map_err(GgufError::read(self.path))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn format_error(&self, expected: &str, found: String) -> GgufError {
        GgufError::Format {
            path: self.path.to_owned(),
            expected: format!("{expected} before byte {}", self.at),
            found,
        }
    }
}
