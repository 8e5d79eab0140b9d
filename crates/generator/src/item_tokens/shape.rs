/// Sizes of a decoder; the names are those of GGUF's `llama.*` metadata in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Width of an item row and of the residual stream (`embedding_length`).
    pub dims: usize,
    /// Number of blocks (`block_count`).
    pub blocks: usize,
    /// Query heads (`attention.head_count`); each is `dims / heads` wide, which is even.
    pub heads: usize,
    /// Key and value heads (`attention.head_count_kv`); divides `heads`.
    pub kv_heads: usize,
    /// Width of the feed-forward network (`feed_forward_length`).
    pub feed_forward: usize,
    /// Longest history that is read (`context_length`); of a longer one, the newest items.
    pub max_length: usize,
    /// Base of the rotary angles (`rope.freq_base`).
    pub rope_base: f64,
    /// Stabiliser of the norms (`attention.layer_norm_rms_epsilon`).
    pub norm_epsilon: f64,
}

/// Weights of one block, named like the tensors of a GGUF file; matrices are row-major
/// `[outputs, inputs]`. `kv` is `kv_heads · dims / heads`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Norm before attention, `[dims]`.
    pub attn_norm: Vec<f32>,
    /// Queries, `[dims, dims]`.
    pub attn_q: Vec<f32>,
    /// Keys, `[kv, dims]`.
    pub attn_k: Vec<f32>,
    /// Values, `[kv, dims]`.
    pub attn_v: Vec<f32>,
    /// What joins the heads, `[dims, dims]`.
    pub attn_output: Vec<f32>,
    /// Norm before the feed-forward network, `[dims]`.
    pub ffn_norm: Vec<f32>,
    /// Gate, `[feed_forward, dims]`.
    pub ffn_gate: Vec<f32>,
    /// What is gated, `[feed_forward, dims]`.
    pub ffn_up: Vec<f32>,
    /// Back to the residual stream, `[dims, feed_forward]`.
    pub ffn_down: Vec<f32>,
}

impl Shape {
    /// Width of a head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.dims / self.heads
    }

    /// Width of keys and of values, over all their heads.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width()
    }

    /// The first thing that makes no decoder: what is expected, and what is there.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let sizes = [
            ("dims", self.dims),
            ("blocks", self.blocks),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("feed_forward", self.feed_forward),
            ("max_length", self.max_length),
        ];
        if let Some((name, size)) = sizes.into_iter().find(|&(_, s)| s == 0 || s > 1 << 20) {
            return Some((format!("`{name}` from 1 to {}", 1 << 20), size.to_string()));
        }
        if !self.dims.is_multiple_of(2 * self.heads) {
            return Some((
                "heads of a whole and even width".to_owned(),
                format!("`heads` {} for `dims` {}", self.heads, self.dims),
            ));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Some((
                "a number of `kv_heads` that divides `heads`".to_owned(),
                format!("{} and {}", self.kv_heads, self.heads),
            ));
        }
        None
    }
}

impl Block {
    /// Name, inputs, outputs and values of each matrix.
    pub(super) fn matrices<'a>(
        &'a self,
        shape: &Shape,
    ) -> [(&'static str, usize, usize, &'a [f32]); 7] {
        let (dims, kv, inner) = (shape.dims, shape.kv_width(), shape.feed_forward);
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
