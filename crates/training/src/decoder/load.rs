use burn::{
    Tensor,
    module::{Module, ModuleMapper, Param},
    tensor::{Device, TensorData},
};
use tandem_generator::item_tokens::{Block, ItemTokenModel};
use tandem_model::ModelError;

use super::Decoder;

impl Decoder {
    /// Replaces the weights, which are on `device`, by those of a model of the same shape, to
    /// continue its training. Item rows are not part of a decoder.
    ///
    /// # Errors
    /// [`ModelError::MissingTensor`] or [`ModelError::TensorShape`] if `model` has another shape.
    pub fn load(self, model: &ItemTokenModel, device: &Device) -> Result<Self, ModelError> {
        let mut loader = Loader { model, device, path: Vec::new(), error: None };
        let decoder = self.map(&mut loader);
        match loader.error {
            Some(error) => Err(error),
            None => Ok(decoder),
        }
    }
}

struct Loader<'a> {
    model: &'a ItemTokenModel,
    device: &'a Device,
    path: Vec<String>,
    error: Option<ModelError>,
}

impl Loader<'_> {
    /// The weights of the parameter `name` in the layout of the decoder.
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let stored =
            self.stored(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        if stored.len() != shape.iter().product::<usize>() {
            return Err(ModelError::TensorShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: vec![stored.len()],
            });
        }
        Ok(match *shape {
            // GGUF's `[outputs, inputs]` to a linear layer's `[inputs, outputs]`.
            [inputs, outputs] => (0..inputs)
                .flat_map(|i| (0..outputs).map(move |o| o * inputs + i))
                .map(|at| stored[at])
                .collect(),
            _ => stored.to_vec(),
        })
    }

    fn stored(&self, name: &str) -> Option<&[f32]> {
        let Some(rest) = name.strip_prefix("blk.") else {
            return (name == "output_norm.gamma").then_some(&self.model.output_norm);
        };
        let (number, part) = rest.split_once('.')?;
        let block: &Block = self.model.blocks.get(number.parse::<usize>().ok()?)?;
        Some(match part {
            "attn_norm.gamma" => &block.attn_norm,
            "attn_q.weight" => &block.attn_q,
            "attn_k.weight" => &block.attn_k,
            "attn_v.weight" => &block.attn_v,
            "attn_output.weight" => &block.attn_output,
            "ffn_norm.gamma" => &block.ffn_norm,
            "ffn_gate.weight" => &block.ffn_gate,
            "ffn_up.weight" => &block.ffn_up,
            "ffn_down.weight" => &block.ffn_down,
            _ => return None,
        })
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape().to_vec();
        match self.values(&self.path.join("."), &shape) {
            Ok(values) => {
                let loaded = Tensor::from_data(TensorData::new(values, shape), self.device);
                param.map(|own| loaded.set_require_grad(own.is_require_grad()))
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Dataset, Item};
    use tandem_generator::item_tokens::DecoderConfig;

    use super::*;
    use crate::{Rates, Trainer, TrainingConfig, item_token_model};

    #[test]
    fn a_loaded_decoder_scores_as_the_one_that_was_written() {
        let config = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(16, 2, 2, 6) };
        let items = (0..12).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let dataset = Dataset::new("d", Catalogue::new(items).unwrap(), Vec::new(), None).unwrap();
        let training = TrainingConfig { row_std: 0.3, ..TrainingConfig::default() };
        let new = |device: &Device| Decoder::new(&config, 0.0, device);
        let trainer = |build: &dyn Fn(&Device) -> Result<Decoder, ModelError>| {
            Trainer::new(build, (12, 16), 6, training.clone(), &Device::flex()).unwrap()
        };
        let mut first = trainer(&new);
        for start in 0..4 {
            first
                .step(&[&[start, start + 3, start + 7]], Rates { network: 0.01, rows: 0.01 })
                .unwrap();
        }
        let written = item_token_model(&first, &config, &dataset, Vec::new()).unwrap();

        let load = |device: &Device| new(device)?.load(&written, device);
        let mut second = trainer(&load);
        second.set_initial_rows(&written.token_embedding, &written.token_embedding).unwrap();
        let history: &[u32] = &[1, 5, 2];
        let scores = |trainer: &Trainer<Decoder>| trainer.score(&[history]).unwrap().remove(0);
        for (a, b) in scores(&first).iter().zip(scores(&second)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        // It can be trained further.
        let loss = second.step(&[&[1, 5, 2]], Rates { network: 0.01, rows: 0.01 }).unwrap();
        assert!(loss.is_finite());
        assert_ne!(scores(&first), scores(&second));
    }

    #[test]
    fn another_shape_is_refused() {
        let device = Device::flex();
        let config = |dims| DecoderConfig::usual(dims, 1, 2, 6);
        let items = vec![Item::untitled("a".into())];
        let dataset = Dataset::new("d", Catalogue::new(items).unwrap(), Vec::new(), None).unwrap();
        let narrow = config(8);
        let build = |device: &Device| Decoder::new(&narrow, 0.0, device);
        let trainer =
            Trainer::new(build, (1, 8), 6, TrainingConfig::default(), &Device::flex()).unwrap();
        let model = item_token_model(&trainer, &narrow, &dataset, Vec::new()).unwrap();
        let wide = Decoder::new(&config(16), 0.0, &device).unwrap();
        assert!(matches!(wide.load(&model, &device), Err(ModelError::TensorShape { .. })));
    }
}
