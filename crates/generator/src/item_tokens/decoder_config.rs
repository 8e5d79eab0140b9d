use thiserror::Error;

/// Sizes of a llama-architecture decoder over item rows, as they are trained, stored in a
/// GGUF file and run by llama.cpp. The field names spell out GGUF's `llama.*` metadata keys.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Width of an item row and of the residual stream (`embedding_length`).
    pub dims: usize,
    /// Number of blocks (`block_count`).
    pub blocks: usize,
    /// Query heads (`attention.head_count`); each is `dims / heads` wide, which must be even.
    pub heads: usize,
    /// Key and value heads (`attention.head_count_kv`); must divide `heads`.
    pub kv_heads: usize,
    /// Width of the feed-forward network (`feed_forward_length`).
    pub feed_forward: usize,
    /// Maximum history length in items (`context_length`); longer histories keep the newest.
    pub max_length: usize,
    /// Base of the rotary angles (`rope.freq_base`).
    pub rope_base: f64,
    /// Epsilon of the norms (`attention.layer_norm_rms_epsilon`).
    pub norm_epsilon: f64,
}

/// Why sizes make no decoder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("decoder configuration: expected {expected}, found {found}")]
pub struct DecoderConfigError {
    /// The expected sizes, naming the field.
    pub expected: String,
    /// The sizes found.
    pub found: String,
}

/// Weights of one block, named like the tensors of a GGUF file; matrices are row-major
/// `[outputs, inputs]`. `kv` is `kv_heads · dims / heads`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Norm before attention, `[dims]`.
    pub attn_norm: Vec<f32>,
    /// Query projection, `[dims, dims]`.
    pub attn_q: Vec<f32>,
    /// Key projection, `[kv, dims]`.
    pub attn_k: Vec<f32>,
    /// Value projection, `[kv, dims]`.
    pub attn_v: Vec<f32>,
    /// Output projection, `[dims, dims]`.
    pub attn_output: Vec<f32>,
    /// Norm before the feed-forward network, `[dims]`.
    pub ffn_norm: Vec<f32>,
    /// Gate projection, `[feed_forward, dims]`.
    pub ffn_gate: Vec<f32>,
    /// Up projection, `[feed_forward, dims]`.
    pub ffn_up: Vec<f32>,
    /// Down projection, `[dims, feed_forward]`.
    pub ffn_down: Vec<f32>,
}

/// Largest size accepted in any field.
const MAX_SIZE: usize = 1 << 20;

impl DecoderConfig {
    /// The common ratios: a feed-forward width of `8/3·dims` rounded up to a multiple of 32
    /// (Shazeer 2020), and one key and value head per query head.
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

    /// Width of the keys (and of the values) over all heads.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width()
    }

    /// Checks that the sizes make a decoder.
    ///
    /// # Errors
    /// [`DecoderConfigError`] for the first field that does not fit.
    pub fn validate(&self) -> Result<(), DecoderConfigError> {
        let error = |expected: String, found: String| DecoderConfigError { expected, found };
        let sizes = [
            ("dims", self.dims),
            ("blocks", self.blocks),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("feed_forward", self.feed_forward),
            ("max_length", self.max_length),
        ];
        if let Some((name, size)) =
            sizes.into_iter().find(|&(_, size)| size == 0 || size > MAX_SIZE)
        {
            return Err(error(format!("`{name}` from 1 to {MAX_SIZE}"), size.to_string()));
        }
        if !self.dims.is_multiple_of(2 * self.heads) {
            return Err(error(
                "`heads` that divide `dims` into an even width".to_owned(),
                format!("`heads` {} for `dims` {}", self.heads, self.dims),
            ));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(error(
                "`kv_heads` that divide `heads`".to_owned(),
                format!("`kv_heads` {} for `heads` {}", self.kv_heads, self.heads),
            ));
        }
        Ok(())
    }
}

impl Block {
    /// Name, inputs, outputs and values of each matrix.
    pub(super) fn matrices<'a>(
        &'a self,
        config: &DecoderConfig,
    ) -> [(&'static str, usize, usize, &'a [f32]); 7] {
        let (dims, kv, inner) = (config.dims, config.kv_width(), config.feed_forward);
        [
            ("attn_q", dims, dims, &self.attn_q),
            ("attn_k", dims, kv, &self.attn_k),
            ("attn_v", dims, kv, &self.attn_v),
            ("attn_output", dims, dims, &self.attn_output),
            ("ffn_gate", dims, inner, &self.ffn_gate),
            ("ffn_up", dims, inner, &self.ffn_up),
            ("ffn_down", inner, dims, &self.ffn_down),
        ]
    }

    /// Name and weights of each norm.
    pub(super) fn norms(&self) -> [(&'static str, &[f32]); 2] {
        [("attn_norm", &self.attn_norm), ("ffn_norm", &self.ffn_norm)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_smollm2_135m_are_valid() {
        let config = DecoderConfig {
            kv_heads: 3,
            feed_forward: 1536,
            rope_base: 100_000.0,
            ..DecoderConfig::usual(576, 30, 9, 2048)
        };
        assert_eq!(config.validate(), Ok(()));
        assert_eq!((config.head_width(), config.kv_width()), (64, 192));
    }

    #[test]
    fn an_invalid_size_is_refused_and_named() {
        let usual = DecoderConfig::usual(8, 1, 2, 6);
        assert_eq!(usual.validate(), Ok(()));
        let refused = |config: DecoderConfig, field: &str| {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        };
        refused(DecoderConfig { heads: 3, ..usual.clone() }, "`heads`");
        refused(DecoderConfig { heads: 8, kv_heads: 8, ..usual.clone() }, "`heads`");
        refused(DecoderConfig { kv_heads: 3, ..usual.clone() }, "`kv_heads`");
        refused(DecoderConfig { max_length: MAX_SIZE + 1, ..usual.clone() }, "`max_length`");
        refused(DecoderConfig { blocks: 0, ..usual }, "`blocks`");
    }
}
