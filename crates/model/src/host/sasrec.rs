//! SASRec on the host: what [`Sasrec::encode`](crate::Sasrec) computes with tensors.

use std::sync::Arc;

use tandem_protocol::ModelConfig;

use super::layers::{Dense, Weights};
use crate::{
    ModelError,
    products::{add_scaled, dot, softmax},
};

/// Epsilon of Burn's layer normalisation.
const EPSILON: f32 = 1e-5;

/// Weights of a [`Sasrec`](crate::Sasrec) in main memory.
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

impl HostSasrec {
    pub(crate) fn new(config: &ModelConfig, weights: &Weights<'_>) -> Result<Self, ModelError> {
        let dims = config.dims;
        let blocks = (0..config.blocks).map(|at| HostBlock::new(weights, at, dims));
        Ok(Self {
            dims,
            heads: config.heads,
            positions: weights.read("positions", &[config.max_length, dims])?,
            blocks: blocks.collect::<Result<_, _>>()?,
            output_norm: Norm::new(weights, "output_norm", dims)?,
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
