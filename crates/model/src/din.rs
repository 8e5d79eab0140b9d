use burn::{
    Tensor,
    module::{Module, Param},
    nn::{Initializer, Linear, LinearConfig},
    tensor::{Device, Int, TensorData, activation},
};
use tandem_protocol::ModelConfig;

use crate::Dropout;

/// Number of pairs of a history item and a candidate that are weighted at a time. At 64
/// dimensions their products take 4 MiB, which fits a CPU cache.
const PAIRS_AT_A_TIME: usize = 1 << 14;

/// Deep interest network without its item table (Zhou et al., KDD 2018). The items of the
/// history are weighted for each candidate.
///
/// With `h` a row of the history, `v` the candidate's, `t` the item's age (0 is the newest)
/// and `φ` the `SiLU`:
///
/// - activation unit (§4.3): `a = w·φ(W_h h + W_v v + W_p (h ⊙ v) + T_t) + b`. The authors' code
///   also has the input `h − v`, which a linear layer can compute from the first two. `T` holds
///   a learnt row for each age, because the paper's unit ignores the order of the history;
/// - interest: `u = Σ a·h` (eq. 3), without softmax, so that the intensity of interest is kept;
/// - score: a network with one output on `[u, v, u ⊙ v]`.
///
/// `φ` is the paper's Dice (eq. 4) with mean 0, variance 1 and slope 0, because a device with
/// one user has no batch statistics.
#[derive(Module, Debug)]
pub struct Din {
    history: Linear,        // W_h [dims, units], with the layer's bias
    candidate: Linear,      // W_v [dims, units]
    product: Linear,        // W_p [dims, units]
    ages: Param<Tensor<2>>, // T [max_length, units]
    weight: Linear,         // w, b: [units, 1]
    hidden: Vec<Linear>,    // [3·dims, dims], then [dims, dims]
    output: Linear,         // [dims, 1]
    dropout: Dropout,
}

impl Din {
    /// A model with random weights, half as many activation units as dimensions, and
    /// `config.blocks` hidden layers; `dropout` acts only on an autodiff device.
    #[must_use]
    pub fn new(config: &ModelConfig, dropout: f64, device: &Device) -> Self {
        let dims = config.dims;
        let units = dims.div_ceil(2);
        let unbiased = || LinearConfig::new(dims, units).with_bias(false).init(device);
        let ages = Initializer::Normal { mean: 0.0, std: 0.02 };
        Self {
            history: LinearConfig::new(dims, units).init(device),
            candidate: unbiased(),
            product: unbiased(),
            ages: ages.init([config.max_length, units], device),
            weight: LinearConfig::new(units, 1).init(device),
            hidden: (0..config.blocks)
                .map(|layer| if layer == 0 { 3 * dims } else { dims })
                .map(|inputs| LinearConfig::new(inputs, dims).init(device))
                .collect(),
            output: LinearConfig::new(dims, 1).init(device),
            dropout: Dropout::new(dropout),
        }
    }

    /// Scores of candidates `[batch, candidates, dims]` for histories `[batch, length, dims]`,
    /// oldest first and without padding: `[batch, candidates]`.
    #[must_use]
    pub fn score(&self, history: Tensor<3>, candidates: &Tensor<3>) -> Tensor<2> {
        let [batch, length, _] = history.dims();
        let ages: Vec<u32> = (0..length as u32).rev().collect();
        let ages = self.ages.val().select(0, indices(&ages, &history.device())); // [length, units]
        let [_, units] = ages.dims();
        let ages = ages.unsqueeze::<3>().expand([batch, length, units]);
        self.score_chunks(history, ages, None, candidates)
    }

    /// The same for beginnings of histories `[batch, length, dims]` that are padded on the
    /// right. `newest` holds flat indices into `[batch, length]`, the last item of each
    /// beginning; `candidates` is `[newest, candidates, dims]`. Returns `[newest, candidates]`.
    #[must_use]
    pub fn score_at(
        &self,
        history: Tensor<3>,
        newest: &[u32],
        candidates: &Tensor<3>,
    ) -> Tensor<2> {
        let [_, length, _] = history.dims();
        let device = history.device();
        let ends = || newest.iter().map(|&at| (at as usize / length, at as usize % length));
        let rows: Vec<u32> = ends().map(|(row, _)| row as u32).collect();
        let columns = || ends().flat_map(|(_, last)| (0..length).map(move |at| (at, last)));
        let ages: Vec<u32> = columns().map(|(at, last)| last.saturating_sub(at) as u32).collect();
        let seen: Vec<f32> = columns().map(|(at, last)| f32::from(u8::from(at <= last))).collect();

        let ages = self.ages.val().select(0, indices(&ages, &device));
        let [_, units] = ages.dims();
        let ages = ages.reshape([newest.len(), length, units]);
        let seen = TensorData::new(seen, [newest.len(), 1, length]);
        let seen = Tensor::from_data(seen, &device);
        self.score_chunks(history.select(0, indices(&rows, &device)), ages, Some(&seen), candidates)
    }

    /// Scores candidates in chunks of [`PAIRS_AT_A_TIME`]. `history` `[batch, length, dims]`,
    /// `ages` (rows of `T`) `[batch, length, units]`, `seen` `[batch, 1, length]` with 0 at
    /// padding, `candidates` `[batch, candidates, dims]`; returns `[batch, candidates]`.
    fn score_chunks(
        &self,
        history: Tensor<3>,
        ages: Tensor<3>,
        seen: Option<&Tensor<3>>,
        candidates: &Tensor<3>,
    ) -> Tensor<2> {
        let [batch, length, dims] = history.dims();
        let [_, count, _] = candidates.dims();
        // Trained rows are small; scaled, their products are comparable to the biases.
        let scale = (dims as f64).sqrt();
        let history = self.dropout.forward(history * scale);
        let of_history = self.history.forward(history.clone()) + ages; // [batch, length, units]
        let chunk = (PAIRS_AT_A_TIME / (batch * length)).max(1);
        let scores = (0..count).step_by(chunk).map(|start| {
            let candidates = candidates.clone().narrow(1, start, chunk.min(count - start)) * scale;
            let weights =
                self.activation_unit(history.clone(), of_history.clone(), candidates.clone());
            let weights = match seen {
                Some(seen) => weights * seen.clone(),
                None => weights,
            };
            self.score_mlp(weights.matmul(history.clone()), candidates)
        });
        Tensor::cat(scores.collect(), 1)
    }

    /// The activation unit: the weight `a` of each pair, `[batch, candidates, length]`.
    fn activation_unit(
        &self,
        history: Tensor<3>,
        of_history: Tensor<3>,
        candidates: Tensor<3>,
    ) -> Tensor<3> {
        let [batch, length, _] = history.dims();
        let [_, count, _] = candidates.dims();
        let of_candidates = self.candidate.forward(candidates.clone()); // [batch, candidates, units]
        let products = history.unsqueeze_dim::<4>(1) * candidates.unsqueeze_dim::<4>(2); // [batch, candidates, length, dims]
        let inner = self.product.forward(products)
            + of_history.unsqueeze_dim::<4>(1)
            + of_candidates.unsqueeze_dim::<4>(2); // [batch, candidates, length, units]
        self.weight.forward(activation::silu(inner)).reshape([batch, count, length])
    }

    /// The scores `[batch, candidates]` of candidates `v` for interests `u`, both `[batch,
    /// candidates, dims]`.
    fn score_mlp(&self, interests: Tensor<3>, candidates: Tensor<3>) -> Tensor<2> {
        let [batch, count, _] = candidates.dims();
        let both = interests.clone() * candidates.clone();
        let inner = self.dropout.forward(Tensor::cat(vec![interests, candidates, both], 2));
        let inner =
            self.hidden.iter().fold(inner, |inner, layer| activation::silu(layer.forward(inner)));
        self.output.forward(inner).reshape([batch, count])
    }
}

/// Positions as a tensor of indices.
fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|value| value.cast_signed()).collect();
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}
