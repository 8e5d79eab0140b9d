use burn::{Tensor, module::Module, tensor::Device};
use tandem_protocol::{ModelConfig, ModelKind};

use crate::{Din, Gru4rec, ModelError, Sasrec};
#[cfg(feature = "webgpu")]
use crate::{attention::KvCache, incremental_state::IncrementalState};

/// A small model without its item table.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one body per session, so its size does not matter"
)]
pub enum Body {
    /// Self-attention over the history.
    Sasrec(Sasrec),
    /// A recurrent state of the history.
    Gru4rec(Gru4rec),
    /// The history weighted for each candidate.
    Din(Din),
}

/// Refuses a shape that no model can have.
pub(crate) fn check_shape(config: &ModelConfig) -> Result<(), ModelError> {
    let ModelConfig { dims, blocks, heads, max_length, .. } = *config;
    for (name, size) in [("dims", dims), ("blocks", blocks), ("heads", heads)] {
        if size == 0 || size > 4096 {
            return Err(ModelError::Config(format!("`{name}` is {size}, expected 1 to 4096")));
        }
    }
    if max_length == 0 || max_length > 65_536 {
        return Err(ModelError::Config(format!(
            "`max_length` is {max_length}, expected 1 to 65536"
        )));
    }
    if dims % heads != 0 {
        return Err(ModelError::Config(format!(
            "`heads` is {heads}, expected a divisor of `dims`, which is {dims}"
        )));
    }
    Ok(())
}

impl Body {
    /// A model of this shape with random weights; `dropout` acts only on an autodiff device.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a size is zero or too large, or `heads` does not divide
    /// `dims`.
    pub fn new(config: &ModelConfig, dropout: f64, device: &Device) -> Result<Self, ModelError> {
        check_shape(config)?;
        Ok(match config.kind {
            ModelKind::Sasrec => Self::Sasrec(Sasrec::new(config, dropout, device)),
            ModelKind::Gru4rec => Self::Gru4rec(Gru4rec::new(config, dropout, device)),
            ModelKind::Din => Self::Din(Din::new(config, dropout, device)),
        })
    }

    /// The hidden state after the newest item, `[batch, 1, dims]`, and the state from which more
    /// items can be encoded; `None` for DIN, which does not score by a dot product.
    ///
    /// `items` `[batch, length, dims]`, oldest first and without padding, follow those that
    /// `past` was returned for.
    #[cfg(feature = "webgpu")]
    pub(crate) fn encode(
        &self,
        items: Tensor<3>,
        past: Option<&DeviceState>,
    ) -> Option<(Tensor<3>, DeviceState)> {
        match self {
            Self::Sasrec(model) => {
                let past = past.and_then(DeviceState::attention).map(Vec::as_slice);
                let (hidden, layers) = model.encode(items, past);
                Some((hidden, DeviceState::Attention(layers)))
            }
            Self::Gru4rec(model) => {
                let past = past.and_then(DeviceState::recurrence).map(Vec::as_slice);
                let (hidden, layers) = model.encode(items, past);
                Some((hidden, DeviceState::Recurrence(layers)))
            }
            Self::Din(_) => None,
        }
    }

    /// Scores of candidates for histories of equal length.
    ///
    /// `history` `[batch, length, dims]`, oldest first and without padding; `candidates`
    /// `[batch, candidates, dims]`. Returns logits `[batch, candidates]`; higher is better.
    #[must_use]
    pub fn score(&self, history: Tensor<3>, candidates: Tensor<3>) -> Tensor<2> {
        let [batch, count, _] = candidates.dims();
        let newest = match self {
            Self::Sasrec(model) => model.encode(history, None).0,
            Self::Gru4rec(model) => model.encode(history, None).0,
            Self::Din(model) => return model.score(history, &candidates),
        };
        newest.matmul(candidates.transpose()).reshape([batch, count])
    }
}

/// The state of a network on a compute device; of a recurrent one `[batch, 1, dims]` per layer.
#[cfg(feature = "webgpu")]
pub(crate) type DeviceState = IncrementalState<Vec<KvCache>, Vec<Tensor<3>>>;
