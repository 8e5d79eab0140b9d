use std::path::Path;

use tandem_dataset::Catalogue;

use crate::{GeneratorError, gguf::Metadata};

/// The key whose value names the engine of a file.
pub(super) const ENGINE_KEY: &str = "tandem.engine";

/// The value of `tandem.engine` in item-token files.
pub const ENGINE: &str = "item-tokens";

/// The engine named in a file; `None` for files of other tools, which name none.
pub(crate) fn engine_of(metadata: &Metadata) -> Option<&str> {
    metadata.text(ENGINE_KEY)
}

/// The metadata of an item-token file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ItemTokenMetadata {
    pub(crate) catalogue_hash: String,
    pub(crate) items: usize,
    /// Number of tokens, special tokens included.
    pub(crate) vocabulary: usize,
    /// Maximum number of history items that the model reads.
    pub(crate) max_length: usize,
}

impl ItemTokenMetadata {
    /// Reads the metadata of the file at `path`.
    ///
    /// # Errors
    /// [`GeneratorError::Unsupported`] for the first missing or invalid key.
    pub(crate) fn read(metadata: &Metadata, path: &Path) -> Result<Self, GeneratorError> {
        let unsupported = |expected: String, found: String| GeneratorError::Unsupported {
            path: path.to_owned(),
            expected,
            found,
        };
        let missing = |expected: String| unsupported(expected, "none".to_owned());
        let number = |key: &str| {
            metadata
                .number(key)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|&number| number > 0)
                .ok_or_else(|| missing(format!("a positive number {key}")))
        };
        let catalogue_hash = metadata
            .text("tandem.catalogue.hash")
            .ok_or_else(|| missing("tandem.catalogue.hash".to_owned()))?
            .to_owned();
        let items = number("tandem.catalogue.items")?;
        let rows = metadata.tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
        let vocabulary = rows
            .and_then(|tensor| usize::try_from(*tensor.dims.get(1)?).ok())
            .ok_or_else(|| missing("a tensor token_embd.weight".to_owned()))?;
        if vocabulary < items {
            let expected = format!("a row for each of {items} items");
            return Err(unsupported(expected, vocabulary.to_string()));
        }
        let max_length = number("llama.context_length")?;
        Ok(Self { catalogue_hash, items, vocabulary, max_length })
    }

    /// As [`read`](Self::read), for a file whose tokens are the items of this catalogue.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`GeneratorError::OtherCatalogue`].
    pub(crate) fn read_for(
        metadata: &Metadata,
        path: &Path,
        catalogue: &Catalogue,
    ) -> Result<Self, GeneratorError> {
        let described = Self::read(metadata, path)?;
        if described.catalogue_hash != catalogue.hash() {
            return Err(GeneratorError::OtherCatalogue {
                path: path.to_owned(),
                expected: catalogue.hash().to_owned(),
                found: described.catalogue_hash,
            });
        }
        if described.items != catalogue.len() {
            return Err(GeneratorError::Unsupported {
                path: path.to_owned(),
                expected: format!("{} items", catalogue.len()),
                found: described.items.to_string(),
            });
        }
        Ok(described)
    }
}
