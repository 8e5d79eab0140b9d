use std::iter;

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

/// Step size, in units of one over the mean squared length of a query: a gradient of 1 changes
/// the logit of its own query by this much.
const LEARNING_RATE: f32 = 1.8;
/// Maximum number of passes over the queries.
const EPOCHS: usize = 4;
/// One of this many queries is held out to choose the epoch.
const HELD_OUT: usize = 8;

/// A query and the cells of its best items.
pub(super) struct Target<'a> {
    pub(super) query: &'a [f32], // [dims]
    /// Cells and the share of the best items in each.
    pub(super) cells: Vec<(usize, f32)>,
}

/// Trains the cells' vectors `[cells, dims]` as a linear classifier that predicts the cell of a
/// query's best items, by stochastic gradient descent on the cross-entropy (Vecchiato, Lucchese,
/// Nardini & Bruch 2024, "A learning-to-rank formulation of clustering-based approximate nearest
/// neighbor search"). Returns the vectors of the epoch with the best recall at `probes` cells on
/// held-out queries, or those given if no epoch is better.
pub(super) fn train(
    vectors: Vec<f32>,
    dims: usize,
    targets: &[Target<'_>],
    probes: usize,
    seed: u64,
) -> Vec<f32> {
    let (held, used): (Vec<_>, Vec<_>) =
        targets.iter().enumerate().partition(|(at, _)| at % HELD_OUT == 0);
    let held: Vec<&Target<'_>> = held.into_iter().map(|(_, target)| target).collect();
    let mut used: Vec<&Target<'_>> = used.into_iter().map(|(_, target)| target).collect();
    let squares: f32 = used.iter().map(|target| dot(target.query, target.query)).sum();
    if held.is_empty() || used.is_empty() || squares <= 0.0 {
        return vectors;
    }
    let rate = LEARNING_RATE * used.len() as f32 / squares;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut best = (recall(&vectors, dims, &held, probes), vectors.clone());
    let mut vectors = vectors;
    for _ in 0..EPOCHS {
        used.shuffle(&mut rng);
        for target in &used {
            step(&mut vectors, dims, target, rate);
        }
        let recall = recall(&vectors, dims, &held, probes);
        if recall > best.0 {
            best = (recall, vectors.clone());
        }
    }
    best.1
}

/// One step down `−Σ share_c · ln softmax(V·q)_c`: the gradient of cell `c`'s vector is
/// `(probability_c − share_c)·q`.
fn step(vectors: &mut [f32], dims: usize, target: &Target<'_>, rate: f32) {
    let mut gradients = logits(vectors, dims, target.query);
    let largest = gradients.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for logit in &mut gradients {
        *logit = (*logit - largest).exp();
    }
    let sum: f32 = gradients.iter().sum();
    for weight in &mut gradients {
        *weight /= sum;
    }
    for &(cell, share) in &target.cells {
        gradients[cell] -= share;
    }
    for (vector, gradient) in vectors.chunks_exact_mut(dims).zip(gradients) {
        for (value, query) in vector.iter_mut().zip(target.query) {
            *value -= rate * gradient * query;
        }
    }
}

/// Mean share of the best items that are in the `probes` cells with the largest logits.
fn recall(vectors: &[f32], dims: usize, targets: &[&Target<'_>], probes: usize) -> f32 {
    let found = |target: &&Target<'_>| -> f32 {
        let logits = logits(vectors, dims, target.query);
        let mut cells: Vec<usize> = (0..logits.len()).collect();
        cells.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        cells.truncate(probes);
        let shares = target.cells.iter().filter(|(cell, _)| cells.contains(cell));
        shares.map(|(_, share)| share).sum()
    };
    targets.iter().map(found).sum::<f32>() / targets.len() as f32
}

fn logits(vectors: &[f32], dims: usize, query: &[f32]) -> Vec<f32> {
    vectors.chunks_exact(dims).map(|vector| dot(vector, query)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    iter::zip(a, b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_hand() {
        // Equal logits: probabilities ½, so the gradients are (½ − 1)·q and ½·q.
        let mut vectors = vec![0.0; 4];
        let target = Target { query: &[2.0, 0.0], cells: vec![(0, 1.0)] };
        step(&mut vectors, 2, &target, 0.1);
        assert_eq!(vectors, [0.1, 0.0, -0.1, 0.0]);
    }

    #[test]
    fn recall_is_the_share_in_the_probed_cells() {
        let vectors = [1.0, 2.0, 3.0];
        let target = Target { query: &[1.0], cells: vec![(0, 0.3), (2, 0.7)] };
        assert!((recall(&vectors, 1, &[&target], 1) - 0.7).abs() < 1e-6);
        assert!((recall(&vectors, 1, &[&target], 2) - 0.7).abs() < 1e-6);
        assert!((recall(&vectors, 1, &[&target], 3) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn vectors_learn_which_cell_a_query_needs() {
        // Cell 0 for queries along the first axis, cell 1 along the second; both vectors start
        // equal, so that every query probes cell 0.
        let queries: Vec<[f32; 2]> =
            (0..64).map(|at| if at % 3 == 0 { [1.0, 0.1] } else { [0.1, 1.0] }).collect();
        let targets: Vec<Target<'_>> = queries
            .iter()
            .map(|query| Target { query, cells: vec![(usize::from(query[1] > 0.5), 1.0)] })
            .collect();
        let all: Vec<&Target<'_>> = targets.iter().collect();
        let start = vec![1.0; 4];
        assert!(recall(&start, 2, &all, 1) < 0.5);
        let trained = train(start.clone(), 2, &targets, 1, 7);
        assert!((recall(&trained, 2, &all, 1) - 1.0).abs() < 1e-6, "{trained:?}");
        assert_eq!(train(start.clone(), 2, &targets, 1, 7), trained, "the same seed");
        assert_eq!(train(start.clone(), 2, &[], 1, 7), start, "nothing to learn from");
    }
}
