//! The language model of item tokens: a llama-architecture decoder over item rows, which
//! llama.cpp serves as a GGUF file.

mod export;
mod load;

use burn::{
    Tensor,
    module::Module,
    nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, RmsNorm, RmsNormConfig},
    tensor::{Bool, Device, TensorData, activation},
};
pub use export::item_token_model;
use tandem_generator::item_tokens::DecoderConfig;
use tandem_model::{ModelError, causal_mask};

use crate::{Candidates, SequenceModel, sequence_model::select_last_hidden};

/// The decoder without token embedding and output matrix, which are the item table.
///
/// Pre-norm with `RMSNorm`, rotary positions on adjacent pairs, grouped-query attention,
/// `SwiGLU`, no biases (Touvron et al. 2023, §2.2), as in llama.cpp's `llama` architecture.
/// Field names are those of the GGUF tensors.
#[derive(Module, Debug)]
pub struct Decoder {
    blk: Vec<DecoderBlock>,
    output_norm: RmsNorm,
    dropout: Dropout,
    head_width: usize,
    rope_base: f64,
}

/// One block: attention, then the feed-forward network.
#[derive(Module, Debug)]
struct DecoderBlock {
    attn_norm: RmsNorm,
    attn_q: Linear,
    attn_k: Linear,
    attn_v: Linear,
    attn_output: Linear,
    ffn_norm: RmsNorm,
    ffn_gate: Linear,
    ffn_up: Linear,
    ffn_down: Linear,
    dropout: Dropout,
    heads: usize,
    kv_heads: usize,
}

impl Decoder {
    /// A decoder with random weights; `dropout` is active only on an autodiff device.
    ///
    /// # Errors
    /// [`ModelError::Config`] if [`DecoderConfig::validate`] fails.
    pub fn new(config: &DecoderConfig, dropout: f64, device: &Device) -> Result<Self, ModelError> {
        config.validate().map_err(|error| ModelError::Config(error.to_string()))?;
        Ok(Self {
            blk: (0..config.blocks).map(|_| DecoderBlock::new(config, dropout, device)).collect(),
            output_norm: norm(config, device),
            dropout: DropoutConfig::new(dropout).init(),
            head_width: config.head_width(),
            rope_base: config.rope_base,
        })
    }

    /// Hidden states after each item: rows `[batch, length, dims]`, oldest first and padded on
    /// the right, to `[batch, length, dims]`.
    #[must_use]
    pub fn hidden(&self, rows: Tensor<3>) -> Tensor<3> {
        let [_, length, _] = rows.dims();
        let device = rows.device();
        let mask = causal_mask(length, 0, &device);
        let rotation = Rotation::new(length, self.head_width, self.rope_base, &device);
        let mut hidden = self.dropout.forward(rows);
        for block in &self.blk {
            hidden = block.forward(hidden, mask.clone(), &rotation);
        }
        self.output_norm.forward(hidden)
    }
}

impl SequenceModel for Decoder {
    fn score(&self, rows: Tensor<3>, positions: &[u32], candidates: Candidates) -> Tensor<2> {
        candidates.dot(select_last_hidden(self.hidden(rows), positions))
    }

    fn states(&self, rows: Tensor<3>, positions: &[u32]) -> Option<Tensor<2>> {
        Some(select_last_hidden(self.hidden(rows), positions))
    }
}

fn norm(config: &DecoderConfig, device: &Device) -> RmsNorm {
    RmsNormConfig::new(config.dims).with_epsilon(config.norm_epsilon).init(device)
}

impl DecoderBlock {
    fn new(config: &DecoderConfig, dropout: f64, device: &Device) -> Self {
        let linear = |from: usize, to: usize| {
            LinearConfig::new(from, to)
                .with_bias(false)
                .with_initializer(Initializer::Normal {
                    mean: 0.0,
                    std: 0.5 / (from as f64).sqrt(),
                })
                .init(device)
        };
        let (dims, inner) = (config.dims, config.feed_forward);
        let kv = config.kv_heads * config.head_width();
        Self {
            attn_norm: norm(config, device),
            attn_q: linear(dims, dims),
            attn_k: linear(dims, kv),
            attn_v: linear(dims, kv),
            attn_output: linear(dims, dims),
            ffn_norm: norm(config, device),
            ffn_gate: linear(dims, inner),
            ffn_up: linear(dims, inner),
            ffn_down: linear(inner, dims),
            dropout: DropoutConfig::new(dropout).init(),
            heads: config.heads,
            kv_heads: config.kv_heads,
        }
    }

    fn forward(
        &self,
        input: Tensor<3>,
        mask: Option<Tensor<2, Bool>>,
        rotation: &Rotation,
    ) -> Tensor<3> {
        let attended = self.attend(self.attn_norm.forward(input.clone()), mask, rotation);
        let hidden = input + self.dropout.forward(attended);
        let inner = self.ffn_norm.forward(hidden.clone());
        let gate = activation::silu(self.ffn_gate.forward(inner.clone()));
        let inner = self.ffn_down.forward(gate * self.ffn_up.forward(inner));
        hidden + self.dropout.forward(inner)
    }

    fn attend(
        &self,
        input: Tensor<3>,
        mask: Option<Tensor<2, Bool>>,
        rotation: &Rotation,
    ) -> Tensor<3> {
        let [batch, length, dims] = input.dims();
        let width = dims / self.heads;
        let split = |x: Tensor<3>, heads: usize| {
            x.reshape([batch, length, heads, width]).swap_dims(1, 2) // [batch, heads, length, width]
        };
        let query = rotation.apply(split(self.attn_q.forward(input.clone()), self.heads));
        let key = rotation.apply(split(self.attn_k.forward(input.clone()), self.kv_heads));
        let value = split(self.attn_v.forward(input), self.kv_heads);
        let (key, value) = (self.repeat_kv(key), self.repeat_kv(value));

        let mut scores = query.matmul(key.transpose()) / (width as f64).sqrt(); // [batch, heads, length, length]
        if let Some(mask) = mask {
            let mask = mask.unsqueeze::<4>().expand([batch, self.heads, length, length]);
            scores = scores.mask_fill(mask, -1e9);
        }
        let weights = activation::softmax(scores, 3);
        let context = self.dropout.forward(weights).matmul(value).swap_dims(1, 2);
        self.attn_output.forward(context.reshape([batch, length, dims]))
    }

    /// Repeats each key or value head for its group of query heads: `[batch, kv_heads, length,
    /// width]` to `[batch, heads, length, width]`.
    fn repeat_kv(&self, x: Tensor<4>) -> Tensor<4> {
        let group = self.heads / self.kv_heads;
        if group == 1 {
            return x;
        }
        let [batch, kv_heads, length, width] = x.dims();
        x.unsqueeze_dim::<5>(2)
            .expand([batch, kv_heads, group, length, width])
            .reshape([batch, self.heads, length, width])
    }
}

/// Rotary positions (Su et al. 2021, eq. 34) on adjacent pairs: pair `i` at position `t` is
/// rotated by `t·base^(−2i/width)`.
struct Rotation {
    cos: Tensor<2>,  // [length, width]
    sin: Tensor<2>,  // [length, width]
    turn: Tensor<2>, // [width, width]: (a, b) ↦ (−b, a) on every pair
}

impl Rotation {
    fn new(length: usize, width: usize, base: f64, device: &Device) -> Self {
        let angle = |t: usize, i: usize| t as f64 * base.powf(-((i / 2 * 2) as f64) / width as f64);
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> =
                (0..length).flat_map(|t| (0..width).map(move |i| f(angle(t, i)) as f32)).collect();
            Tensor::from_data(TensorData::new(values, [length, width]), device)
        };
        let mut turn = vec![0.0_f32; width * width];
        for i in (0..width).step_by(2) {
            turn[(i + 1) * width + i] = -1.0;
            turn[i * width + i + 1] = 1.0;
        }
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            turn: Tensor::from_data(TensorData::new(turn, [width, width]), device),
        }
    }

    /// `x` `[batch, heads, length, width]`.
    fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let turned = x.clone().matmul(self.turn.clone().unsqueeze::<4>());
        x * self.cos.clone().unsqueeze::<4>() + turned * self.sin.clone().unsqueeze::<4>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_rotated_by_their_angle() {
        let device = Device::flex();
        let rotation = Rotation::new(3, 4, 100.0, &device);
        let row = [1.0_f32, 0.0, 0.0, 2.0];
        let x = Tensor::<4>::from_data(TensorData::new(row.repeat(3), [1, 1, 3, 4]), &device);
        let turned = rotation.apply(x).into_data().try_into_vec::<f32>().unwrap();
        // Pair 0 rotates by t, pair 1 by t·100^(−2/4) = t/10: (1, 0) ↦ (cos t, sin t) and
        // (0, 2) ↦ (−2 sin t/10, 2 cos t/10).
        for t in 0..3_u8 {
            let (a, b) = (f32::from(t), f32::from(t) / 10.0);
            let expected = [a.cos(), a.sin(), -2.0 * b.sin(), 2.0 * b.cos()];
            for (value, expected) in turned[usize::from(t) * 4..].iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{turned:?}");
            }
        }
    }

    #[test]
    fn later_items_do_not_change_earlier_states() {
        let device = Device::flex();
        let config = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(8, 2, 2, 6) };
        let decoder = Decoder::new(&config, 0.0, &device).unwrap();
        let rows = |count: usize| {
            let values: Vec<f32> = (0..count * 8).map(|i| (i as f32 * 0.9).sin()).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, count, 8]), &device)
        };
        let long = decoder.hidden(rows(5)).narrow(1, 0, 3).into_data();
        let short = decoder.hidden(rows(3)).into_data();
        let values = |data: TensorData| data.try_into_vec::<f32>().unwrap();
        for (a, b) in values(long).iter().zip(values(short)) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
