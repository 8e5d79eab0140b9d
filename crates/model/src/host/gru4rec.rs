//! GRU4Rec on the host: what [`Gru4rec::encode`](crate::Gru4rec) computes with tensors.

use std::sync::Arc;

use tandem_protocol::ModelConfig;

use super::layers::{Dense, Weights, sigmoid};
use crate::ModelError;

/// Weights of a [`Gru4rec`](crate::Gru4rec) in main memory.
#[derive(Debug)]
pub(crate) struct HostGru4rec {
    dims: usize,
    layers: Vec<HostLayer>,
    output: Dense,
}

#[derive(Debug)]
struct HostLayer {
    input: Dense,     // [dims, 3·dims]
    recurrent: Dense, // [dims, 3·dims]
}

/// The state of each layer after the newest item, `[dims]`.
#[derive(Clone, Debug)]
pub(crate) struct HostStates(Arc<[Vec<f32>]>);

impl HostGru4rec {
    pub(crate) fn new(config: &ModelConfig, weights: &Weights<'_>) -> Result<Self, ModelError> {
        let dims = config.dims;
        let layer = |at: usize| {
            let dense = |part| Dense::new(weights, &format!("layers.{at}.{part}"), dims, 3 * dims);
            Ok(HostLayer { input: dense("input")?, recurrent: dense("recurrent")? })
        };
        Ok(Self {
            dims,
            layers: (0..config.blocks).map(layer).collect::<Result<_, ModelError>>()?,
            output: Dense::new(weights, "output", dims, dims)?,
        })
    }

    /// The hidden state `[dims]` after the newest of `items` `[length, dims]`, which follow those
    /// of `past`, and the state of each layer.
    pub(crate) fn encode(
        &self,
        items: &[f32],
        past: Option<&HostStates>,
    ) -> (Vec<f32>, HostStates) {
        // As in `Gru4rec::embed`.
        let scale = (self.dims as f32).sqrt();
        let mut outputs: Vec<f32> = items.iter().map(|value| value * scale).collect();
        let mut states = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let before = past.and_then(|past| past.0.get(at)).cloned();
            let mut state = before.unwrap_or_else(|| vec![0.0; self.dims]);
            outputs = layer.forward(&outputs, &mut state);
            states.push(state);
        }
        let newest = outputs.len() - self.dims;
        (self.output.forward(&outputs[newest..]), HostStates(states.into()))
    }
}

impl HostLayer {
    /// The state after each input, `[length, dims]`; `state` becomes the last one. For the
    /// equations see [`Gru4rec`](crate::Gru4rec).
    fn forward(&self, inputs: &[f32], state: &mut [f32]) -> Vec<f32> {
        let dims = state.len();
        let inputs = self.input.forward(inputs); // [length, 3·dims]
        let mut states = Vec::with_capacity(inputs.len() / 3);
        for input in inputs.chunks_exact(3 * dims) {
            let recurrent = self.recurrent.forward(state); // [3·dims]
            for (at, value) in state.iter_mut().enumerate() {
                let update = sigmoid(input[at] + recurrent[at]);
                let reset = sigmoid(input[dims + at] + recurrent[dims + at]);
                let new = (input[2 * dims + at] + reset * recurrent[2 * dims + at]).tanh();
                *value += update * (new - *value);
            }
            states.extend_from_slice(state);
        }
        states
    }
}
