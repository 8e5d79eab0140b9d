use burn::{
    Tensor,
    tensor::{Device, TensorData},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_dataset::{
    ItemIndex,
    counts::{CoOccurrence, Popularity},
};

use super::gram::Gram;

/// Oversampling and power iterations of the randomised decomposition; with these it is close
/// to exact (Halko, Martinsson & Tropp 2011, §4.5).
const OVERSAMPLING: usize = 16;
const POWER_ITERATIONS: usize = 4;

/// Input and output rows, `[items, dims]` each, whose dot products approximate how often one
/// item follows another, normalised by popularity: the truncated singular value decomposition
/// `U·√S`, `V·√S` of the [`CoOccurrence`] weights, each scaled to a standard deviation of `std`
/// (for words: Levy & Goldberg 2014).
#[must_use]
pub fn co_occurrence_rows(
    log: &[&[ItemIndex]],
    items: usize,
    dims: usize,
    std: f32,
) -> (Vec<f32>, Vec<f32>) {
    let popularity = Popularity::fit(items, log.iter().copied());
    let pairs = CoOccurrence::fit(log.iter().copied(), &popularity);
    let rarity = |item: ItemIndex| 1.0 / (popularity.counts()[item.position()] as f32 + 1.0).sqrt();
    let matrix = Sparse {
        items,
        entries: pairs
            .weights()
            .map(|(from, to, weight)| {
                (from.position(), to.position(), weight * rarity(from) * rarity(to))
            })
            .collect(),
    };
    let (left, right) = matrix.halves(dims);
    (scaled(left, std), scaled(right, std))
}

/// Scales the non-zero values to a standard deviation of `std`.
fn scaled(rows: Tensor<2>, std: f32) -> Vec<f32> {
    let mut values: Vec<f32> = rows.into_data().iter::<f32>().collect();
    let (mut squares, mut count) = (0.0_f64, 0_usize);
    for value in values.iter().filter(|value| **value != 0.0) {
        squares += f64::from(*value).powi(2);
        count += 1;
    }
    let scale = std / ((squares / count.max(1) as f64).sqrt() as f32).max(f32::MIN_POSITIVE);
    for value in &mut values {
        *value *= scale;
    }
    values
}

/// A sparse square matrix of (row, column, value) entries.
struct Sparse {
    items: usize,
    entries: Vec<(usize, usize, f32)>,
}

impl Sparse {
    /// `U·√S` and `V·√S` of the best approximation of rank `dims`, `[items, dims]` each;
    /// columns beyond the rank of the matrix are zero.
    fn halves(&self, dims: usize) -> (Tensor<2>, Tensor<2>) {
        let device = Device::flex();
        let width = (dims + OVERSAMPLING).min(self.items);
        let mut rng = StdRng::seed_from_u64(1);
        let draws: Vec<f32> =
            (0..self.items * width).map(|_| rng.random_range(-1.0..1.0_f32)).collect();
        let mut basis = Tensor::from_data(TensorData::new(draws, [self.items, width]), &device);
        for _ in 0..POWER_ITERATIONS {
            basis = orthonormal(self.times(&basis, false));
            basis = orthonormal(self.times(&basis, true));
        }
        let basis = orthonormal(self.times(&basis, false)); // [items, width]
        // The matrix is basis·projectedᵀ, and its decomposition that of `projected`.
        let projected = self.times(&basis, true); // [items, width]
        let gram = Gram::of(&projected);
        let kept = dims.min(width);
        let root = gram.values.clone().max_pair(Tensor::zeros_like(&gram.values)).sqrt().sqrt();
        let root = root.unsqueeze::<2>().narrow(1, 0, kept);
        let left = basis.matmul(gram.axes.clone()).narrow(1, 0, kept) * root.clone();
        let right = projected.matmul(gram.axes.clone()) * gram.whitening();
        let right = right.narrow(1, 0, kept) * root;
        let pad = |half: Tensor<2>| {
            Tensor::cat(vec![half, Tensor::zeros([self.items, dims - kept], &device)], 1)
        };
        (pad(left), pad(right))
    }

    /// The matrix, or its transpose, times `[items, width]`.
    fn times(&self, right: &Tensor<2>, transposed: bool) -> Tensor<2> {
        let [items, width] = right.dims();
        let values: Vec<f32> = right.to_data().iter::<f32>().collect();
        let mut out = vec![0.0; items * width];
        for &(row, column, value) in &self.entries {
            let (row, column) = if transposed { (column, row) } else { (row, column) };
            let from = &values[column * width..(column + 1) * width];
            let into = &mut out[row * width..(row + 1) * width];
            into.iter_mut().zip(from).for_each(|(into, from)| *into += value * from);
        }
        Tensor::from_data(TensorData::new(out, [items, width]), &right.device())
    }
}

/// An orthonormal basis of the column space. Two rounds, because the error of the first grows
/// with the squared condition number.
fn orthonormal(mut columns: Tensor<2>) -> Tensor<2> {
    for _ in 0..2 {
        let gram = Gram::of(&columns);
        columns = columns.matmul(gram.axes.clone()) * gram.whitening();
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn the_halves_multiply_to_the_matrix() {
        // Rank 2: 3·a·bᵀ + 1·c·dᵀ with a = (1, 0, 0), b = (0, 0, 1), c = d = (0, 1, 0).
        let matrix = Sparse { items: 3, entries: vec![(0, 2, 3.0), (1, 1, 1.0)] };
        let product = |dims: usize| {
            let (left, right) = matrix.halves(dims);
            numbers(left.matmul(right.transpose()))
        };
        let close = |found: &[f32], expected: [f32; 9]| {
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-3)
        };
        assert!(close(&product(2), [0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
        assert!(close(&product(1), [0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        assert!(close(&product(5), [0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn following_items_score_highest() {
        // Users walk around a ring of 12 items.
        let rings: Vec<Vec<ItemIndex>> = (0..12_u32)
            .map(|start| (start..start + 6).map(|item| ItemIndex(item % 12)).collect())
            .collect();
        let log: Vec<&[ItemIndex]> = rings.iter().map(Vec::as_slice).collect();
        let (read, scored) = co_occurrence_rows(&log, 12, 8, 0.1);
        let score = |from: usize, to: usize| -> f32 {
            (0..8).map(|at| read[from * 8 + at] * scored[to * 8 + at]).sum()
        };
        for from in 0..12 {
            let best = (0..12).max_by(|a, b| score(from, *a).total_cmp(&score(from, *b))).unwrap();
            assert_eq!(best, (from + 1) % 12, "the next one comes first");
            assert!(score(from, (from + 1) % 12) > score(from, (from + 11) % 12), "in that order");
        }
        let square: f32 = read.iter().map(|value| value * value).sum();
        assert!((square / 96.0 - 0.01).abs() < 1e-4, "{square}");
    }
}
