//! A llama-architecture decoder over item rows: what `tandem train llm` trains and
//! llama.cpp hosts.

use burn::{
    Tensor,
    module::Module,
    nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, RmsNorm, RmsNormConfig},
    tensor::{Bool, Device, TensorData, activation},
};
use serde::{Deserialize, Serialize};

use crate::{
    ModelError,
    attention::causal_mask,
    training::{Candidates, Encoder, ends},
};

/// Shape of a [`Decoder`]; the names are those of GGUF's `llama.*` metadata in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Width of an item row and of the residual stream (`embedding_length`).
    pub dims: usize,
    /// Number of blocks (`block_count`).
    pub blocks: usize,
    /// Query heads (`attention.head_count`).
    pub heads: usize,
    /// Key and value heads (`attention.head_count_kv`); divides `heads`.
    pub kv_heads: usize,
    /// Width of the feed-forward network (`feed_forward_length`).
    pub feed_forward: usize,
    /// Longest history that is read (`context_length`).
    pub max_length: usize,
    /// Base of the rotary angles (`rope.freq_base`).
    pub rope_base: f64,
    /// Stabiliser of the norms (`attention.layer_norm_rms_epsilon`).
    pub norm_epsilon: f64,
}

impl DecoderConfig {
    /// The usual ratios: a feed-forward network of `8/3·dims` rounded up to a multiple of
    /// 32 (Shazeer 2020), keys and values for every head.
    #[must_use]
    pub fn usual(dims: usize, blocks: usize, heads: usize, max_length: usize) -> Self {
        Self {
            dims,
            blocks,
            heads,
            kv_heads: heads,
            feed_forward: (dims * 8).div_ceil(3).next_multiple_of(32),
            max_length,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
        }
    }

    /// Width of a head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.dims / self.heads
    }

    /// Refuses shapes that make no decoder.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self) -> Result<(), ModelError> {
        let sizes = [
            ("dims", self.dims),
            ("blocks", self.blocks),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("feed_forward", self.feed_forward),
            ("max_length", self.max_length),
        ];
        for (name, size) in sizes {
            if size == 0 || size > 65_536 {
                return Err(ModelError::Config(format!(
                    "`{name}` is {size}; it must be 1 to 65536"
                )));
            }
        }
        if !self.dims.is_multiple_of(self.heads) || !self.head_width().is_multiple_of(2) {
            return Err(ModelError::Config(format!(
                "`heads` is {}: a head of `dims`, which is {}, must have a whole and even width",
                self.heads, self.dims
            )));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ModelError::Config(format!(
                "`kv_heads` is {} and does not divide `heads`, which is {}",
                self.kv_heads, self.heads
            )));
        }
        Ok(())
    }
}

/// The decoder without its token embedding and output matrix, which are the item table.
///
/// `RMSNorm` before each part, rotary positions on adjacent pairs, grouped-query attention,
/// `SwiGLU`, no biases (Touvron et al. 2023, §2.2): what llama.cpp runs as `llama`. Field
/// names are those of the GGUF's tensors.
#[derive(Module, Debug)]
pub struct Decoder {
    pub(crate) blk: Vec<DecoderBlock>,
    pub(crate) output_norm: RmsNorm,
    dropout: Dropout,
    head_width: usize,
    rope_base: f64,
}

/// One block: attention, then the feed-forward network.
#[derive(Module, Debug)]
pub(crate) struct DecoderBlock {
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
    /// A decoder with random weights; `dropout` acts only on an autodiff device.
    ///
    /// # Errors
    /// As [`DecoderConfig::validate`].
    pub fn new(config: &DecoderConfig, dropout: f64, device: &Device) -> Result<Self, ModelError> {
        config.validate()?;
        Ok(Self {
            blk: (0..config.blocks).map(|_| DecoderBlock::new(config, dropout, device)).collect(),
            output_norm: norm(config, device),
            dropout: DropoutConfig::new(dropout).init(),
            head_width: config.head_width(),
            rope_base: config.rope_base,
        })
    }

    /// The hidden state after each item: rows `[batch, length, dims]`, oldest first and
    /// padded on the right, to `[batch, length, dims]`.
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

impl Encoder for Decoder {
    fn score(&self, rows: Tensor<3>, newest: &[u32], candidates: Candidates) -> Tensor<2> {
        candidates.dot(ends(self.hidden(rows), newest))
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
        let (key, value) = (self.share(key), self.share(value));

        let mut scores = query.matmul(key.transpose()) / (width as f64).sqrt(); // [batch, heads, length, length]
        if let Some(mask) = mask {
            let mask = mask.unsqueeze::<4>().expand([batch, self.heads, length, length]);
            scores = scores.mask_fill(mask, -1e9);
        }
        let weights = activation::softmax(scores, 3);
        let context = self.dropout.forward(weights).matmul(value).swap_dims(1, 2);
        self.attn_output.forward(context.reshape([batch, length, dims]))
    }

    /// Gives each group of query heads its key or value head: `[batch, kv_heads, length,
    /// width]` to `[batch, heads, length, width]`, neighbours sharing one.
    fn share(&self, x: Tensor<4>) -> Tensor<4> {
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

/// Rotary positions (Su et al. 2021, eq. 34) on adjacent pairs: pair `i` of position `t`
/// is turned by `t·base^(−2i/width)`.
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
    fn pairs_are_turned_by_their_angle() {
        let device = Device::flex();
        let rotation = Rotation::new(3, 4, 100.0, &device);
        let row = [1.0_f32, 0.0, 0.0, 2.0];
        let x = Tensor::<4>::from_data(TensorData::new(row.repeat(3), [1, 1, 3, 4]), &device);
        let turned = rotation.apply(x).into_data().try_into_vec::<f32>().unwrap();
        // Pair 0 turns by t, pair 1 by t·100^(−2/4) = t/10: (1, 0) ↦ (cos t, sin t) and
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
    fn the_future_is_not_seen_and_padding_does_not_matter() {
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

    #[test]
    fn the_shape_of_smollm2_135m_is_one() {
        let config = DecoderConfig {
            kv_heads: 3,
            feed_forward: 1536,
            rope_base: 100_000.0,
            ..DecoderConfig::usual(576, 30, 9, 2048)
        };
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.head_width(), 64);
    }

    #[test]
    fn shapes_that_make_no_decoder_are_refused_by_field() {
        let usual = DecoderConfig::usual(8, 1, 2, 6);
        assert_eq!(usual.validate(), Ok(()));
        let refused = |config: DecoderConfig, field: &str| {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        };
        refused(DecoderConfig { heads: 3, ..usual.clone() }, "heads");
        refused(DecoderConfig { heads: 8, kv_heads: 8, ..usual.clone() }, "heads");
        refused(DecoderConfig { kv_heads: 3, ..usual.clone() }, "kv_heads");
        refused(DecoderConfig { blocks: 0, ..usual }, "blocks");
    }
}
