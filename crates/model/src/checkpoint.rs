use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tandem_protocol::ModelConfig;

use crate::{ItemTable, ModelError};

/// A trained model as one file: shape, body, item table and where it comes from.
///
/// A `safetensors` file with the tensors `body` (the bytes of [`Body::to_bytes`]) and
/// `items` (the bytes of [`ItemTable`]); the rest is in its header.
///
/// [`Body::to_bytes`]: crate::Body::to_bytes
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The model's shape.
    pub config: ModelConfig,
    /// The body's weights.
    pub body: Vec<u8>,
    /// The item table, in the order of the catalogue.
    pub items: ItemTable,
    /// Hash of the catalogue it was trained on.
    pub catalogue_hash: String,
    /// How it was trained: seed, epochs, figures; for people.
    pub provenance: String,
}

/// The entry of the file's header.
const HEADER: &str = "tandem";

/// What stands in it, as JSON.
#[derive(Serialize, Deserialize)]
struct Header {
    config: ModelConfig,
    catalogue_hash: String,
    provenance: String,
}

impl Checkpoint {
    /// The file's bytes; the same for the same model.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the file cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let failed = |error: &dyn std::fmt::Display| ModelError::Format(error.to_string());
        let header = Header {
            config: self.config.clone(),
            catalogue_hash: self.catalogue_hash.clone(),
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|error| failed(&error))?;
        // One entry: several would come in another order every time, and the same model
        // would not be the same file.
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
    /// bytes are damaged or no checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let format = |error: safetensors::SafeTensorError| {
            ModelError::Format(format!("not a safetensors file: {error}"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let header = header.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or_else(|| {
            ModelError::Format(format!("its header has no `{HEADER}`; train the model anew"))
        })?;
        let Header { config, catalogue_hash, provenance } = serde_json::from_str(header)
            .map_err(|error| ModelError::Format(format!("`{HEADER}` in its header: {error}")))?;
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
    fn a_checkpoint_survives_the_way_to_bytes_and_back() {
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
