use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tandem_model::{ItemTable, ModelError};
use tandem_protocol::ModelConfig;

/// A trained small model as one file: configuration, body, item table and provenance.
///
/// A `safetensors` file with the tensors `body` (the bytes of [`Body::to_bytes`]) and
/// `items` (the bytes of [`ItemTable`]); the rest is in the header.
///
/// [`Body::to_bytes`]: tandem_model::Body::to_bytes
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Kind and sizes of the model.
    pub config: ModelConfig,
    /// The body's weights.
    pub body: Vec<u8>,
    /// The item table, in catalogue order.
    pub items: ItemTable,
    /// Hash of the training catalogue.
    pub catalogue_hash: String,
    /// How the model was trained (seed, epochs, figures), as text for people.
    pub provenance: String,
}

/// Key of the metadata entry in the header.
const HEADER: &str = "tandem";

/// The JSON value of the entry.
#[derive(Serialize, Deserialize)]
struct Header {
    config: ModelConfig,
    catalogue_hash: String,
    provenance: String,
}

impl Checkpoint {
    /// Serialises the checkpoint; equal models give equal bytes.
    ///
    /// # Errors
    /// [`ModelError::Format`] if serialisation fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let failed =
            |error: &dyn std::fmt::Display| ModelError::Format(format!("weight file: {error}"));
        let header = Header {
            config: self.config.clone(),
            catalogue_hash: self.catalogue_hash.clone(),
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|error| failed(&error))?;
        // A single entry, because the order of several would vary between runs.
        let header = HashMap::from([(HEADER.to_owned(), header)]);
        let mut views = Vec::new();
        for (name, bytes) in [("body", self.body.as_slice()), ("items", self.items.as_bytes())] {
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
        let Header { config, catalogue_hash, provenance } =
            serde_json::from_str(header).map_err(|error| {
                ModelError::Format(format!("weight file: header entry `{HEADER}`: {error}"))
            })?;
        let tensor = |name: &str| match file.tensor(name) {
            Ok(view) => Ok(view.data().to_vec()),
            Err(_) => Err(ModelError::MissingTensor { name: name.to_owned() }),
        };
        let items = ItemTable::from_bytes(tensor("items")?)?;
        if items.dims() != config.dims {
            return Err(ModelError::Length {
                what: "dimensions of the item table",
                expected: config.dims,
                found: items.dims(),
            });
        }
        Ok(Self { config, body: tensor("body")?, items, catalogue_hash, provenance })
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
            body: vec![1, 2, 3],
            items: ItemTable::quantise(&[1.0, -1.0, 0.5, 0.25], 2).unwrap(),
            catalogue_hash: "abc".into(),
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
