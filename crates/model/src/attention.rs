//! Causal self-attention and the point-wise network of a SASRec block.

use burn::{
    Tensor,
    module::Module,
    nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Bool, Device, activation},
};

/// Multi-head self-attention in which a position sees itself and older ones only.
#[derive(Module, Debug)]
pub(crate) struct CausalSelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    dropout: Dropout,
    heads: usize,
}

impl CausalSelfAttention {
    pub(crate) fn new(dims: usize, heads: usize, dropout: f64, device: &Device) -> Self {
        let linear = || LinearConfig::new(dims, dims).init(device);
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            dropout: DropoutConfig::new(dropout).init(),
            heads,
        }
    }

    /// What `queries` `[batch, rows, dims]` find in `memory` `[batch, length, dims]`:
    /// `[batch, rows, dims]`. `mask` `[rows, length]` is true where attention is forbidden;
    /// without one everything is seen.
    fn forward(
        &self,
        queries: Tensor<3>,
        memory: Tensor<3>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let [batch, rows, dims] = queries.dims();
        let [_, length, _] = memory.dims();
        let width = dims / self.heads;
        let split = |x: Tensor<3>, length: usize| {
            x.reshape([batch, length, self.heads, width]).swap_dims(1, 2) // [batch, heads, length, width]
        };
        let query = split(self.query.forward(queries), rows);
        let key = split(self.key.forward(memory.clone()), length);
        let value = split(self.value.forward(memory), length);

        let mut scores = query.matmul(key.transpose()) / (width as f64).sqrt(); // [batch, heads, rows, length]
        if let Some(mask) = mask {
            let mask = mask.unsqueeze::<4>().expand([batch, self.heads, rows, length]);
            // A finite number: -inf would make NaN of a row that is masked throughout.
            scores = scores.mask_fill(mask, -1e9);
        }
        let weights = self.dropout.forward(activation::softmax(scores, 3));
        let context = weights.matmul(value); // [batch, heads, rows, width]
        self.output.forward(context.swap_dims(1, 2).reshape([batch, rows, dims]))
    }
}

/// The mask `[length, length]` that is true where the key is newer than the query.
pub(crate) fn causal_mask(length: usize, device: &Device) -> Tensor<2, Bool> {
    Tensor::<2>::ones([length, length], device).triu(1).greater_elem(0.5)
}

/// One block: attention, then a position-wise feed-forward network, each behind a layer
/// normalisation and with a residual connection (SASRec, Kang & `McAuley` 2018, §3.2–3.3,
/// with the normalisation first on both).
#[derive(Module, Debug)]
pub(crate) struct Block {
    attention_norm: LayerNorm,
    attention: CausalSelfAttention,
    feed_forward_norm: LayerNorm,
    feed_forward_in: Linear,
    feed_forward_out: Linear,
    dropout: Dropout,
}

impl Block {
    pub(crate) fn new(dims: usize, heads: usize, dropout: f64, device: &Device) -> Self {
        Self {
            attention_norm: LayerNormConfig::new(dims).init(device),
            attention: CausalSelfAttention::new(dims, heads, dropout, device),
            feed_forward_norm: LayerNormConfig::new(dims).init(device),
            feed_forward_in: LinearConfig::new(dims, dims).init(device),
            feed_forward_out: LinearConfig::new(dims, dims).init(device),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// `[batch, length, dims]` to the same, with `mask` as in [`causal_mask`].
    pub(crate) fn forward(&self, input: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<3> {
        let normed = self.attention_norm.forward(input.clone());
        let attended = self.attention.forward(normed.clone(), normed, Some(mask));
        self.feed_forward(input + self.dropout.forward(attended))
    }

    /// The newest position of [`forward`](Self::forward) alone, `[batch, 1, dims]`: it sees
    /// everything, so there is nothing to mask, and all others need keys and values only.
    pub(crate) fn forward_newest(&self, input: Tensor<3>) -> Tensor<3> {
        let normed = self.attention_norm.forward(input.clone());
        let attended = self.attention.forward(newest(normed.clone()), normed, None);
        self.feed_forward(newest(input) + self.dropout.forward(attended))
    }

    fn feed_forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let inner = self.feed_forward_norm.forward(hidden.clone());
        let inner = activation::relu(self.feed_forward_in.forward(inner));
        let inner = self.feed_forward_out.forward(self.dropout.forward(inner));
        hidden + self.dropout.forward(inner)
    }
}

/// The newest position of `[batch, length, dims]`, as `[batch, 1, dims]`.
fn newest(x: Tensor<3>) -> Tensor<3> {
    let length = x.dims()[1];
    x.narrow(1, length - 1, 1)
}
