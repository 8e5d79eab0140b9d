//! SASRec on the host: what [`Sasrec::encode`](crate::Sasrec) computes with tensors.

use std::sync::Arc;

use tandem_protocol::ModelConfig;

use super::layers::{Dense, Weights};
use crate::{
    ModelError,
    products::{add_scaled, dot, softmax, sum},
};

/// Epsilon of Burn's layer normalisation.
const EPSILON: f32 = 1e-5;

/// Weights of a [`Sasrec`](crate::Sasrec) in main memory.
#[derive(Debug)]
pub(crate) struct HostSasrec {
    dims: usize,
    heads: usize,
    positions: Vec<f32>, // [max_length, dims]
    /// All blocks but the last.
    blocks: Vec<HostBlock>,
    last: HostBlock,
    output_norm: Norm,
}

/// What the next items need of those that were encoded.
///
/// The last block has no keys and values: only its newest position is computed, which its inputs
/// are enough for ([`HostSasrec::attend_newest`]).
#[derive(Clone, Debug)]
pub(crate) struct HostCache {
    /// Keys and values of every block but the last.
    blocks: Arc<[KeysValues]>,
    /// Normalised inputs of the last block's attention, `[length, dims]`.
    inputs: Arc<[f32]>,
}

#[derive(Debug)]
struct KeysValues {
    keys: Vec<f32>,   // [length, dims]
    values: Vec<f32>, // [length, dims]
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

impl HostSasrec {
    pub(crate) fn new(config: &ModelConfig, weights: &Weights<'_>) -> Result<Self, ModelError> {
        let dims = config.dims;
        let last = config.blocks.saturating_sub(1);
        let blocks = (0..last).map(|at| HostBlock::new(weights, at, dims));
        Ok(Self {
            dims,
            heads: config.heads,
            positions: weights.read("positions", &[config.max_length, dims])?,
            blocks: blocks.collect::<Result<_, _>>()?,
            last: HostBlock::new(weights, last, dims)?,
            output_norm: Norm::new(weights, "output_norm", dims)?,
        })
    }

    /// The hidden state `[dims]` after the newest of `items` `[length, dims]`, which follow those
    /// of `past`, and the cache of all of them.
    pub(crate) fn encode(&self, items: &[f32], past: Option<&HostCache>) -> (Vec<f32>, HostCache) {
        let dims = self.dims;
        let before = past.map_or(0, |past| past.inputs.len() / dims);
        // As in `Sasrec::embed`.
        let scale = (dims as f32).sqrt();
        let positions = &self.positions[before * dims..];
        let mut hidden: Vec<f32> =
            items.iter().zip(positions).map(|(item, position)| item * scale + position).collect();
        let mut caches = Vec::with_capacity(self.blocks.len());
        for (at, block) in self.blocks.iter().enumerate() {
            let past = past.and_then(|past| past.blocks.get(at));
            let normed = block.attention_norm.forward(&hidden);
            let cache = KeysValues::extended(past, block, &normed);
            let attended = self.attend(block, &normed, &cache, before);
            add_scaled(&mut hidden, 1.0, &attended);
            block.feed_forward(&mut hidden);
            caches.push(cache);
        }
        // Only the newest position of the last block is needed.
        let inputs = self.last.attention_norm.forward(&hidden);
        let inputs = append(past.map(|past| &*past.inputs), inputs);
        hidden.drain(..hidden.len() - dims);
        add_scaled(&mut hidden, 1.0, &self.attend_newest(&self.last, &inputs));
        self.last.feed_forward(&mut hidden);
        let cache = HostCache { blocks: caches.into(), inputs: inputs.into() };
        (self.output_norm.forward(&hidden), cache)
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

    /// Self-attention of the newest of `inputs` `[length, dims]` to all of them, `[dims]`.
    ///
    /// No key or value of a single item is computed, which is a third of the work for a whole
    /// history: `q·(x·W + b)` is `(W·q)·x` and a constant that the softmax ignores, and the
    /// weights of a head add up to 1, so that the mean of its values is `mean(x)·W + b`.
    fn attend_newest(&self, block: &HostBlock, inputs: &[f32]) -> Vec<f32> {
        let (dims, width) = (self.dims, self.dims / self.heads);
        let scale = 1.0 / (width as f32).sqrt();
        let query = block.query.forward(&inputs[inputs.len() - dims..]);
        let mut context = block.value.bias().to_vec();
        let (mut input_query, mut weights) = (Vec::new(), Vec::new());
        let mut mean = vec![0.0; dims];
        for head in 0..self.heads {
            let of_head = head * width..(head + 1) * width;
            let query = &query[of_head.clone()];
            let rows = block.key.weight_rows();
            input_query.clear();
            input_query.extend(rows.map(|row| scale * dot(query, &row[of_head.clone()])));
            weights.clear();
            weights.extend(inputs.chunks_exact(dims).map(|input| dot(&input_query, input)));
            softmax(&mut weights);
            mean.fill(0.0);
            for (weight, input) in weights.iter().zip(inputs.chunks_exact(dims)) {
                add_scaled(&mut mean, *weight, input);
            }
            let context = &mut context[of_head.clone()];
            for (value, row) in mean.iter().zip(block.value.weight_rows()) {
                add_scaled(context, *value, &row[of_head.clone()]);
            }
        }
        block.output.forward(&context)
    }
}

impl HostBlock {
    fn new(weights: &Weights<'_>, at: usize, dims: usize) -> Result<Self, ModelError> {
        let norm = |part: &str| Norm::new(weights, &format!("blocks.{at}.{part}"), dims);
        let dense = |part: &str| Dense::new(weights, &format!("blocks.{at}.{part}"), dims, dims);
        Ok(Self {
            attention_norm: norm("attention_norm")?,
            query: dense("attention.query")?,
            key: dense("attention.key")?,
            value: dense("attention.value")?,
            output: dense("attention.output")?,
            feed_forward_norm: norm("feed_forward_norm")?,
            feed_forward_in: dense("feed_forward_in")?,
            feed_forward_out: dense("feed_forward_out")?,
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
        Self {
            keys: append(past.map(|past| &*past.keys), block.key.forward(normed)),
            values: append(past.map(|past| &*past.values), block.value.forward(normed)),
        }
    }
}

fn append(past: Option<&[f32]>, new: Vec<f32>) -> Vec<f32> {
    match past {
        Some(past) => [past, &new].concat(),
        None => new,
    }
}

impl Norm {
    fn new(weights: &Weights<'_>, name: &str, dims: usize) -> Result<Self, ModelError> {
        Ok(Self {
            gamma: weights.read(&format!("{name}.gamma"), &[dims])?,
            beta: weights.read(&format!("{name}.beta"), &[dims])?,
        })
    }

    /// Normalises rows `[rows, dims]`.
    fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let dims = self.gamma.len();
        let mut normed = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(dims) {
            let mean = sum(row) / dims as f32;
            let start = normed.len();
            normed.extend(row.iter().map(|value| value - mean));
            let centred = &mut normed[start..];
            let factor = 1.0 / (dot(centred, centred) / dims as f32 + EPSILON).sqrt();
            for (value, (gamma, beta)) in centred.iter_mut().zip(self.gamma.iter().zip(&self.beta))
            {
                *value = *value * factor * gamma + beta;
            }
        }
        normed
    }
}
