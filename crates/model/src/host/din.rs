//! DIN on the host: what [`Din::score`](crate::Din::score) computes with tensors.

use tandem_protocol::ModelConfig;

use super::layers::{Dense, Weights, add_to_rows, silu};
use crate::{ModelError, products::add_scaled};

/// Weights of a [`Din`](crate::Din) in main memory.
#[derive(Debug)]
pub(crate) struct HostDin {
    dims: usize,
    history: Dense,   // [dims, units]
    candidate: Dense, // [dims, units]
    product: Dense,   // [dims, units]
    ages: Vec<f32>,   // [max_length, units]
    weight: Dense,    // [units, 1]
    hidden: Vec<Dense>,
    output: Dense, // [dims, 1]
}

impl HostDin {
    pub(crate) fn new(config: &ModelConfig, weights: &Weights<'_>) -> Result<Self, ModelError> {
        let dims = config.dims;
        let units = dims.div_ceil(2);
        let hidden = |layer: usize| {
            let inputs = if layer == 0 { 3 * dims } else { dims };
            Dense::new(weights, &format!("hidden.{layer}"), inputs, dims)
        };
        Ok(Self {
            dims,
            history: Dense::new(weights, "history", dims, units)?,
            candidate: Dense::without_bias(weights, "candidate", dims, units)?,
            product: Dense::without_bias(weights, "product", dims, units)?,
            ages: weights.read("ages", &[config.max_length, units])?,
            weight: Dense::new(weights, "weight", units, 1)?,
            hidden: (0..config.blocks).map(hidden).collect::<Result<_, _>>()?,
            output: Dense::new(weights, "output", dims, 1)?,
        })
    }

    /// Scores of candidates `[candidates, dims]` for a history `[length, dims]`, oldest first.
    pub(crate) fn score(&self, history: &[f32], candidates: &[f32]) -> Vec<f32> {
        // As in `Din::score_chunks`.
        let scale = (self.dims as f32).sqrt();
        let history: Vec<f32> = history.iter().map(|value| value * scale).collect();
        let of_history = self.of_history(&history);
        let mut candidate = vec![0.0; self.dims];
        let scores = candidates.chunks_exact(self.dims).map(|row| {
            for (value, row) in candidate.iter_mut().zip(row) {
                *value = row * scale;
            }
            let interest = self.interest(&history, &of_history, &candidate);
            self.score_mlp(&interest, &candidate)
        });
        scores.collect()
    }

    /// The part of the activation unit that does not depend on the candidate,
    /// `W_h h + T_t`, `[length, units]`.
    fn of_history(&self, history: &[f32]) -> Vec<f32> {
        let mut units = self.history.forward(history);
        let width = self.candidate.outputs();
        let ages = self.ages.chunks_exact(width);
        // The newest item has age 0.
        for (row, age) in units.chunks_exact_mut(width).rev().zip(ages) {
            add_to_rows(row, age);
        }
        units
    }

    /// The interest `u = Σ a·h` `[dims]` of a history in a candidate.
    fn interest(&self, history: &[f32], of_history: &[f32], candidate: &[f32]) -> Vec<f32> {
        let mut products = history.to_vec();
        for row in products.chunks_exact_mut(self.dims) {
            for (product, value) in row.iter_mut().zip(candidate) {
                *product *= value;
            }
        }
        let mut inner = self.product.forward(&products); // [length, units]
        add_to_rows(&mut inner, &self.candidate.forward(candidate));
        for (inner, of_history) in inner.iter_mut().zip(of_history) {
            *inner = silu(*inner + of_history);
        }
        let weights = self.weight.forward(&inner); // [length]
        let mut interest = vec![0.0; self.dims];
        for (weight, row) in weights.iter().zip(history.chunks_exact(self.dims)) {
            add_scaled(&mut interest, *weight, row);
        }
        interest
    }

    /// The score of a candidate `v` for an interest `u`, both `[dims]`.
    fn score_mlp(&self, interest: &[f32], candidate: &[f32]) -> f32 {
        let both = interest.iter().zip(candidate).map(|(interest, value)| interest * value);
        let mut inner: Vec<f32> = interest.iter().chain(candidate).copied().chain(both).collect();
        for layer in &self.hidden {
            inner = layer.forward(&inner);
            for value in &mut inner {
                *value = silu(*value);
            }
        }
        self.output.forward(&inner)[0]
    }
}
