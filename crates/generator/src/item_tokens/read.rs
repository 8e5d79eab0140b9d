use std::path::Path;

use tandem_protocol::ItemId;

use super::{
    decoder_config::{Block, DecoderConfig},
    metadata::{ENGINE, ItemTokenMetadata, engine_of},
    model::ItemTokenModel,
};
use crate::{
    GeneratorError,
    gguf::{Metadata, Value},
};

/// Prefix of the provenance keys.
const TRAINING_PREFIX: &str = "tandem.training.";

impl ItemTokenModel {
    /// Reads a file written by [`write`](Self::write). The weights keep the rounding of the
    /// file's encoding.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, is not an item-token model, or has tensors of
    /// other sizes than its metadata states.
    pub fn read(path: &Path) -> Result<Self, GeneratorError> {
        let metadata = Metadata::read(path)?;
        let unsupported = |(expected, found): (String, String)| GeneratorError::Unsupported {
            path: path.to_owned(),
            expected,
            found,
        };
        if engine_of(&metadata) != Some(ENGINE) {
            let found = engine_of(&metadata).unwrap_or("another kind of model").to_owned();
            return Err(unsupported((format!("a model of the engine {ENGINE}"), found)));
        }
        let described = ItemTokenMetadata::read(&metadata, path)?;
        let (shape, blocks, output_norm) = read_decoder(path, &metadata)?;
        let ids = metadata.values.get("tandem.item_ids").and_then(Value::as_array);
        let ids = ids.unwrap_or_default().iter().filter_map(Value::as_str);
        let item_ids: Vec<ItemId> = ids.map(ItemId::new).collect();
        if item_ids.len() != described.items {
            let expected = format!("{} ids in tandem.item_ids", described.items);
            return Err(unsupported((expected, item_ids.len().to_string())));
        }

        // The rows of the special tokens are computed again when writing.
        let rows = |name: &str| -> Result<Vec<f32>, GeneratorError> {
            let mut rows = tensor(path, &metadata, name, described.vocabulary * shape.dims)?;
            rows.truncate(described.items * shape.dims);
            Ok(rows)
        };
        let untied = metadata.tensors.iter().any(|tensor| tensor.name == "output.weight");
        let provenance = metadata.values.iter().filter_map(|(key, value)| {
            Some((key.strip_prefix(TRAINING_PREFIX)?.to_owned(), value.as_str()?.to_owned()))
        });
        Ok(Self {
            name: metadata.text("general.name").unwrap_or_default().to_owned(),
            catalogue_hash: described.catalogue_hash,
            item_ids,
            provenance: provenance.collect(),
            token_embedding: rows("token_embd.weight")?,
            blocks,
            output_norm,
            output: untied.then(|| rows("output.weight")).transpose()?,
            shape,
        })
    }
}

/// Sizes, blocks and weights of the final norm of an item-token file, without its item rows.
///
/// # Errors
/// As [`ItemTokenModel::read`].
pub(crate) fn read_decoder(
    path: &Path,
    metadata: &Metadata,
) -> Result<(DecoderConfig, Vec<Block>, Vec<f32>), GeneratorError> {
    let unsupported = |(expected, found): (String, String)| GeneratorError::Unsupported {
        path: path.to_owned(),
        expected,
        found,
    };
    let number = |key: &str| {
        let number = metadata.number(key).and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| unsupported((format!("a number {key}"), "none".to_owned())))
    };
    let real = |key: &str| match metadata.values.get(key) {
        Some(Value::F32(value)) => Ok(f64::from(*value)),
        _ => Err(unsupported((format!("a number {key}"), "none".to_owned()))),
    };
    let shape = DecoderConfig {
        dims: number("llama.embedding_length")?,
        blocks: number("llama.block_count")?,
        heads: number("llama.attention.head_count")?,
        kv_heads: number("llama.attention.head_count_kv")?,
        feed_forward: number("llama.feed_forward_length")?,
        max_length: number("llama.context_length")?,
        rope_base: real("llama.rope.freq_base")?,
        norm_epsilon: real("llama.attention.layer_norm_rms_epsilon")?,
    };
    shape.validate().map_err(|error| unsupported((error.expected, error.found)))?;
    let blocks = (0..shape.blocks).map(|position| {
        let named = |part: &str| format!("blk.{position}.{part}.weight");
        let norm = |part: &str| tensor(path, metadata, &named(part), shape.dims);
        let matrix =
            |part: &str, from: usize, to: usize| tensor(path, metadata, &named(part), from * to);
        let (dims, kv, inner) = (shape.dims, shape.kv_width(), shape.feed_forward);
        Ok(Block {
            attn_norm: norm("attn_norm")?,
            attn_q: matrix("attn_q", dims, dims)?,
            attn_k: matrix("attn_k", dims, kv)?,
            attn_v: matrix("attn_v", dims, kv)?,
            attn_output: matrix("attn_output", dims, dims)?,
            ffn_norm: norm("ffn_norm")?,
            ffn_gate: matrix("ffn_gate", dims, inner)?,
            ffn_up: matrix("ffn_up", dims, inner)?,
            ffn_down: matrix("ffn_down", inner, dims)?,
        })
    });
    let blocks = blocks.collect::<Result<_, GeneratorError>>()?;
    let output_norm = tensor(path, metadata, "output_norm.weight", shape.dims)?;
    Ok((shape, blocks, output_norm))
}

/// The values of a tensor, which must be `size`.
fn tensor(
    path: &Path,
    metadata: &Metadata,
    name: &str,
    size: usize,
) -> Result<Vec<f32>, GeneratorError> {
    let values = metadata.tensor(path, name)?;
    if values.len() == size {
        return Ok(values);
    }
    Err(GeneratorError::Unsupported {
        path: path.to_owned(),
        expected: format!("{size} values in tensor {name}"),
        found: values.len().to_string(),
    })
}
