use burn::{
    Tensor,
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, activation},
};
use tandem_protocol::ModelConfig;

use crate::Dropout;

/// GRU4Rec without its item table: gated recurrent units over the rows of a history
/// (Hidasi et al., ICLR 2016), then a projection to the space of the rows. An item's score is
/// the dot product of the projection with its row.
///
/// A state depends only on older items, so sequences of a batch are padded on the right.
#[derive(Module, Debug)]
pub struct Gru4rec {
    layers: Vec<GruLayer>,
    output: Linear,
    dropout: Dropout,
}

impl Gru4rec {
    /// A model with random weights; `dropout` acts only on an autodiff device.
    #[must_use]
    pub fn new(config: &ModelConfig, dropout: f64, device: &Device) -> Self {
        Self {
            layers: (0..config.blocks).map(|_| GruLayer::new(config.dims, device)).collect(),
            output: LinearConfig::new(config.dims, config.dims).init(device),
            dropout: Dropout::new(dropout),
        }
    }

    /// The hidden state after each item: `history` rows `[batch, length, dims]`, oldest
    /// first, to `[batch, length, dims]`.
    #[must_use]
    pub fn hidden(&self, history: Tensor<3>) -> Tensor<3> {
        let states = self
            .layers
            .iter()
            .fold(self.embed(history), |input, layer| Tensor::cat(layer.states(input, None), 1));
        self.output.forward(self.dropout.forward(states))
    }

    /// The hidden state after the newest of `items` `[batch, length, dims]`, `[batch, 1, dims]`,
    /// and the state of each layer, `[batch, 1, dims]`. There must be no padding. `past` holds
    /// the layers' states after older items, which precede `items`.
    pub(crate) fn encode(
        &self,
        items: Tensor<3>,
        past: Option<&[Tensor<3>]>,
    ) -> (Tensor<3>, Vec<Tensor<3>>) {
        let mut outputs = self.embed(items);
        let length = outputs.dims()[1];
        let mut layer_states = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let states = layer.states(outputs, past.and_then(|past| past.get(at)));
            let newest = states[length - 1].clone();
            let last = at + 1 == self.layers.len();
            outputs = if last { newest.clone() } else { Tensor::cat(states, 1) };
            layer_states.push(newest);
        }
        (self.output.forward(self.dropout.forward(outputs)), layer_states)
    }

    /// Rows multiplied by sqrt(dims), because trained rows are small.
    fn embed(&self, history: Tensor<3>) -> Tensor<3> {
        let dims = history.dims()[2];
        self.dropout.forward(history * (dims as f64).sqrt())
    }
}

/// One layer of gated recurrent units.
#[derive(Module, Debug)]
struct GruLayer {
    /// `W` of the update gate, the reset gate and the new state, concatenated.
    input: Linear, // [dims, 3·dims]
    /// `U` of the same three.
    recurrent: Linear, // [dims, 3·dims]
}

impl GruLayer {
    fn new(dims: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(dims, 3 * dims).init(device);
        Self { input: linear(), recurrent: linear() }
    }

    /// The state after each input: `[batch, length, dims]` to `length` tensors
    /// `[batch, 1, dims]`. The initial state is `before`, or zeros.
    ///
    /// Hidasi et al. eq. 1–4, with the reset gate applied after the matrix product (Cho et al.
    /// 2014, first version), so that a step needs one product, and the inputs one for all steps:
    /// `z = σ(W_z x + U_z h)`, `r = σ(W_r x + U_r h)`, `n = tanh(W_n x + r ⊙ U_n h)`,
    /// `h ← (1 − z) ⊙ h + z ⊙ n`.
    fn states(&self, inputs: Tensor<3>, before: Option<&Tensor<3>>) -> Vec<Tensor<3>> {
        let [batch, length, dims] = inputs.dims();
        let zeros = || Tensor::zeros([batch, 1, dims], &inputs.device());
        let mut state = before.cloned().unwrap_or_else(zeros);
        let inputs = self.input.forward(inputs); // [batch, length, 3·dims]
        let mut states = Vec::with_capacity(length);
        for step in 0..length {
            let input = inputs.clone().narrow(1, step, 1);
            let recurrent = self.recurrent.forward(state.clone()); // [batch, 1, 3·dims]
            let gates = activation::sigmoid(
                input.clone().narrow(2, 0, 2 * dims) + recurrent.clone().narrow(2, 0, 2 * dims),
            );
            let (update, reset) = (gates.clone().narrow(2, 0, dims), gates.narrow(2, dims, dims));
            let new = input.narrow(2, 2 * dims, dims) + reset * recurrent.narrow(2, 2 * dims, dims);
            state = state.clone() + update * (new.tanh() - state);
            states.push(state.clone());
        }
        states
    }
}
