use burn::{
    Tensor,
    module::{Module, Param},
    nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig},
    tensor::Device,
};
use tandem_protocol::ModelConfig;

use crate::attention::{Block, causal_mask};

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
        let mask = causal_mask(history.dims()[1], &history.device());
        let hidden = self.embed(history);
        let hidden =
            self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden, mask.clone()));
        self.output_norm.forward(hidden)
    }

    /// The hidden state after the newest item alone, `[batch, 1, dims]`: the last row of
    /// [`hidden`](Self::hidden) without the work that only the others need. Nothing may be
    /// padded.
    #[must_use]
    pub fn newest_hidden(&self, history: Tensor<3>) -> Tensor<3> {
        let [_, length, _] = history.dims();
        let device = history.device();
        let mut hidden = self.embed(history);
        if let Some((last, earlier)) = self.blocks.split_last() {
            if !earlier.is_empty() {
                let mask = causal_mask(length, &device);
                for block in earlier {
                    hidden = block.forward(hidden, mask.clone());
                }
            }
            hidden = last.forward_newest(hidden);
        }
        self.output_norm.forward(hidden)
    }

    /// What the first block reads: rows and positions, `[batch, length, dims]`.
    fn embed(&self, history: Tensor<3>) -> Tensor<3> {
        let [_, length, dims] = history.dims();
        let positions = self.positions.val().narrow(0, 0, length); // [length, dims]
        // Rows are scaled by sqrt(dims), as in Vaswani et al. 2017 §3.4, to weigh more
        // than positions; both start small.
        self.dropout.forward(history * (dims as f64).sqrt() + positions.unsqueeze::<3>())
    }
}
