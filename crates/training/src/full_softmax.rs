//! Cross-entropy over a whole catalogue, without ever holding the logits of a batch.
//!
//! A batch of 6,400 positions and 12,000 items has 310 MB of logits, and automatic
//! differentiation keeps several copies. Here the logarithm of the sum over all items and its two
//! gradients are computed for a few positions at a time, while their logits are in the cache.

use burn::{Tensor, tensor::TensorData};

use crate::{device::is_cpu, sequence_model::indices};

/// Logits at a time on a CPU: 2 MB, which its cache holds.
const LOGITS: usize = 1 << 19;
/// Logits at a time on a GPU, for which small products are slow: 64 MB.
const GPU_LOGITS: usize = 1 << 24;

/// Mean cross-entropy of the `targets`, `[1]`, in nats. The logit of an item is the dot product of
/// its row, of `rows` `[items, dims]`, with the hidden state of the position, of `states`
/// `[positions, dims]`. `targets` are indices into `rows`, one for each position.
pub(crate) fn full_softmax(states: Tensor<2>, rows: Tensor<2>, targets: &[u32]) -> Tensor<1> {
    let positions = targets.len() as f64;
    let of_target = rows.clone().select(0, indices(targets, &rows.device()));
    let of_target = (of_target * states.clone()).sum() / positions;
    log_partition(states, rows) - of_target
}

/// As [`full_softmax`], with a distribution over some items as the target of each position: the
/// next `targets.len() / positions` indices, with their `shares`.
pub(crate) fn soft_targets(
    states: Tensor<2>,
    rows: Tensor<2>,
    targets: &[u32],
    shares: Vec<f32>,
) -> Tensor<1> {
    let ([positions, dims], device) = (states.dims(), states.device());
    let each = targets.len() / positions;
    let of_targets = rows.clone().select(0, indices(targets, &device));
    let logits = of_targets.reshape([positions, each, dims]) * states.clone().unsqueeze_dim(1);
    let shares = Tensor::<3>::from_data(TensorData::new(shares, [positions, each, 1]), &device);
    log_partition(states, rows) - (logits.sum_dim(2) * shares).sum() / positions as f64
}

/// Mean over the positions of `ln Σ exp(logit)`, `[1]`.
fn log_partition(states: Tensor<2>, rows: Tensor<2>) -> Tensor<1> {
    let (state_values, row_values) = (states.clone().inner(), rows.clone().inner());
    let ([positions, _], [items, _]) = (state_values.dims(), row_values.dims());
    let columns = row_values.clone().transpose();
    let mut of_rows = row_values.zeros_like();
    let (mut of_states, mut values) = (Vec::new(), Vec::new());
    let together = if is_cpu(&states.device()) { LOGITS } else { GPU_LOGITS };
    for states in state_values.split((together / items).clamp(1, positions), 0) {
        let logits = states.clone().matmul(columns.clone());
        let largest = logits.clone().max_dim(1);
        let exponentials = (logits - largest.clone()).exp();
        let sum = exponentials.clone().sum_dim(1);
        values.push(largest + sum.clone().log());
        let probabilities = exponentials / sum;
        of_states.push(probabilities.clone().matmul(row_values.clone()));
        of_rows = of_rows + probabilities.transpose().matmul(states);
    }
    let value = Tensor::cat(values, 0).mean();
    // Has the gradients, and not the value: that is added, less the value that it has.
    let of_states = Tensor::from_inner(Tensor::cat(of_states, 0) / positions as f64);
    let of_rows = Tensor::from_inner(of_rows / positions as f64);
    let linear = (states * of_states).sum() + (rows * of_rows).sum();
    let own = linear.clone().detach();
    linear - own + Tensor::from_inner(value)
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
    fn soft_targets_weight_the_losses_of_single_ones() {
        let sizes = (3, 5, 4);
        // Two targets for each position; the second has a share of a quarter.
        let (first, second) = ([0, 1, 4], [3, 3, 2]);
        let soft = |states: Tensor<2>, rows: Tensor<2>, _: &[u32]| {
            soft_targets(states, rows, &[0, 3, 1, 3, 4, 2], [0.75, 0.25].repeat(3))
        };
        let found = run(sizes, &[], soft);
        let (first, second) = (run(sizes, &first, full_softmax), run(sizes, &second, full_softmax));
        for ((found, first), second) in found.iter().zip(&first).zip(&second) {
            for ((found, first), second) in found.iter().zip(first).zip(second) {
                let expected = 0.75 * first + 0.25 * second;
                assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
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
