//! The forward pass of a decoder in plain loops, without logits.
//!
//! llama.cpp always multiplies the last hidden state with the rows of the whole vocabulary. For a
//! catalogue of a million items that is most of the time of a list, and an index needs the hidden
//! state alone.

use super::decoder_config::{Block, DecoderConfig};
use crate::products::dot;

/// A decoder without its item rows.
#[derive(Debug)]
pub(crate) struct Decoder {
    shape: DecoderConfig,
    blocks: Vec<Block>,
    /// Weights of the final norm, `[dims]`.
    output_norm: Vec<f32>,
    /// Angle of each pair of a head at position 1, `[head_width / 2]`.
    frequencies: Vec<f32>,
}

/// Keys and values of the items that were read so far.
#[derive(Clone, Debug)]
pub(crate) struct DecoderState {
    /// For each block, keys after rotation, `[items, kv_width]`.
    keys: Vec<Vec<f32>>,
    /// For each block, `[items, kv_width]`.
    values: Vec<Vec<f32>>,
    kv_width: usize,
}

impl DecoderState {
    /// Forgets all but the oldest `items`.
    pub(crate) fn truncate(&mut self, items: usize) {
        for rows in self.keys.iter_mut().chain(&mut self.values) {
            rows.truncate(items * self.kv_width);
        }
    }

    fn items(&self) -> usize {
        self.keys.first().map_or(0, |keys| keys.len() / self.kv_width)
    }
}

impl Decoder {
    pub(crate) fn new(shape: DecoderConfig, blocks: Vec<Block>, output_norm: Vec<f32>) -> Self {
        let width = shape.head_width();
        let frequency = |pair: usize| shape.rope_base.powf(-2.0 * pair as f64 / width as f64);
        let frequencies = (0..width / 2).map(|pair| frequency(pair) as f32).collect();
        Self { shape, blocks, output_norm, frequencies }
    }

    /// Width of an item row and of the hidden state.
    pub(crate) fn dims(&self) -> usize {
        self.shape.dims
    }

    /// The state before the first item.
    pub(crate) fn start(&self) -> DecoderState {
        let empty = vec![Vec::new(); self.shape.blocks];
        DecoderState { keys: empty.clone(), values: empty, kv_width: self.shape.kv_width() }
    }

    /// Reads the rows `[items, dims]` of at least one further item. Returns the hidden state after
    /// the last one, `[dims]`, whose dot products with the output rows are the logits.
    pub(crate) fn read(&self, state: &mut DecoderState, rows: &[f32]) -> Vec<f32> {
        let dims = self.shape.dims;
        let first = state.items();
        let mut hidden = rows.to_vec();
        for (at, block) in self.blocks.iter().enumerate() {
            let normed = self.norm_rows(&hidden, &block.attn_norm);
            self.remember(state, at, &normed, first);
            // Of the last block, only the result of the last item is used.
            let from = if at + 1 == self.blocks.len() { hidden.len() - dims } else { 0 };
            hidden.drain(..from);
            let attended = self.attend(state, at, &normed[from..], first + from / dims);
            add(&mut hidden, &product(&block.attn_output, &attended, dims));
            let normed = self.norm_rows(&hidden, &block.ffn_norm);
            let mut gated = product(&block.ffn_gate, &normed, dims);
            let up = product(&block.ffn_up, &normed, dims);
            for (gate, up) in gated.iter_mut().zip(up) {
                *gate = *gate / (1.0 + (-*gate).exp()) * up;
            }
            add(&mut hidden, &product(&block.ffn_down, &gated, self.shape.feed_forward));
        }
        self.norm_rows(&hidden[hidden.len() - dims..], &self.output_norm)
    }

    /// Appends keys and values of `normed` `[items, dims]`, of which the first has the position
    /// `first`.
    fn remember(&self, state: &mut DecoderState, at: usize, normed: &[f32], first: usize) {
        let block = &self.blocks[at];
        let mut keys = product(&block.attn_k, normed, self.shape.dims);
        for (position, row) in (first..).zip(keys.chunks_exact_mut(self.shape.kv_width())) {
            self.rotate(row, position);
        }
        state.keys[at].append(&mut keys);
        state.values[at].append(&mut product(&block.attn_v, normed, self.shape.dims));
    }

    /// What the items `normed` `[items, dims]`, of which the first has the position `first`, read
    /// from the items up to themselves, `[items, dims]`.
    fn attend(&self, state: &DecoderState, at: usize, normed: &[f32], first: usize) -> Vec<f32> {
        let shape = &self.shape;
        let (width, kv) = (shape.head_width(), shape.kv_width());
        let group = shape.heads / shape.kv_heads;
        let mut queries = product(&self.blocks[at].attn_q, normed, shape.dims);
        let scale = (width as f32).sqrt().recip();
        let mut attended = vec![0.0; queries.len()];
        let mut weights = Vec::new();
        let rows = queries.chunks_exact_mut(shape.dims).zip(attended.chunks_exact_mut(shape.dims));
        for (position, (query, attended)) in (first..).zip(rows) {
            self.rotate(query, position);
            let heads = query.chunks_exact(width).zip(attended.chunks_exact_mut(width));
            for (head, (query, attended)) in heads.enumerate() {
                let shared = head / group * width;
                let of = |item: usize| item * kv + shared..item * kv + shared + width;
                let keys = (0..=position).map(|item| &state.keys[at][of(item)]);
                weights.clear();
                weights.extend(keys.map(|key| scale * dot(query, key)));
                let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for weight in &mut weights {
                    *weight = (*weight - largest).exp();
                }
                let sum: f32 = weights.iter().sum();
                for (item, weight) in weights.iter().enumerate() {
                    let value = &state.values[at][of(item)];
                    for (sum, value) in attended.iter_mut().zip(value) {
                        *sum += weight * value;
                    }
                }
                for value in attended {
                    *value /= sum;
                }
            }
        }
        attended
    }

    /// Rotates the adjacent pairs of each head (Su et al. 2021, eq. 34).
    fn rotate(&self, row: &mut [f32], position: usize) {
        for head in row.chunks_exact_mut(self.shape.head_width()) {
            for ([a, b], frequency) in head.as_chunks_mut::<2>().0.iter_mut().zip(&self.frequencies)
            {
                let (sin, cos) = (position as f32 * frequency).sin_cos();
                (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
            }
        }
    }

    /// `RMSNorm` of each row `[dims]`.
    fn norm_rows(&self, rows: &[f32], weights: &[f32]) -> Vec<f32> {
        let mut normed = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(self.shape.dims) {
            let mean = dot(row, row) / row.len() as f32;
            let scale = (mean + self.shape.norm_epsilon as f32).sqrt().recip();
            normed.extend(row.iter().zip(weights).map(|(value, weight)| value * scale * weight));
        }
        normed
    }
}

/// `rows · Wᵀ`: `matrix` is `[outputs, inputs]`, `rows` `[n, inputs]`, the result `[n, outputs]`.
fn product(matrix: &[f32], rows: &[f32], inputs: usize) -> Vec<f32> {
    let mut result = Vec::with_capacity(rows.len() / inputs * (matrix.len() / inputs));
    for row in rows.chunks_exact(inputs) {
        result.extend(matrix.chunks_exact(inputs).map(|weights| dot(weights, row)));
    }
    result
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}
