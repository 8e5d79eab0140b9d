use std::{collections::HashMap, sync::Arc};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tandem_protocol::{ModelConfig, TextPart};

#[cfg(not(feature = "webgpu"))]
use crate::Scorer;
use crate::{CountRows, ItemTable, ModelError};

/// A trained small model as one file: configuration, body, item table and provenance.
///
/// A `safetensors` file with the tensors `body` (the bytes of [`Body::to_bytes`]), `items` (the
/// bytes of [`ItemTable`]) and, if there are any, `counts` (the bytes of [`CountRows`]); the rest
/// is in the header.
///
/// [`Body::to_bytes`]: crate::Body::to_bytes
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Kind and sizes of the model.
    pub config: ModelConfig,
    /// The text part of the item rows, if they have one.
    pub text: Option<TextPart>,
    /// The co-occurrence counts beside the model's scores, if there are any.
    pub counts: Option<CountsPart>,
    /// The body's weights.
    pub body: Vec<u8>,
    /// The item table, in catalogue order.
    pub items: ItemTable,
    /// Hash of the training catalogue.
    pub catalogue_hash: String,
    /// Number of newest items of each user that training did not see; `None` in files of
    /// versions that did not write it.
    pub left_out: Option<usize>,
    /// How the model was trained (seed, epochs, figures), as text for people.
    pub provenance: String,
}

/// Co-occurrence counts beside the scores of a small model; see [`tandem_protocol::Counts`].
#[derive(Clone, Debug, PartialEq)]
pub struct CountsPart {
    /// The count rows, in catalogue order.
    pub rows: Arc<CountRows>,
    /// Weight of the counts relative to the model's score, at least 0.
    pub weight: f32,
}

/// Key of the metadata entry in the header.
const HEADER: &str = "tandem";

/// The JSON value of the entry.
#[derive(Serialize, Deserialize)]
struct Header {
    config: ModelConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<TextPart>,
    /// Weight of the counts, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<f32>,
    catalogue_hash: String,
    #[serde(default)]
    left_out: Option<usize>,
    provenance: String,
}

impl Checkpoint {
    /// The model, for rows of this width, on the host.
    ///
    /// # Errors
    /// As [`Scorer::new`] and [`Scorer::with_text`].
    #[cfg(not(feature = "webgpu"))]
    pub fn scorer(&self) -> Result<Scorer, ModelError> {
        let scorer = Scorer::new(&self.config, &self.body)?;
        match self.text {
            Some(text) => scorer.with_text(text),
            None => Ok(scorer),
        }
    }

    /// The model's own part of the item rows, `[items, dims]`, without the text part.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] for a damaged row.
    pub fn own_rows(&self) -> Result<Vec<f32>, ModelError> {
        let values = self.items.values()?;
        let rows = values.chunks_exact(self.items.dims());
        Ok(rows.flat_map(|row| &row[..self.config.dims]).copied().collect())
    }

    /// Serialises the checkpoint; equal models give equal bytes.
    ///
    /// # Errors
    /// [`ModelError::Format`] if serialisation fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let failed =
            |error: &dyn std::fmt::Display| ModelError::Format(format!("weight file: {error}"));
        let header = Header {
            config: self.config.clone(),
            text: self.text,
            counts: self.counts.as_ref().map(|counts| counts.weight),
            catalogue_hash: self.catalogue_hash.clone(),
            left_out: self.left_out,
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|error| failed(&error))?;
        // A single entry, because the order of several would vary between runs.
        let header = HashMap::from([(HEADER.to_owned(), header)]);
        let mut views = Vec::new();
        let counts = self.counts.as_ref().map(|counts| ("counts", counts.rows.as_bytes()));
        let tensors = [("body", self.body.as_slice()), ("items", self.items.as_bytes())];
        for (name, bytes) in tensors.into_iter().chain(counts) {
            let view = TensorView::new(Dtype::U8, vec![bytes.len()], bytes)
                .map_err(|error| failed(&error))?;
            views.push((name, view));
        }
        safetensors::serialize(views, Some(header)).map_err(|error| failed(&error))
    }

    /// Reads a file written by [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`ModelError::Format`], [`ModelError::MissingTensor`] or [`ModelError::Length`] if the
    /// bytes are damaged or not a checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let format = |error: safetensors::SafeTensorError| {
            ModelError::Format(format!(
                "weight file: expected safetensors: {error}; train the model again"
            ))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let header = header.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or_else(|| {
            ModelError::Format(format!(
                "weight file: the header has no entry `{HEADER}`; train the model again with `tandem train srm`"
            ))
        })?;
        let Header { config, text, counts, catalogue_hash, left_out, provenance } =
            serde_json::from_str(header).map_err(|error| {
                ModelError::Format(format!("weight file: header entry `{HEADER}`: {error}"))
            })?;
        let tensor = |name: &str| match file.tensor(name) {
            Ok(view) => Ok(view.data().to_vec()),
            Err(_) => Err(ModelError::MissingTensor { name: name.to_owned() }),
        };
        let items = ItemTable::from_bytes(tensor("items")?)?;
        let width = config.dims + text.map_or(0, |text| text.dims);
        if items.dims() != width {
            return Err(ModelError::Length {
                what: "dimensions of the item table",
                expected: width,
                found: items.dims(),
            });
        }
        let counts = counts
            .map(|weight| {
                let rows = Arc::new(CountRows::from_bytes(tensor("counts")?)?);
                if rows.items() != items.len() {
                    return Err(ModelError::Length {
                        what: "count rows",
                        expected: items.len(),
                        found: rows.items(),
                    });
                }
                Ok(CountsPart { rows, weight })
            })
            .transpose()?;
        Ok(Self {
            config,
            text,
            counts,
            body: tensor("body")?,
            items,
            catalogue_hash,
            left_out,
            provenance,
        })
    }
}

#[cfg(test)]
mod tests {
    use tandem_protocol::ModelKind;

    use super::*;

    #[test]
    fn a_checkpoint_round_trips_through_bytes() {
        let config =
            ModelConfig { kind: ModelKind::Sasrec, dims: 2, blocks: 1, heads: 1, max_length: 5 };
        let checkpoint = Checkpoint {
            config,
            text: Some(TextPart { dims: 1, weight: 0.5 }),
            counts: Some(CountsPart {
                rows: Arc::new(CountRows::new(&[vec![(1, 2.0)], Vec::new()]).unwrap()),
                weight: 0.25,
            }),
            body: vec![1, 2, 3],
            items: ItemTable::quantise(&[1.0, -1.0, 0.5, 0.25, 0.0, 1.0], 3).unwrap(),
            catalogue_hash: "abc".into(),
            left_out: Some(2),
            provenance: "seed 7".into(),
        };
        let bytes = checkpoint.to_bytes().unwrap();
        assert_eq!(checkpoint.to_bytes().unwrap(), bytes);
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), checkpoint);
        assert!(matches!(
            Checkpoint::from_bytes(&bytes[..bytes.len() - 1]),
            Err(ModelError::Format(_))
        ));
        assert!(matches!(Checkpoint::from_bytes(b"GGUF"), Err(ModelError::Format(_))));
    }
}
