//! Layers of the models on the host, and their weights.

use crate::{ModelError, products::add_scaled, weights::WeightFile};

/// The weights of one model in a file.
pub(crate) struct Weights<'a> {
    file: &'a WeightFile<'a>,
    /// Name of the model in the names of its tensors.
    model: &'static str,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(file: &'a WeightFile<'a>, model: &'static str) -> Self {
        Self { file, model }
    }

    /// The values of a tensor of this shape.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.file.read(&format!("{}.{name}", self.model), shape)
    }
}

/// Rows and columns of a tile of a matrix product. Its sums take eight vector registers; of the
/// sizes tried, this is the fastest in WebAssembly.
const TILE_ROWS: usize = 2;
const TILE_COLUMNS: usize = 16;

/// A linear layer `y = x·W + b`.
#[derive(Debug)]
pub(crate) struct Dense {
    weight: Vec<f32>, // [inputs, outputs]
    bias: Vec<f32>,   // [outputs]
}

impl Dense {
    pub(crate) fn new(
        weights: &Weights<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ModelError> {
        let bias = weights.read(&format!("{name}.bias"), &[outputs])?;
        Ok(Self { bias, ..Self::without_bias(weights, name, inputs, outputs)? })
    }

    /// A layer whose bias is zero and not in the file.
    pub(crate) fn without_bias(
        weights: &Weights<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ModelError> {
        let weight = weights.read(&format!("{name}.weight"), &[inputs, outputs])?;
        Ok(Self { weight, bias: vec![0.0; outputs] })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The rows of `W`, `[outputs]` for each input.
    pub(crate) fn weight_rows(&self) -> impl Iterator<Item = &[f32]> {
        self.weight.chunks_exact(self.bias.len())
    }

    pub(crate) fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    pub(crate) fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let outputs = self.bias.len();
        let inputs = self.weight.len() / outputs;
        let mut result = vec![0.0; rows.len() / inputs * outputs];
        let (mut rows, mut rest) = (rows, result.as_mut_slice());
        while !rows.is_empty() {
            let count = if rows.len() >= TILE_ROWS * inputs { TILE_ROWS } else { 1 };
            let (tile, left) = rows.split_at(count * inputs);
            let (tile_result, rest_left) = rest.split_at_mut(count * outputs);
            if count == TILE_ROWS {
                self.tile::<TILE_ROWS>(tile, tile_result);
            } else {
                self.tile::<1>(tile, tile_result);
            }
            (rows, rest) = (left, rest_left);
        }
        result
    }

    /// The product of `ROWS` rows.
    fn tile<const ROWS: usize>(&self, rows: &[f32], result: &mut [f32]) {
        let outputs = self.bias.len();
        let inputs = rows.len() / ROWS;
        let mut column = 0;
        while column + TILE_COLUMNS <= outputs {
            let mut sums = [[0.0_f32; TILE_COLUMNS]; ROWS];
            for (at, weights) in self.weight.chunks_exact(outputs).enumerate() {
                let Some(weights) = weights[column..].first_chunk::<TILE_COLUMNS>() else { break };
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = rows[row * inputs + at];
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                }
            }
            let bias = &self.bias[column..column + TILE_COLUMNS];
            for (row, sums) in sums.iter().enumerate() {
                let result = &mut result[row * outputs + column..][..TILE_COLUMNS];
                for (result, (sum, bias)) in result.iter_mut().zip(sums.iter().zip(bias)) {
                    *result = sum + bias;
                }
            }
            column += TILE_COLUMNS;
        }
        // Columns beyond whole tiles.
        for column in column..outputs {
            for row in 0..ROWS {
                let row_values = &rows[row * inputs..(row + 1) * inputs];
                let weights = self.weight.iter().skip(column).step_by(outputs);
                let sum: f32 = row_values.iter().zip(weights).map(|(x, w)| x * w).sum();
                result[row * outputs + column] = sum + self.bias[column];
            }
        }
    }
}

/// Adds `values` to each row of `rows` `[rows, values]`.
pub(crate) fn add_to_rows(rows: &mut [f32], values: &[f32]) {
    for row in rows.chunks_exact_mut(values.len()) {
        add_scaled(row, 1.0, values);
    }
}

/// The logistic function.
pub(crate) fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// `SiLU`: `x·σ(x)`.
pub(crate) fn silu(value: f32) -> f32 {
    value * sigmoid(value)
}
