//! Causal self-attention and the feed-forward network of a SASRec block.

use burn::{
    Tensor,
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Bool, Device, activation},
};

use crate::Dropout;

/// Multi-head self-attention in which a position attends to itself and older positions only.
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
            dropout: Dropout::new(dropout),
            heads,
        }
    }

    /// Appends keys and values of `items` `[batch, rows, dims]` to those of older items.
    fn extend_cache(&self, items: Tensor<3>, past: Option<&KvCache>) -> KvCache {
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

    /// Attention of `queries` `[batch, rows, dims]` over `cache`: `[batch, rows, dims]`. `mask`
    /// `[rows, length]` is true where attention is forbidden; `None` allows all positions.
    fn forward(
        &self,
        queries: Tensor<3>,
        cache: &KvCache,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let [batch, rows, dims] = queries.dims();
        let query = self.split(self.query.forward(queries));
        let [_, _, length, width] = cache.keys.dims();

        let keys = cache.keys.clone().transpose();
        let mut scores = query.matmul(keys) / (width as f64).sqrt(); // [batch, heads, rows, length]
        if let Some(mask) = mask {
            let mask = mask.unsqueeze::<4>().expand([batch, self.heads, rows, length]);
            // Finite, because a fully masked row of -inf would become NaN.
            scores = scores.mask_fill(mask, -1e9);
        }
        let weights = self.dropout.forward(activation::softmax(scores, 3));
        let context = weights.matmul(cache.values.clone()); // [batch, heads, rows, width]
        self.output.forward(context.swap_dims(1, 2).reshape([batch, rows, dims]))
    }

    /// `[batch, rows, dims]` to `[batch, heads, rows, width]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, rows, dims] = x.dims();
        x.reshape([batch, rows, self.heads, dims / self.heads]).swap_dims(1, 2)
    }
}

/// Keys and values of the items that an attention layer has read, each `[batch, heads,
/// length, width]`.
#[derive(Clone, Debug)]
pub(crate) struct KvCache {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl KvCache {
    /// Number of items.
    pub(crate) fn length(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// The causal mask `[length, past + length]` for `length` items after `past` older ones: true
/// where the key is newer than the query. `None` for a single item, which sees all others.
#[must_use]
pub fn causal_mask(length: usize, past: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    let diagonal = past.cast_signed() as i64 + 1;
    (length > 1).then(|| {
        Tensor::<2>::ones([length, past + length], device).triu(diagonal).greater_elem(0.5)
    })
}

/// One block: attention, then a position-wise feed-forward network, each with a residual
/// connection and a layer normalisation before it (SASRec, Kang & `McAuley` 2018, §3.2–3.3;
/// pre-norm in both parts).
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
            dropout: Dropout::new(dropout),
        }
    }

    /// `[batch, length, dims]` to the same shape, with `mask` as in [`causal_mask`]. `past` is
    /// the cache of older items; returned is the cache that includes `input`.
    pub(crate) fn forward(
        &self,
        input: Tensor<3>,
        past: Option<&KvCache>,
        mask: Option<Tensor<2, Bool>>,
    ) -> (Tensor<3>, KvCache) {
        let normed = self.attention_norm.forward(input.clone());
        let cache = self.attention.extend_cache(normed.clone(), past);
        let attended = self.attention.forward(normed, &cache, mask);
        (self.feed_forward(input + self.dropout.forward(attended)), cache)
    }

    /// Only the last position of [`forward`](Self::forward), `[batch, 1, dims]`. It attends to
    /// all positions, so there is no mask, and the others need only keys and values.
    pub(crate) fn forward_last(
        &self,
        input: Tensor<3>,
        past: Option<&KvCache>,
    ) -> (Tensor<3>, KvCache) {
        let normed = self.attention_norm.forward(input.clone());
        let cache = self.attention.extend_cache(normed.clone(), past);
        let attended = self.attention.forward(last_position(normed), &cache, None);
        (self.feed_forward(last_position(input) + self.dropout.forward(attended)), cache)
    }

    fn feed_forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let inner = self.feed_forward_norm.forward(hidden.clone());
        let inner = activation::relu(self.feed_forward_in.forward(inner));
        let inner = self.feed_forward_out.forward(self.dropout.forward(inner));
        hidden + self.dropout.forward(inner)
    }
}

/// The last position of `[batch, length, dims]`, as `[batch, 1, dims]`.
fn last_position(x: Tensor<3>) -> Tensor<3> {
    match x.dims()[1] {
        1 => x,
        length => x.narrow(1, length - 1, 1),
    }
}
