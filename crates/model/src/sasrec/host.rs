//! SASRec on the host, for the short histories of a device.
//!
//! A history of 30 items takes about a million multiplications, which are done before a tensor
//! library has dispatched its hundred operations. This module computes what
//! [`Sasrec::encode`](super::Sasrec::encode) computes in plain loops over slices that the
//! compiler vectorises. Tests compare the two and the reference implementation.

use std::{collections::HashMap, sync::Arc};

use tandem_protocol::ModelConfig;

use crate::{
    ModelError, Parameter,
    products::{add_scaled, dot},
};

/// Epsilon of Burn's layer normalisation.
const EPSILON: f32 = 1e-5;

/// Weights of a [`Sasrec`](super::Sasrec) in main memory.
#[derive(Debug)]
pub(crate) struct HostSasrec {
    dims: usize,
    heads: usize,
    positions: Vec<f32>, // [max_length, dims]
    blocks: Vec<HostBlock>,
    output_norm: Norm,
}

/// Keys and values of the items that were encoded, per block `[length, dims]`.
#[derive(Clone, Debug)]
pub(crate) struct HostCache(Arc<[KeysValues]>);

#[derive(Debug)]
struct KeysValues {
    keys: Vec<f32>,
    values: Vec<f32>,
}

#[derive(Debug)]
struct HostBlock {
    attention_norm: Norm,
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    feed_forward_norm: Norm,
    feed_forward_in: Dense,
    feed_forward_out: Dense,
}

#[derive(Debug)]
struct Norm {
    gamma: Vec<f32>, // [dims]
    beta: Vec<f32>,  // [dims]
}

/// A linear layer `y = x·W + b`.
#[derive(Debug)]
struct Dense {
    weight: Vec<f32>, // [inputs, outputs]
    bias: Vec<f32>,   // [outputs]
}

impl HostSasrec {
    /// Takes the parameters of a [`Body::Sasrec`](crate::Body::Sasrec).
    pub(crate) fn new(
        config: &ModelConfig,
        parameters: Vec<Parameter>,
    ) -> Result<Self, ModelError> {
        let mut weights = Weights(
            parameters.into_iter().map(|parameter| (parameter.name, parameter.values)).collect(),
        );
        let blocks = (0..config.blocks).map(|at| HostBlock::new(&mut weights, at));
        let blocks = blocks.collect::<Result<_, _>>()?;
        Ok(Self {
            dims: config.dims,
            heads: config.heads,
            positions: weights.take("positions")?,
            blocks,
            output_norm: Norm::new(&mut weights, "output_norm")?,
        })
    }

    /// The hidden state `[dims]` after the newest of `items` `[length, dims]`, which follow those
    /// of `past`, and the cache of all of them.
    pub(crate) fn encode(&self, items: &[f32], past: Option<&HostCache>) -> (Vec<f32>, HostCache) {
        let dims = self.dims;
        let before = past.and_then(|past| past.0.first()).map_or(0, |past| past.keys.len() / dims);
        // As in `Sasrec::embed`.
        let scale = (dims as f32).sqrt();
        let positions = &self.positions[before * dims..];
        let mut hidden: Vec<f32> =
            items.iter().zip(positions).map(|(item, position)| item * scale + position).collect();
        let mut caches = Vec::with_capacity(self.blocks.len());
        for (at, block) in self.blocks.iter().enumerate() {
            let past = past.and_then(|past| past.0.get(at));
            let normed = block.attention_norm.forward(&hidden);
            let cache = KeysValues::extended(past, block, &normed);
            // Only the newest position of the last block is needed.
            let skipped = if at + 1 == self.blocks.len() { hidden.len() - dims } else { 0 };
            hidden.drain(..skipped);
            let first = cache.keys.len() / dims - hidden.len() / dims;
            let attended = self.attend(block, &normed[skipped..], &cache, first);
            add_scaled(&mut hidden, 1.0, &attended);
            block.feed_forward(&mut hidden);
            caches.push(cache);
        }
        (self.output_norm.forward(&hidden), HostCache(caches.into()))
    }

    /// Causal self-attention of `normed` `[rows, dims]`, whose first row is item `first` of the
    /// cache: `[rows, dims]`.
    fn attend(
        &self,
        block: &HostBlock,
        normed: &[f32],
        cache: &KeysValues,
        first: usize,
    ) -> Vec<f32> {
        let (dims, width) = (self.dims, self.dims / self.heads);
        let scale = 1.0 / (width as f32).sqrt();
        let queries = block.query.forward(normed);
        let mut context = vec![0.0; normed.len()];
        let mut weights = Vec::new();
        let rows = queries.chunks_exact(dims).zip(context.chunks_exact_mut(dims));
        for (row, (query, context)) in rows.enumerate() {
            let seen = first + row + 1;
            for head in 0..self.heads {
                let of_head = head * width..(head + 1) * width;
                let query = &query[of_head.clone()];
                let keys = cache.keys.chunks_exact(dims).take(seen);
                weights.clear();
                weights.extend(keys.map(|key| dot(query, &key[of_head.clone()]) * scale));
                softmax(&mut weights);
                let context = &mut context[of_head.clone()];
                for (weight, value) in weights.iter().zip(cache.values.chunks_exact(dims)) {
                    add_scaled(context, *weight, &value[of_head.clone()]);
                }
            }
        }
        block.output.forward(&context)
    }
}

impl HostBlock {
    fn new(weights: &mut Weights, at: usize) -> Result<Self, ModelError> {
        let name = |part: &str| format!("blocks.{at}.{part}");
        Ok(Self {
            attention_norm: Norm::new(weights, &name("attention_norm"))?,
            query: Dense::new(weights, &name("attention.query"))?,
            key: Dense::new(weights, &name("attention.key"))?,
            value: Dense::new(weights, &name("attention.value"))?,
            output: Dense::new(weights, &name("attention.output"))?,
            feed_forward_norm: Norm::new(weights, &name("feed_forward_norm"))?,
            feed_forward_in: Dense::new(weights, &name("feed_forward_in"))?,
            feed_forward_out: Dense::new(weights, &name("feed_forward_out"))?,
        })
    }

    /// Adds the feed-forward network to `hidden` `[rows, dims]`.
    fn feed_forward(&self, hidden: &mut [f32]) {
        let mut inner = self.feed_forward_in.forward(&self.feed_forward_norm.forward(hidden));
        for value in &mut inner {
            *value = value.max(0.0);
        }
        add_scaled(hidden, 1.0, &self.feed_forward_out.forward(&inner));
    }
}

impl KeysValues {
    /// Keys and values of `normed` `[rows, dims]` after those of `past`.
    fn extended(past: Option<&Self>, block: &HostBlock, normed: &[f32]) -> Self {
        let append = |past: Option<&Vec<f32>>, new: Vec<f32>| match past {
            Some(past) => [past.as_slice(), &new].concat(),
            None => new,
        };
        Self {
            keys: append(past.map(|past| &past.keys), block.key.forward(normed)),
            values: append(past.map(|past| &past.values), block.value.forward(normed)),
        }
    }
}

impl Norm {
    fn new(weights: &mut Weights, name: &str) -> Result<Self, ModelError> {
        Ok(Self {
            gamma: weights.take(&format!("{name}.gamma"))?,
            beta: weights.take(&format!("{name}.beta"))?,
        })
    }

    /// Normalises rows `[rows, dims]`.
    fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let dims = self.gamma.len();
        let mut normed = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(dims) {
            let mean = row.iter().sum::<f32>() / dims as f32;
            let variance =
                row.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / dims as f32;
            let factor = 1.0 / (variance + EPSILON).sqrt();
            let parameters = self.gamma.iter().zip(&self.beta);
            normed.extend(
                row.iter()
                    .zip(parameters)
                    .map(|(value, (gamma, beta))| (value - mean) * factor * gamma + beta),
            );
        }
        normed
    }
}

/// Rows and columns of a tile of a matrix product. Its sums take eight vector registers; of the
/// sizes tried, this is the fastest in WebAssembly.
const TILE_ROWS: usize = 2;
const TILE_COLUMNS: usize = 16;

impl Dense {
    fn new(weights: &mut Weights, name: &str) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"))?,
            bias: weights.take(&format!("{name}.bias"))?,
        })
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    fn forward(&self, rows: &[f32]) -> Vec<f32> {
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

/// Turns logits into probabilities.
fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    for logit in logits.iter_mut() {
        *logit /= sum;
    }
}

/// Parameters by their path in the module.
struct Weights(HashMap<String, Vec<f32>>);

impl Weights {
    fn take(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let name = format!("Sasrec.{name}");
        self.0.remove(&name).ok_or(ModelError::MissingTensor { name })
    }
}

#[cfg(test)]
mod tests {
    use burn::{
        Tensor,
        tensor::{Device, TensorData},
    };
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use tandem_protocol::{ModelConfig, ModelKind};

    use super::*;
    use crate::{Body, parameters};

    #[test]
    fn the_host_computes_what_the_tensors_compute() {
        let device = Device::flex();
        device.seed(3);
        for (dims, blocks, heads, length) in
            [(64, 2, 1, 30), (64, 2, 4, 7), (12, 1, 3, 5), (5, 3, 5, 1), (20, 2, 2, 9)]
        {
            let kind = ModelKind::Sasrec;
            let config = ModelConfig { kind, dims, blocks, heads, max_length: 30 };
            let body = Body::new(&config, 0.0, &device).unwrap();
            let host = HostSasrec::new(&config, parameters(&body).unwrap()).unwrap();
            let mut rng = StdRng::seed_from_u64(7);
            let items: Vec<f32> =
                (0..length * dims).map(|_| rng.random_range(-0.5_f32..0.5)).collect();
            let Body::Sasrec(model) = &body else { unreachable!() };
            let tensor = TensorData::new(items.clone(), [1, length, dims]);
            let (expected, _) = model.encode(Tensor::from_data(tensor, &device), None);
            let expected = expected.try_into_vec_as::<f32>().unwrap();
            // All at once, and in two parts.
            let (whole, _) = host.encode(&items, None);
            let (first, second) = items.split_at(length / 2 * dims);
            let past = (!first.is_empty()).then(|| host.encode(first, None).1);
            let (parts, cache) = host.encode(second, past.as_ref());
            assert_eq!(cache.0[0].keys.len(), length * dims);
            for found in [&whole, &parts] {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 2e-5, "{dims} {heads}: {found} {expected}");
                }
            }
        }
    }
}
