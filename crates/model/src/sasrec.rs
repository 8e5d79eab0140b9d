use burn::{
    Tensor,
    module::{Module, Param},
    nn::{Initializer, LayerNorm, LayerNormConfig},
    tensor::Device,
};
use tandem_protocol::ModelConfig;

use crate::{
    Dropout,
    attention::{Block, KvCache, causal_mask},
};

/// SASRec without its item table: self-attentive sequential recommendation (Kang &
/// `McAuley`, ICDM 2018).
///
/// Positions are counted from the oldest item. There is no padding token: sequences of a batch
/// are padded on the right, where the causal mask hides padding from all items.
#[derive(Module, Debug)]
pub struct Sasrec {
    positions: Param<Tensor<2>>, // [max_length, dims]
    blocks: Vec<Block>,
    output_norm: LayerNorm,
    dropout: Dropout,
}

impl Sasrec {
    /// A model with random weights; `dropout` acts only on an autodiff device.
    #[must_use]
    pub fn new(config: &ModelConfig, dropout: f64, device: &Device) -> Self {
        let positions = Initializer::Normal { mean: 0.0, std: 0.02 };
        Self {
            positions: positions.init([config.max_length, config.dims], device),
            blocks: (0..config.blocks)
                .map(|_| Block::new(config.dims, config.heads, dropout, device))
                .collect(),
            output_norm: LayerNormConfig::new(config.dims).init(device),
            dropout: Dropout::new(dropout),
        }
    }

    /// The hidden state after each item: `history` rows `[batch, length, dims]`, oldest
    /// first, to `[batch, length, dims]`. `length` is at most the configuration's
    /// `max_length`.
    #[must_use]
    pub fn hidden(&self, history: Tensor<3>) -> Tensor<3> {
        let mask = causal_mask(history.dims()[1], 0, &history.device());
        let hidden = self.embed(history, 0);
        let hidden = self
            .blocks
            .iter()
            .fold(hidden, |hidden, block| block.forward(hidden, None, mask.clone()).0);
        self.output_norm.forward(hidden)
    }

    /// The hidden state after the newest of `items` `[batch, length, dims]`, `[batch, 1, dims]`,
    /// which is the last row of [`hidden`](Self::hidden), and the cache of each block. There
    /// must be no padding. `past` holds the caches of older items, which precede `items`.
    pub(crate) fn encode(
        &self,
        items: Tensor<3>,
        past: Option<&[KvCache]>,
    ) -> (Tensor<3>, Vec<KvCache>) {
        let length = items.dims()[1];
        let device = items.device();
        let cache_of = |block: usize| past.and_then(|past| past.get(block));
        let before = cache_of(0).map_or(0, KvCache::length);
        let mut hidden = self.embed(items, before);
        let mut caches = Vec::with_capacity(self.blocks.len());
        if let Some((last, earlier)) = self.blocks.split_last() {
            if !earlier.is_empty() {
                let mask = causal_mask(length, before, &device);
                for (at, block) in earlier.iter().enumerate() {
                    let (output, cache) = block.forward(hidden, cache_of(at), mask.clone());
                    hidden = output;
                    caches.push(cache);
                }
            }
            let (output, cache) = last.forward_last(hidden, cache_of(earlier.len()));
            hidden = output;
            caches.push(cache);
        }
        (self.output_norm.forward(hidden), caches)
    }

    /// The input of the first block, `[batch, length, dims]`: scaled rows plus position
    /// embeddings, for items that follow `before` older ones.
    fn embed(&self, items: Tensor<3>, before: usize) -> Tensor<3> {
        let [_, length, dims] = items.dims();
        let positions = self.positions.val().narrow(0, before, length); // [length, dims]
        // Rows are multiplied by sqrt(dims), as in Vaswani et al. 2017, §3.4.
        self.dropout.forward(items * (dims as f64).sqrt() + positions.unsqueeze::<3>())
    }
}
