use burn::{
    Tensor,
    module::{Module, Param},
    nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig},
    tensor::Device,
};
use tandem_protocol::ModelConfig;

use crate::attention::{Block, KvCache, causal_mask};

/// SASRec without its item table: self-attentive sequential recommendation (Kang &
/// `McAuley`, ICDM 2018).
///
/// Positions count from the oldest item that is read, and there is no padding token:
/// sequences of a batch are padded on the right, where the causal mask keeps padding out
/// of every real position.
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
            dropout: DropoutConfig::new(dropout).init(),
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

    /// The hidden state after the newest of `items` `[batch, length, dims]` alone, `[batch, 1,
    /// dims]`: the last row of [`hidden`](Self::hidden) without the work that only the others
    /// need. Nothing may be padded. Returned is also what each block keeps; with `past`, what
    /// they kept of older items, those need not be read again.
    pub(crate) fn read(
        &self,
        items: Tensor<3>,
        past: Option<&[KvCache]>,
    ) -> (Tensor<3>, Vec<KvCache>) {
        let length = items.dims()[1];
        let device = items.device();
        let of = |at: usize| past.and_then(|past| past.get(at));
        let before = of(0).map_or(0, KvCache::length);
        let mut hidden = self.embed(items, before);
        let mut kept = Vec::with_capacity(self.blocks.len());
        if let Some((last, earlier)) = self.blocks.split_last() {
            if !earlier.is_empty() {
                let mask = causal_mask(length, before, &device);
                for (at, block) in earlier.iter().enumerate() {
                    let (output, memory) = block.forward(hidden, of(at), mask.clone());
                    hidden = output;
                    kept.push(memory);
                }
            }
            let (output, memory) = last.forward_newest(hidden, of(earlier.len()));
            hidden = output;
            kept.push(memory);
        }
        (self.output_norm.forward(hidden), kept)
    }

    /// What the first block reads of items behind `before` older ones: rows and positions,
    /// `[batch, length, dims]`.
    fn embed(&self, items: Tensor<3>, before: usize) -> Tensor<3> {
        let [_, length, dims] = items.dims();
        let positions = self.positions.val().narrow(0, before, length); // [length, dims]
        // Rows are scaled by sqrt(dims), as in Vaswani et al. 2017 §3.4, to weigh more
        // than positions; both start small.
        self.dropout.forward(items * (dims as f64).sqrt() + positions.unsqueeze::<3>())
    }
}
