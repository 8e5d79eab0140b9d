//! Cross-entropy over a whole catalogue, without ever holding the logits of a batch.
//!
//! A batch of 6,400 positions and 12,000 items has 310 MB of logits, and automatic
//! differentiation keeps several copies. Here the logarithm of the sum over all items and its two
//! gradients are computed for a few positions at a time, while their logits are in the cache.

use burn::Tensor;
use rayon::prelude::*;

use crate::sequence_model::indices;

/// Logits that a thread holds at a time: 2 MB.
const LOGITS: usize = 1 << 19;

/// Mean cross-entropy of the `targets`, `[1]`, in nats. The logit of an item is the dot product of
/// its row, of `rows` `[items, dims]`, with the hidden state of the position, of `states`
/// `[positions, dims]`. `targets` are indices into `rows`, one for each position.
pub(crate) fn full_softmax(states: Tensor<2>, rows: Tensor<2>, targets: &[u32]) -> Tensor<1> {
    let positions = targets.len() as f64;
    let of_target = rows.clone().select(0, indices(targets, &rows.device()));
    let of_target = (of_target * states.clone()).sum() / positions;
    log_partition(states, rows) - of_target
}

/// Mean over the positions of `ln Σ exp(logit)`, `[1]`.
fn log_partition(states: Tensor<2>, rows: Tensor<2>) -> Tensor<1> {
    let (state_values, row_values) = (states.clone().inner(), rows.clone().inner());
    let [positions, _] = state_values.dims();
    let share = positions.div_ceil(rayon::current_num_threads());
    let parts: Vec<Part> = state_values
        .split(share, 0)
        .into_par_iter()
        .map(|states| Part::new(states, &row_values))
        .collect();
    let mut of_rows = row_values.zeros_like();
    let (mut of_states, mut values) = (Vec::new(), Vec::new());
    for part in parts {
        of_rows = of_rows + part.of_rows;
        of_states.extend(part.of_states);
        values.extend(part.values);
    }
    let value = Tensor::cat(values, 0).mean();
    // Has the gradients, and not the value: that is added, less the value that it has.
    let of_states = Tensor::from_inner(Tensor::cat(of_states, 0) / positions as f64);
    let of_rows = Tensor::from_inner(of_rows / positions as f64);
    let linear = (states * of_states).sum() + (rows * of_rows).sum();
    let own = linear.clone().detach();
    linear - own + Tensor::from_inner(value)
}

/// `ln Σ exp(logit)` of some positions and the gradients of their sum.
struct Part {
    /// `[positions, 1]` of each block.
    values: Vec<Tensor<2>>,
    /// `[positions, dims]` of each block.
    of_states: Vec<Tensor<2>>,
    /// `[items, dims]`.
    of_rows: Tensor<2>,
}

impl Part {
    fn new(states: Tensor<2>, rows: &Tensor<2>) -> Self {
        let ([positions, _], [items, _]) = (states.dims(), rows.dims());
        let block = (LOGITS / items).clamp(1, positions);
        let columns = rows.clone().transpose();
        let mut part =
            Self { values: Vec::new(), of_states: Vec::new(), of_rows: rows.zeros_like() };
        for states in states.split(block, 0) {
            let logits = states.clone().matmul(columns.clone());
            let largest = logits.clone().max_dim(1);
            let exponentials = (logits - largest.clone()).exp();
            let sum = exponentials.clone().sum_dim(1);
            part.values.push(largest + sum.clone().log());
            let probabilities = exponentials / sum;
            part.of_states.push(probabilities.clone().matmul(rows.clone()));
            part.of_rows = part.of_rows + probabilities.transpose().matmul(states);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, activation};

    use super::*;

    /// Values between -2 and 2 that repeat nowhere.
    fn values(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|at| 2.0 * (at as f32 * 0.7 + seed).sin()).collect()
    }

    /// Loss and gradients of states and rows.
    fn run(
        (positions, items, dims): (usize, usize, usize),
        targets: &[u32],
        loss: impl Fn(Tensor<2>, Tensor<2>, &[u32]) -> Tensor<1>,
    ) -> [Vec<f32>; 3] {
        let device = Device::flex().autodiff();
        let leaf = |count: usize, seed: f32| {
            let data = TensorData::new(values(count * dims, seed), [count, dims]);
            Tensor::<2>::from_data(data, &device).require_grad()
        };
        let (states, rows) = (leaf(positions, 0.1), leaf(items, 5.0));
        let loss = loss(states.clone(), rows.clone(), targets);
        let mut gradients = loss.backward();
        let mut gradient = |leaf: &Tensor<2>| {
            leaf.grad_remove(&mut gradients).unwrap().try_into_vec_as::<f32>().unwrap()
        };
        [vec![loss.into_scalar::<f32>()], gradient(&states), gradient(&rows)]
    }

    #[test]
    fn loss_and_gradients_are_those_of_the_logits_as_a_whole() {
        let whole = |states: Tensor<2>, rows: Tensor<2>, targets: &[u32]| {
            let at = indices(targets, &states.device()).reshape([targets.len(), 1]);
            let logits = states.matmul(rows.transpose());
            activation::log_softmax(logits, 1).gather(1, at).mean().neg()
        };
        // One position; fewer positions than threads have work for; several blocks for a thread.
        for sizes in [(1, 3, 2), (7, 5, 4), (90, 40_000, 3)] {
            let (positions, items, _) = sizes;
            let targets: Vec<u32> =
                (0..positions).map(|at| (at * at * 31 % items) as u32).collect();
            let found = run(sizes, &targets, full_softmax);
            let expected = run(sizes, &targets, whole);
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.len(), expected.len());
                for (a, b) in found.iter().zip(expected) {
                    assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{a} is not {b}");
                }
            }
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let device = Device::flex().autodiff();
        let tensor = |values: Vec<f32>| {
            let count = values.len();
            Tensor::<2>::from_data(TensorData::new(values, [count, 1]), &device).require_grad()
        };
        // Logits 1000 and 0, and 0 and 0; the target is the first item. ln 2 / 2 on average.
        let loss = full_softmax(tensor(vec![1000.0, 0.0]), tensor(vec![1.0, 0.0]), &[0, 0]);
        assert!((loss.into_scalar::<f32>() - 0.5 * std::f32::consts::LN_2).abs() < 1e-4);
    }
}
