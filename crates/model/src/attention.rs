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

    /// Keys and values of `items` `[batch, rows, dims]`, behind those of older ones.
    fn remember(&self, items: Tensor<3>, past: Option<&KvCache>) -> KvCache {
        let new = KvCache {
            keys: self.split(self.key.forward(items.clone())),
            values: self.split(self.value.forward(items)),
        };
        match past {
            Some(past) => KvCache {
                keys: Tensor::cat(vec![past.keys.clone(), new.keys], 2),
                values: Tensor::cat(vec![past.values.clone(), new.values], 2),
            },
            None => new,
        }
    }

    /// What `queries` `[batch, rows, dims]` find in `memory`: `[batch, rows, dims]`. `mask`
    /// `[rows, length]` is true where attention is forbidden; without one everything is seen.
    fn forward(
        &self,
        queries: Tensor<3>,
        memory: &KvCache,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let [batch, rows, dims] = queries.dims();
        let query = self.split(self.query.forward(queries));
        let [_, _, length, width] = memory.keys.dims();

        let keys = memory.keys.clone().transpose();
        let mut scores = query.matmul(keys) / (width as f64).sqrt(); // [batch, heads, rows, length]
        if let Some(mask) = mask {
            let mask = mask.unsqueeze::<4>().expand([batch, self.heads, rows, length]);
            // A finite number: -inf would make NaN of a row that is masked throughout.
            scores = scores.mask_fill(mask, -1e9);
        }
        let weights = self.dropout.forward(activation::softmax(scores, 3));
        let context = weights.matmul(memory.values.clone()); // [batch, heads, rows, width]
        self.output.forward(context.swap_dims(1, 2).reshape([batch, rows, dims]))
    }

    /// `[batch, rows, dims]` to `[batch, heads, rows, width]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, rows, dims] = x.dims();
        x.reshape([batch, rows, self.heads, dims / self.heads]).swap_dims(1, 2)
    }
}

/// What a layer of attention keeps of the items it has read: `[batch, heads, length, width]`.
#[derive(Clone, Debug)]
pub(crate) struct KvCache {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl KvCache {
    /// Items that were read.
    pub(crate) fn length(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// The mask `[length, past + length]` of `length` items behind `past` older ones: true where
/// the key is newer than the query. `None` where there is nothing to forbid.
#[must_use]
pub fn causal_mask(length: usize, past: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    // `past` is at most a window of items.
    let diagonal = past.cast_signed() as i64 + 1;
    (length > 1).then(|| {
        Tensor::<2>::ones([length, past + length], device).triu(diagonal).greater_elem(0.5)
    })
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

    /// `[batch, length, dims]` to the same, with `mask` as in [`causal_mask`], and what there
    /// is to keep for the items that follow; `past` is what was kept of those before.
    pub(crate) fn forward(
        &self,
        input: Tensor<3>,
        past: Option<&KvCache>,
        mask: Option<Tensor<2, Bool>>,
    ) -> (Tensor<3>, KvCache) {
        let normed = self.attention_norm.forward(input.clone());
        let memory = self.attention.remember(normed.clone(), past);
        let attended = self.attention.forward(normed, &memory, mask);
        (self.feed_forward(input + self.dropout.forward(attended)), memory)
    }

    /// The newest position of [`forward`](Self::forward) alone, `[batch, 1, dims]`: it sees
    /// everything, so there is nothing to mask, and all others need keys and values only.
    pub(crate) fn forward_newest(
        &self,
        input: Tensor<3>,
        past: Option<&KvCache>,
    ) -> (Tensor<3>, KvCache) {
        let normed = self.attention_norm.forward(input.clone());
        let memory = self.attention.remember(normed.clone(), past);
        let attended = self.attention.forward(newest(normed), &memory, None);
        (self.feed_forward(newest(input) + self.dropout.forward(attended)), memory)
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
    match x.dims()[1] {
        1 => x,
        length => x.narrow(1, length - 1, 1),
    }
}
