use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
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

impl Checkpoint {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the file cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let failed = |error: &dyn std::fmt::Display| ModelError::Format(error.to_string());
        let config = serde_json::to_string(&self.config).map_err(|error| failed(&error))?;
        let header = HashMap::from([
            ("config".to_owned(), config),
            ("catalogue_hash".to_owned(), self.catalogue_hash.clone()),
            ("provenance".to_owned(), self.provenance.clone()),
        ]);
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
        let text = |key: &str| {
            let value = header.metadata().as_ref().and_then(|metadata| metadata.get(key).cloned());
            value.ok_or_else(|| ModelError::Format(format!("its header has no `{key}`")))
        };
        let tensor = |name: &str| match file.tensor(name) {
            Ok(view) => Ok(view.data().to_vec()),
            Err(_) => Err(ModelError::MissingTensor { name: name.to_owned() }),
        };
        let config: ModelConfig = serde_json::from_str(&text("config")?)
            .map_err(|error| ModelError::Format(format!("`config` in its header: {error}")))?;
        let items = ItemTable::from_bytes(tensor("items")?)?;
        if items.dims() != config.dims {
            return Err(ModelError::Length {
                what: "dimensions of the item table",
                expected: config.dims,
                found: items.dims(),
            });
        }
        Ok(Self {
            config,
            body: tensor("body")?,
            items,
            catalogue_hash: text("catalogue_hash")?,
            provenance: text("provenance")?,
        })
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
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), checkpoint);
        assert!(matches!(
            Checkpoint::from_bytes(&bytes[..bytes.len() - 1]),
            Err(ModelError::Format(_))
        ));
        assert!(matches!(Checkpoint::from_bytes(b"GGUF"), Err(ModelError::Format(_))));
    }
}
