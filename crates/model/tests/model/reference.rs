//! A reference implementation of the models in loops over `f64`, written from the equations of
//! the papers. It shares only the names in the weight file with the crate.

use safetensors::SafeTensors;
use tandem_protocol::{ModelConfig, ModelKind};

/// The logits of candidates for one history.
pub(crate) fn score(
    bytes: &[u8],
    config: &ModelConfig,
    history: &[f32],
    candidates: &[f32],
) -> Vec<f64> {
    let weights = Weights(SafeTensors::deserialize(bytes).unwrap());
    let rows = |values: &[f32]| -> Vec<Vec<f64>> {
        values.chunks(config.dims).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
    };
    let (history, candidates) = (rows(history), rows(candidates));
    let state = match config.kind {
        ModelKind::Sasrec => sasrec(&weights, config, &history),
        ModelKind::Gru4rec => gru4rec(&weights, config, &history),
        ModelKind::Din => return din(&weights, config, &history, &candidates),
    };
    candidates.iter().map(|row| dot(row, &state)).collect()
}

/// Kang & McAuley 2018: the hidden state after the newest item.
fn sasrec(weights: &Weights<'_>, config: &ModelConfig, history: &[Vec<f64>]) -> Vec<f64> {
    let dims = config.dims;
    let positions = weights.matrix("Sasrec.positions", dims);
    let scale = (dims as f64).sqrt();
    let mut hidden: Vec<Vec<f64>> = (history.iter().zip(positions))
        .map(|(row, position)| row.iter().zip(position).map(|(v, p)| v * scale + p).collect())
        .collect();
    let width = dims / config.heads;
    for block in 0..config.blocks {
        let name = |part: &str| format!("Sasrec.blocks.{block}.{part}");
        let normed: Vec<Vec<f64>> =
            hidden.iter().map(|x| weights.norm(&name("attention_norm"), x)).collect();
        let project = |part: &str| -> Vec<Vec<f64>> {
            let part = name(&format!("attention.{part}"));
            normed.iter().map(|x| weights.linear(&part, x)).collect()
        };
        let (query, key, value) = (project("query"), project("key"), project("value"));
        for t in 0..hidden.len() {
            let mut context = vec![0.0; dims];
            for head in 0..config.heads {
                let range = head * width..(head + 1) * width;
                let scores: Vec<f64> = (0..=t)
                    .map(|s| {
                        let product = dot(&query[t][range.clone()], &key[s][range.clone()]);
                        (product / (width as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                for (s, score) in scores.iter().enumerate() {
                    for i in range.clone() {
                        context[i] += score / sum * value[s][i];
                    }
                }
            }
            let attended = weights.linear(&name("attention.output"), &context);
            hidden[t].iter_mut().zip(attended).for_each(|(x, a)| *x += a);
        }
        for x in &mut hidden {
            let inner = weights.norm(&name("feed_forward_norm"), x);
            let inner: Vec<f64> = weights
                .linear(&name("feed_forward_in"), &inner)
                .into_iter()
                .map(|v| v.max(0.0))
                .collect();
            let out = weights.linear(&name("feed_forward_out"), &inner);
            x.iter_mut().zip(out).for_each(|(x, o)| *x += o);
        }
    }
    weights.norm("Sasrec.output_norm", hidden.last().unwrap())
}

/// Hidasi et al. 2016, eq. 1 to 4, one gate after the other.
fn gru4rec(weights: &Weights<'_>, config: &ModelConfig, history: &[Vec<f64>]) -> Vec<f64> {
    let dims = config.dims;
    let scale = (dims as f64).sqrt();
    let mut inputs: Vec<Vec<f64>> =
        history.iter().map(|row| row.iter().map(|v| v * scale).collect()).collect();
    for layer in 0..config.blocks {
        let mut state = vec![0.0; dims];
        for input in &mut inputs {
            let of_input = weights.linear(&format!("Gru4rec.layers.{layer}.input"), input);
            let of_state = weights.linear(&format!("Gru4rec.layers.{layer}.recurrent"), &state);
            for i in 0..dims {
                let update = sigmoid(of_input[i] + of_state[i]);
                let reset = sigmoid(of_input[dims + i] + of_state[dims + i]);
                let new = (of_input[2 * dims + i] + reset * of_state[2 * dims + i]).tanh();
                state[i] = (1.0 - update) * state[i] + update * new;
            }
            input.clone_from(&state);
        }
    }
    weights.linear("Gru4rec.output", inputs.last().unwrap())
}

/// Zhou et al. 2018, §4.3 and figure 2, one pair after the other.
fn din(
    weights: &Weights<'_>,
    config: &ModelConfig,
    history: &[Vec<f64>],
    candidates: &[Vec<f64>],
) -> Vec<f64> {
    let scale = (config.dims as f64).sqrt();
    let scaled = |row: &Vec<f64>| -> Vec<f64> { row.iter().map(|v| v * scale).collect() };
    let units = config.dims.div_ceil(2);
    let ages = weights.matrix("Din.ages", units);
    let silu = |x: f64| x * sigmoid(x);
    let score = |candidate: &Vec<f64>| {
        let v = scaled(candidate);
        let mut interest = vec![0.0; config.dims];
        for (age, row) in history.iter().rev().enumerate() {
            let h = scaled(row);
            let product: Vec<f64> = h.iter().zip(&v).map(|(h, v)| h * v).collect();
            let of_history = weights.linear("Din.history", &h);
            let of_candidate = weights.linear("Din.candidate", &v);
            let of_product = weights.linear("Din.product", &product);
            let inner: Vec<f64> = (0..units)
                .map(|k| silu(of_history[k] + of_candidate[k] + of_product[k] + ages[age][k]))
                .collect();
            let weight = weights.linear("Din.weight", &inner)[0];
            interest.iter_mut().zip(&h).for_each(|(u, h)| *u += weight * h);
        }
        let both: Vec<f64> = interest.iter().zip(&v).map(|(u, v)| u * v).collect();
        let mut inner = [interest, v, both].concat();
        for layer in 0..config.blocks {
            let name = format!("Din.hidden.{layer}");
            inner = weights.linear(&name, &inner).into_iter().map(silu).collect();
        }
        weights.linear("Din.output", &inner)[0]
    };
    candidates.iter().map(score).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

struct Weights<'a>(SafeTensors<'a>);

impl Weights<'_> {
    fn get(&self, name: &str) -> Option<Vec<f64>> {
        let view = self.0.tensor(name).ok()?;
        let (words, _) = view.data().as_chunks::<4>();
        Some(words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect())
    }

    fn matrix(&self, name: &str, width: usize) -> Vec<Vec<f64>> {
        self.get(name).unwrap().chunks(width).map(<[f64]>::to_vec).collect()
    }

    /// `x·W`, and the bias if there is one.
    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = self.get(&format!("{name}.weight")).unwrap_or_else(|| panic!("no {name}"));
        let width = weight.len() / x.len();
        let bias = self.get(&format!("{name}.bias")).unwrap_or(vec![0.0; width]);
        let column =
            |o: usize| x.iter().enumerate().map(|(i, x)| x * weight[i * width + o]).sum::<f64>();
        (0..width).map(|o| bias[o] + column(o)).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let part = |part: &str| self.get(&format!("{name}.{part}")).unwrap();
        let (gamma, beta) = (part("gamma"), part("beta"));
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        x.iter()
            .enumerate()
            .map(|(i, v)| (v - mean) / (variance + 1e-5).sqrt() * gamma[i] + beta[i])
            .collect()
    }
}
