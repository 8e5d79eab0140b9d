use std::borrow::Cow;

use tandem_dataset::Dataset;
use tandem_generator::item_tokens::{Block, DecoderConfig, ItemTokenModel};
use tandem_model::{ModelError, Parameter, parameters};

use super::Decoder;
use crate::Trainer;

/// The current decoder and item table of `trainer` in GGUF's orientation, for writing a file
/// that llama.cpp runs.
///
/// # Errors
/// [`ModelError::Device`] if the device fails, [`ModelError::Config`] if `config` is not that
/// of the decoder.
pub fn item_token_model(
    trainer: &Trainer<Decoder>,
    config: &DecoderConfig,
    dataset: &Dataset,
    provenance: Vec<(String, String)>,
) -> Result<ItemTokenModel, ModelError> {
    let mut weights = Weights(parameters(&trainer.model())?);
    let mut blocks = Vec::with_capacity(config.blocks);
    for number in 0..config.blocks {
        let mut norm = |part: &str| weights.take(&format!("blk.{number}.{part}.gamma"));
        let (attn_norm, ffn_norm) = (norm("attn_norm")?, norm("ffn_norm")?);
        let mut matrix = |part: &str| weights.matrix(&format!("blk.{number}.{part}.weight"));
        blocks.push(Block {
            attn_norm,
            attn_q: matrix("attn_q")?,
            attn_k: matrix("attn_k")?,
            attn_v: matrix("attn_v")?,
            attn_output: matrix("attn_output")?,
            ffn_norm,
            ffn_gate: matrix("ffn_gate")?,
            ffn_up: matrix("ffn_up")?,
            ffn_down: matrix("ffn_down")?,
        });
    }
    let catalogue = &dataset.catalogue;
    Ok(ItemTokenModel {
        name: format!("{} item tokens {}×{}", dataset.name, config.dims, config.blocks),
        catalogue_hash: catalogue.hash().to_owned(),
        item_ids: catalogue.items().iter().map(|item| item.id.clone()).collect(),
        provenance,
        shape: config.clone(),
        token_embedding: trainer.rows().into_owned(),
        output: trainer.output_rows().map(Cow::into_owned),
        output_norm: weights.take("output_norm.gamma")?,
        blocks,
    })
}

/// Parameters of the decoder by name.
struct Weights(Vec<Parameter>);

impl Weights {
    fn find(&mut self, name: &str) -> Result<Parameter, ModelError> {
        let at = self.0.iter().position(|parameter| parameter.name == name);
        let at = at.ok_or_else(|| {
            ModelError::Config(format!(
                "the decoder has no parameter `{name}`; pass its own config"
            ))
        })?;
        Ok(self.0.swap_remove(at))
    }

    fn take(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        Ok(self.find(name)?.values)
    }

    /// Transposes a linear layer's `[inputs, outputs]` to GGUF's `[outputs, inputs]`.
    fn matrix(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let Parameter { shape, values, .. } = self.find(name)?;
        let [inputs, outputs] = shape[..] else {
            let text = format!("parameter `{name}`: expected a matrix, found shape {shape:?}");
            return Err(ModelError::Config(text));
        };
        Ok((0..outputs)
            .flat_map(|o| (0..inputs).map(move |i| i * outputs + o))
            .map(|at| values[at])
            .collect())
    }
}
