//! Reference implementation of a llama decoder in plain loops and double precision. It is
//! written from the papers (Touvron et al. 2023, §2.2; Su et al. 2021, eq. 34; Shazeer 2020),
//! not from another implementation, and verifies the written files.

use tandem_dataset::ItemIndex;
use tandem_generator::item_tokens::{Block, DecoderConfig, ItemTokenModel};

/// Logits of all items after a history, the newest `max_length` of which are read.
pub(crate) fn logits(model: &ItemTokenModel, history: &[ItemIndex]) -> Vec<f64> {
    let shape = &model.shape;
    let newest = &history[history.len().saturating_sub(shape.max_length)..];
    let row = |table: &[f32], at: usize| -> Vec<f64> {
        table[at * shape.dims..(at + 1) * shape.dims].iter().map(|&v| f64::from(v)).collect()
    };
    let mut hidden: Vec<Vec<f64>> =
        newest.iter().map(|item| row(&model.token_embedding, item.position())).collect();
    for block in &model.blocks {
        let attended = attend(shape, block, &hidden);
        for (x, attended) in hidden.iter_mut().zip(attended) {
            add(x, &attended);
            let inner = norm(shape, x, &block.ffn_norm);
            let gate = apply(&block.ffn_gate, &inner);
            let up = apply(&block.ffn_up, &inner);
            let gated: Vec<f64> =
                gate.iter().zip(up).map(|(g, up)| g / (1.0 + (-g).exp()) * up).collect();
            add(x, &apply(&block.ffn_down, &gated));
        }
    }
    let last = norm(shape, &hidden[hidden.len() - 1], &model.output_norm);
    apply(model.output.as_ref().unwrap_or(&model.token_embedding), &last)
}

fn attend(shape: &DecoderConfig, block: &Block, hidden: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let width = shape.head_width();
    let group = shape.heads / shape.kv_heads;
    let normed: Vec<Vec<f64>> = hidden.iter().map(|x| norm(shape, x, &block.attn_norm)).collect();
    let project = |matrix: &[f32]| normed.iter().map(|x| apply(matrix, x)).collect::<Vec<_>>();
    let (mut queries, mut keys) = (project(&block.attn_q), project(&block.attn_k));
    let values = project(&block.attn_v);
    for rows in [&mut queries, &mut keys] {
        for (position, row) in rows.iter_mut().enumerate() {
            row.chunks_exact_mut(width).for_each(|head| rotate(shape, head, position));
        }
    }
    let context =
        |t: usize| -> Vec<f64> {
            let mut joined = Vec::new();
            for head in 0..shape.heads {
                let query = &queries[t][head * width..][..width];
                let shared = (head / group) * width;
                let scores: Vec<f64> = (0..=t)
                    .map(|s| dot(query, &keys[s][shared..][..width]) / (width as f64).sqrt())
                    .collect();
                let weights: Vec<f64> = scores.iter().map(|score| score.exp()).collect();
                let sum: f64 = weights.iter().sum();
                joined.extend((0..width).map(|i| {
                    (0..=t).map(|s| weights[s] / sum * values[s][shared + i]).sum::<f64>()
                }));
            }
            apply(&block.attn_output, &joined)
        };
    (0..hidden.len()).map(context).collect()
}

fn rotate(shape: &DecoderConfig, head: &mut [f64], position: usize) {
    let width = head.len() as f64;
    for (i, pair) in head.chunks_exact_mut(2).enumerate() {
        let angle = position as f64 * shape.rope_base.powf(-2.0 * i as f64 / width);
        let (a, b) = (pair[0], pair[1]);
        pair[0] = a * angle.cos() - b * angle.sin();
        pair[1] = a * angle.sin() + b * angle.cos();
    }
}

fn norm(shape: &DecoderConfig, x: &[f64], weights: &[f32]) -> Vec<f64> {
    let mean = dot(x, x) / x.len() as f64;
    let scale = (mean + shape.norm_epsilon).sqrt().recip();
    x.iter().zip(weights).map(|(value, &weight)| value * scale * f64::from(weight)).collect()
}

/// `W·x`, `W` row-major `[outputs, inputs]`.
fn apply(matrix: &[f32], x: &[f64]) -> Vec<f64> {
    matrix
        .chunks_exact(x.len())
        .map(|row| row.iter().zip(x).map(|(&weight, value)| f64::from(weight) * value).sum())
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], more: &[f64]) {
    for (x, more) in x.iter_mut().zip(more) {
        *x += more;
    }
}
