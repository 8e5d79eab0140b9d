//! Text embeddings of the items of a catalogue, and the file that stores them.

mod template;

use std::{collections::HashMap, fmt, fs, path::Path};

use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

pub use self::template::{DEFAULT_TEMPLATE, check_template, item_text};
use crate::{
    Catalogue, DatasetError,
    files::{Sha256Hex, write_atomically},
};

/// Value of `format` in the metadata of the file.
const FORMAT: &str = "tandem.text-vectors.1";

/// At most one text in this many may differ from the one that was embedded.
const TEXTS_PER_CHANGE: usize = 100;

/// One embedding of each item's text, of length 1, in catalogue order. Items without any text
/// have a vector of zeros.
///
/// The file is in `safetensors` format: `vectors` (F16, `[items, dims]`), `texts` (U8,
/// `[items, 64]`: SHA-256 of each text in hexadecimal), for reduced vectors `axes` (F32,
/// `[dims of the model, dims]`), and the fields of [`TextSource`] and the catalogue's hash as
/// metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct TextVectors {
    /// Where the vectors come from.
    pub source: TextSource,
    dims: usize,
    values: Vec<f16>,
    texts: Vec<String>,
    /// `[dims of the model, dims]`: what a vector of the model is multiplied by. `None` for
    /// vectors as the model made them.
    axes: Option<Vec<f32>>,
    catalogue_hash: String,
}

/// Model and template of embeddings. Vectors of different sources cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSource {
    /// Name of the embedding model, for people.
    pub model: String,
    /// SHA-256 of the model's file.
    pub model_sha256: String,
    /// How the vectors of tokens become one: `mean`, `cls` or `last`.
    pub pooling: String,
    /// The template that made the texts; see [`item_text`].
    pub template: String,
}

/// How many texts of a catalogue are not those that were embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedTexts {
    /// Texts that differ, or have no vector yet.
    pub changed: usize,
    /// Items with a text, now or when they were embedded.
    pub texts: usize,
}

impl fmt::Display for ChangedTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, texts } = self;
        write!(
            f,
            "{changed} of {texts} texts have changed since or are not embedded yet; run `tandem embed` again"
        )
    }
}

/// How the vectors of a file are made of texts, for texts that the file does not have.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSpace {
    /// Model and template.
    pub source: TextSource,
    dims: usize,
    axes: Option<Vec<f32>>,
}

impl TextSpace {
    /// Dimensions of a vector of the embedding model. Files that an earlier version reduced do not
    /// say it, and have their own dimensions here.
    #[must_use]
    pub fn model_dims(&self) -> usize {
        self.axes.as_ref().map_or(self.dims, |axes| axes.len() / self.dims)
    }

    /// A vector of the embedding model, `[self.model_dims()]`, as one of the file's vectors,
    /// `[dims]`. `None` for a vector of another length, of zeros, or that is not finite.
    #[must_use]
    pub fn of_model(&self, vector: &[f32]) -> Option<Vec<f32>> {
        if vector.len() != self.model_dims() || vector.iter().all(|value| *value == 0.0) {
            return None;
        }
        let reduced = match &self.axes {
            Some(axes) => product(vector, axes, self.dims),
            None => vector.to_vec(),
        };
        Some(unit(&reduced)?.map(f16::to_f32).collect())
    }
}

/// SHA-256 of a text in hexadecimal.
#[must_use]
pub fn text_hash(text: &str) -> String {
    let mut hash = Sha256Hex::default();
    hash.update(text);
    hash.finish()
}

impl TextVectors {
    /// Vectors of a catalogue: `values` is `[items, dims]`, and `texts` has the texts that were
    /// embedded. Vectors are scaled to length 1.
    ///
    /// # Errors
    /// [`DatasetError::Vectors`] if a number is missing or a vector is not finite.
    pub fn new(
        source: TextSource,
        catalogue: &Catalogue,
        texts: &[String],
        dims: usize,
        values: &[f32],
    ) -> Result<Self, DatasetError> {
        let expected = catalogue.len() * dims;
        if dims == 0 || values.len() != expected || texts.len() != catalogue.len() {
            return Err(vectors_error(
                None,
                format!("{expected} numbers for {} items", catalogue.len()),
                format!("{} numbers for {} texts", values.len(), texts.len()),
            ));
        }
        let mut short = Vec::with_capacity(values.len());
        for (row, item) in values.chunks_exact(dims).zip(catalogue.items()) {
            short.extend(unit(row).ok_or_else(|| {
                let found = format!("another one for item {}", item.id);
                vectors_error(None, "finite vectors".to_owned(), found)
            })?);
        }
        Ok(Self {
            source,
            dims,
            values: short,
            texts: texts.iter().map(|text| text_hash(text)).collect(),
            axes: None,
            catalogue_hash: catalogue.hash().to_owned(),
        })
    }

    /// The same items with vectors of fewer dimensions, multiplied by `axes` (`[self.dims(),
    /// dims]`) and scaled to length 1. The axes are kept, for [`TextSpace::of_model`].
    ///
    /// # Errors
    /// [`DatasetError::Vectors`] if the axes are of another size, the vectors are reduced already,
    /// or a number is not finite.
    pub fn reduced(&self, dims: usize, axes: &[f32]) -> Result<Self, DatasetError> {
        if dims == 0 || axes.len() != self.dims * dims {
            let found = format!("{} numbers", axes.len());
            return Err(vectors_error(None, format!("{} numbers", self.dims * dims), found));
        }
        if self.axes.is_some() {
            let found = format!("vectors reduced to {} dimensions", self.dims);
            return Err(vectors_error(None, "vectors as the model made them".to_owned(), found));
        }
        let mut short = Vec::with_capacity(self.len() * dims);
        for row in self.values().chunks_exact(self.dims) {
            short.extend(unit(&product(row, axes, dims)).ok_or_else(|| {
                vectors_error(None, "finite vectors".to_owned(), "others".to_owned())
            })?);
        }
        let axes = Some(axes.to_vec());
        let mut reduced = Self { dims, values: short, axes, ..self.clone() };
        let model = &mut reduced.source.model;
        *model = format!("{model} ({dims} of {} dimensions)", self.dims);
        Ok(reduced)
    }

    /// Dimensions of a vector.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// How vectors of further texts are made.
    #[must_use]
    pub fn space(&self) -> TextSpace {
        TextSpace { source: self.source.clone(), dims: self.dims, axes: self.axes.clone() }
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// All vectors, `[items, dims]`.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        self.values.iter().map(|value| value.to_f32()).collect()
    }

    /// The vectors by the hash of their text, for those who embed a changed catalogue.
    #[must_use]
    pub fn by_text(&self) -> HashMap<&str, Vec<f32>> {
        let vectors = self.values.chunks_exact(self.dims);
        let vectors = vectors.map(|row| row.iter().map(|value| value.to_f32()).collect());
        self.texts.iter().map(String::as_str).zip(vectors).collect()
    }

    /// Fails unless the vectors belong to this catalogue.
    ///
    /// # Errors
    /// [`DatasetError::Vectors`] for another catalogue.
    pub fn check(&self, catalogue: &Catalogue, path: &Path) -> Result<(), DatasetError> {
        if self.catalogue_hash == catalogue.hash() {
            return Ok(());
        }
        Err(vectors_error(
            Some(path),
            format!("vectors of this catalogue ({} items)", catalogue.len()),
            format!(
                "vectors of another one ({} items); run tandem embed with the same --out again, which computes only what is new",
                self.len()
            ),
        ))
    }

    /// Compares the texts of a catalogue, whose vectors these are, with those that were embedded.
    ///
    /// # Errors
    /// [`DatasetError::Vectors`] if more than 1 % of the texts are others.
    pub fn check_texts(
        &self,
        catalogue: &Catalogue,
        path: &Path,
    ) -> Result<ChangedTexts, DatasetError> {
        let (none, mut of_none) = (text_hash(""), 0);
        let hashes = catalogue.items().iter().map(|item| {
            let text = item_text(item, &self.source.template);
            if text.is_empty() { none.clone() } else { text_hash(&text) }
        });
        let changed = hashes.zip(&self.texts).filter(|(now, embedded)| {
            of_none += usize::from(*now == none && **embedded == none);
            now != *embedded
        });
        let changed = changed.count();
        let found = ChangedTexts { changed, texts: catalogue.len() - of_none };
        if changed * TEXTS_PER_CHANGE <= found.texts {
            return Ok(found);
        }
        let expected = "vectors of the texts of this catalogue".to_owned();
        Err(vectors_error(Some(path), expected, format!("those of other texts: {found}")))
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DatasetError> {
        let values: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let texts = self.texts.concat();
        let axes: Option<Vec<u8>> =
            self.axes.as_ref().map(|axes| axes.iter().flat_map(|it| it.to_le_bytes()).collect());
        let view = |dtype, rows, width, bytes| TensorView::new(dtype, vec![rows, width], bytes);
        let file = view(Dtype::F16, self.len(), self.dims, &values)
            .and_then(|vectors| {
                let texts = view(Dtype::U8, self.len(), 64, texts.as_bytes())?;
                let mut tensors = vec![("vectors", vectors), ("texts", texts)];
                if let Some(axes) = &axes {
                    tensors.push((
                        "axes",
                        view(Dtype::F32, axes.len() / 4 / self.dims, self.dims, axes)?,
                    ));
                }
                Ok(tensors)
            })
            .and_then(|tensors| safetensors::serialize(tensors, Some(self.metadata())))
            .map_err(|error| {
                vectors_error(Some(path), "a valid file".to_owned(), error.to_string())
            })?;
        write_atomically(path, &file).map_err(DatasetError::io("write", path))
    }

    fn metadata(&self) -> HashMap<String, String> {
        let TextSource { model, model_sha256, pooling, template } = self.source.clone();
        let facts = [
            ("format", FORMAT.to_owned()),
            ("catalogue_hash", self.catalogue_hash.clone()),
            ("model", model),
            ("model_sha256", model_sha256),
            ("pooling", pooling),
            ("template", template),
        ];
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Reads a file of [`write`](Self::write).
    ///
    /// # Errors
    /// [`DatasetError::Io`] if it cannot be read, [`DatasetError::Vectors`] if it is damaged, of
    /// another format or has a vector that is not finite.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = fs::read(path).map_err(DatasetError::io("read", path))?;
        let bad = |expected: &str, found: String| {
            vectors_error(
                Some(path),
                expected.to_owned(),
                format!("{found}; run tandem embed again"),
            )
        };
        let damaged =
            |error: safetensors::SafeTensorError| bad("a safetensors file", error.to_string());
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let facts = header.metadata().clone().unwrap_or_default();
        let fact = |key: &str| facts.get(key).cloned().unwrap_or_default();
        if fact("format") != FORMAT {
            return Err(bad(
                "text vectors (format tandem.text-vectors.1)",
                format!("format {:?}", fact("format")),
            ));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let vectors = file.tensor("vectors").map_err(damaged)?;
        let texts = file.tensor("texts").map_err(damaged)?;
        let shapes = (vectors.dtype(), vectors.shape(), texts.dtype(), texts.shape());
        let (Dtype::F16, &[items, dims], Dtype::U8, &[hashed, 64]) = shapes else {
            return Err(bad(
                "F16 vectors [items, dims] and U8 texts [items, 64]",
                format!("{shapes:?}"),
            ));
        };
        if items != hashed || dims == 0 {
            return Err(bad("as many texts as vectors", format!("{hashed} and {items}")));
        }
        let values: Vec<f16> =
            vectors.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(bad("finite vectors", format!("{} in vector {}", values[at], at / dims)));
        }
        let axes = file.tensor("axes").ok().map(|axes| match (axes.dtype(), axes.shape()) {
            (Dtype::F32, &[from, to]) if from > 0 && to == dims => {
                let numbers = axes.data().chunks_exact(4);
                Ok(numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            shape => Err(bad("F32 axes [dims of the model, dims]", format!("{shape:?}"))),
        });
        let axes: Option<Vec<f32>> = axes.transpose()?;
        if axes.iter().flatten().any(|value| !value.is_finite()) {
            return Err(bad("finite axes", "others".to_owned()));
        }
        let hashes = std::str::from_utf8(texts.data())
            .ok()
            .filter(|text| text.is_ascii())
            .ok_or_else(|| bad("hashes of texts in hexadecimal", "other bytes".to_owned()))?;
        Ok(Self {
            source: TextSource {
                model: fact("model"),
                model_sha256: fact("model_sha256"),
                pooling: fact("pooling"),
                template: fact("template"),
            },
            dims,
            values,
            texts: (0..items).map(|at| hashes[at * 64..(at + 1) * 64].to_owned()).collect(),
            axes,
            catalogue_hash: fact("catalogue_hash"),
        })
    }
}

/// `row` `[from]` times `axes` `[from, dims]`.
fn product(row: &[f32], axes: &[f32], dims: usize) -> Vec<f32> {
    let mut sums = vec![0.0; dims];
    for (value, axis) in row.iter().zip(axes.chunks_exact(dims)) {
        sums.iter_mut().zip(axis).for_each(|(sum, axis)| *sum += value * axis);
    }
    sums
}

/// A vector scaled to length 1; zeros stay zeros. `None` if it is not finite.
fn unit(row: &[f32]) -> Option<impl Iterator<Item = f16>> {
    let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    length
        .is_finite()
        .then(|| row.iter().map(move |value| f16::from_f64(f64::from(*value) * scale)))
}

fn vectors_error(path: Option<&Path>, expected: String, found: String) -> DatasetError {
    DatasetError::Vectors { path: path.map(Path::to_path_buf), expected, found }
}

#[cfg(test)]
mod tests;
