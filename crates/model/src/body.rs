use burn::{Tensor, module::Module, tensor::Device};
use tandem_protocol::{ModelConfig, ModelKind};

use crate::{ModelError, Sasrec};

/// A small model without its item table.
#[derive(Module, Debug)]
pub enum Body {
    /// Self-attention over the history.
    Sasrec(Sasrec),
}

impl Body {
    /// A model of this shape with random weights.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a size is zero, `heads` does not divide `dims`, or the kind
    /// is not supported.
    pub fn new(config: &ModelConfig, dropout: f64, device: &Device) -> Result<Self, ModelError> {
        let ModelConfig { dims, blocks, heads, max_length, .. } = *config;
        for (name, size) in [("dims", dims), ("blocks", blocks), ("heads", heads)] {
            if size == 0 || size > 4096 {
                return Err(ModelError::Config(format!(
                    "`{name}` is {size}; it must be 1 to 4096"
                )));
            }
        }
        if max_length == 0 || max_length > 65_536 {
            return Err(ModelError::Config(format!(
                "`max_length` is {max_length}; it must be 1 to 65536"
            )));
        }
        if dims % heads != 0 {
            return Err(ModelError::Config(format!(
                "`heads` is {heads} and does not divide `dims`, which is {dims}"
            )));
        }
        match config.kind {
            ModelKind::Sasrec => Ok(Self::Sasrec(Sasrec::new(config, dropout, device))),
            kind => Err(ModelError::Config(format!("{kind:?} models are not supported yet"))),
        }
    }

    /// Scores of candidates for histories of one length.
    ///
    /// `history` `[batch, length, dims]`, oldest first, nothing padded; `candidates`
    /// `[batch, candidates, dims]`; returns logits `[batch, candidates]`, higher is better.
    #[must_use]
    pub fn score(&self, history: Tensor<3>, candidates: Tensor<3>) -> Tensor<2> {
        let [batch, count, _] = candidates.dims();
        let newest = match self {
            Self::Sasrec(model) => model.newest_hidden(history), // [batch, 1, dims]
        };
        newest.matmul(candidates.transpose()).reshape([batch, count])
    }

    /// The hidden state after each position, for models whose score is a dot product with
    /// the candidate's row: `[batch, length, dims]` to the same, padded on the right.
    #[must_use]
    pub fn hidden(&self, history: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Sasrec(model) => model.hidden(history),
        }
    }
}
