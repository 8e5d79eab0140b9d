use burn::{Tensor, module::Module, tensor::Device};
use tandem_protocol::{ModelConfig, ModelKind};

use crate::{Din, Gru4rec, ModelError, Sasrec, attention::KvCache};

/// A small model without its item table.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one body lives as long as a session; a box would only lengthen the way to it"
)]
pub enum Body {
    /// Self-attention over the history.
    Sasrec(Sasrec),
    /// A recurrent state of the history.
    Gru4rec(Gru4rec),
    /// The history weighed for each candidate.
    Din(Din),
}

impl Body {
    /// A model of this shape with random weights.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a size is zero or too large, or `heads` does not divide
    /// `dims`.
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
        Ok(match config.kind {
            ModelKind::Sasrec => Self::Sasrec(Sasrec::new(config, dropout, device)),
            ModelKind::Gru4rec => Self::Gru4rec(Gru4rec::new(config, dropout, device)),
            ModelKind::Din => Self::Din(Din::new(config, dropout, device)),
        })
    }

    /// The state of a history after its newest item, `[batch, 1, dims]`, for models that score
    /// a candidate by a dot product with it, with what is kept so that the reading can go on;
    /// `None` of models that do not.
    ///
    /// `items` `[batch, length, dims]`, oldest first, nothing padded, follow on those of
    /// `past`, if it is given.
    pub(crate) fn read(
        &self,
        items: Tensor<3>,
        past: Option<&IncrementalState>,
    ) -> Option<(Tensor<3>, IncrementalState)> {
        match self {
            Self::Sasrec(model) => {
                let past = past.and_then(IncrementalState::attention);
                let (hidden, layers) = model.read(items, past);
                Some((hidden, IncrementalState::Attention(layers)))
            }
            Self::Gru4rec(model) => {
                let past = past.and_then(IncrementalState::recurrence);
                let (hidden, layers) = model.read(items, past);
                Some((hidden, IncrementalState::Recurrence(layers)))
            }
            Self::Din(_) => None,
        }
    }

    /// Scores of candidates for histories of one length.
    ///
    /// `history` `[batch, length, dims]`, oldest first, nothing padded; `candidates` `[batch,
    /// candidates, dims]`; returns logits `[batch, candidates]`, higher is better.
    #[must_use]
    pub fn score(&self, history: Tensor<3>, candidates: Tensor<3>) -> Tensor<2> {
        let [batch, count, _] = candidates.dims();
        let newest = match self {
            Self::Sasrec(model) => model.read(history, None).0,
            Self::Gru4rec(model) => model.read(history, None).0,
            Self::Din(model) => return model.score(history, &candidates),
        };
        newest.matmul(candidates.transpose()).reshape([batch, count])
    }
}

/// What a network keeps of the items it has read, layer by layer: all that it needs of them to
/// read on.
#[derive(Clone, Debug)]
pub(crate) enum IncrementalState {
    /// Keys and values of every item.
    Attention(Vec<KvCache>),
    /// The state after the newest item, `[batch, 1, dims]`.
    Recurrence(Vec<Tensor<3>>),
}

impl IncrementalState {
    fn attention(&self) -> Option<&[KvCache]> {
        if let Self::Attention(layers) = self { Some(layers) } else { None }
    }

    fn recurrence(&self) -> Option<&[Tensor<3>]> {
        if let Self::Recurrence(layers) = self { Some(layers) } else { None }
    }
}
