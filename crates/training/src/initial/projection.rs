use burn::{
    Tensor,
    tensor::{Device, TensorData},
};

use super::gram::Gram;

/// Projects vectors `[rows, from]` on their first `to` principal components, `[rows, to]`, and
/// scales the result to a standard deviation of `std`. Components beyond `from` are zero.
#[must_use]
pub fn principal_components(vectors: &[f32], from: usize, to: usize, std: f32) -> Vec<f32> {
    let device = Device::flex();
    let vectors = tensor(vectors, from, &device);
    let rows = vectors.dims()[0];
    let centred = vectors.clone() - vectors.mean_dim(0);
    let kept = to.min(from);
    let axes = Gram::of(&centred).axes.narrow(1, 0, kept); // [from, kept]
    let components = numbers(centred.matmul(axes));
    let squares: f64 = components.iter().map(|value| f64::from(*value).powi(2)).sum();
    let scale = std / ((squares / (rows * to).max(1) as f64).sqrt() as f32).max(f32::MIN_POSITIVE);
    let mut out = vec![0.0; rows * to];
    for (out, row) in out.chunks_exact_mut(to).zip(components.chunks_exact(kept)) {
        out.iter_mut().zip(row).for_each(|(out, value)| *out = value * scale);
    }
    out
}

/// Weighted ridge regression with intercept (Hoerl & Kennard 1970); the penalty is chosen at
/// prediction.
#[derive(Debug)]
pub struct Ridge {
    inputs: Tensor<2>,  // [1, from], mean
    outputs: Tensor<2>, // [1, to], mean
    gram: Gram,
    /// `axesᵀ·XᵀY`, `[from, to]`.
    joint: Tensor<2>,
}

impl Ridge {
    /// Fits `y` `[rows, to]` to `x` `[rows, from]` with one weight per row.
    #[must_use]
    pub fn fit((x, from): (&[f32], usize), (y, to): (&[f32], usize), weights: &[f32]) -> Self {
        let device = Device::flex();
        let (x, y) = (tensor(x, from, &device), tensor(y, to, &device));
        let weights = tensor(weights, 1, &device);
        let total = weights.clone().sum().unsqueeze::<2>();
        let mean = |of: &Tensor<2>| (of.clone() * weights.clone()).sum_dim(0) / total.clone();
        let (inputs, outputs) = (mean(&x), mean(&y));
        let root = weights.clone().sqrt();
        let x = (x - inputs.clone()) * root.clone();
        let y = (y - outputs.clone()) * root;
        let gram = Gram::of(&x);
        let joint = gram.axes.clone().transpose().matmul(x.transpose().matmul(y));
        Self { inputs, outputs, gram, joint }
    }

    /// Predicts `[rows, to]` for `x` `[rows, from]`. `penalty` is the L2 penalty in units of the
    /// mean variance of the inputs.
    #[must_use]
    pub fn predict(&self, x: &[f32], penalty: f32) -> Vec<f32> {
        let from = self.inputs.dims()[1];
        let centred = tensor(x, from, &self.inputs.device()) - self.inputs.clone();
        let ridge = self.gram.values.clone().mean() * penalty + f32::MIN_POSITIVE;
        let shrunk = (self.gram.values.clone() + ridge).recip().reshape([from, 1]);
        let map = self.gram.axes.clone().matmul(self.joint.clone() * shrunk); // [from, to]
        numbers(centred.matmul(map) + self.outputs.clone())
    }

    /// The weighted mean of the outputs, `[to]`.
    #[must_use]
    pub fn mean(&self) -> Vec<f32> {
        numbers(self.outputs.clone())
    }
}

fn tensor(values: &[f32], columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns, columns]), device)
}

/// The values, row by row; reading from the CPU cannot fail.
fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_ordered_by_variance() {
        // Along (1, 1) by ±2, along (1, −1) by ±1, around (5, 5).
        let vectors = [7.0, 7.0, 3.0, 3.0, 6.0, 4.0, 4.0, 6.0];
        let found = principal_components(&vectors, 2, 3, 1.0);
        let column = |c: usize| (0..4).map(|r| found[r * 3 + c].abs()).collect::<Vec<_>>();
        // The mean square over 4 × 3 values is (8 + 8 + 2 + 2) / 12 before scaling to 1.
        let scale = (12.0_f32 / 20.0).sqrt();
        for (values, expected) in [
            (column(0), [8.0_f32.sqrt(), 8.0_f32.sqrt(), 0.0, 0.0]),
            (column(1), [0.0, 0.0, 2.0_f32.sqrt(), 2.0_f32.sqrt()]),
            (column(2), [0.0; 4]),
        ] {
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected * scale).abs() < 1e-5, "{found:?}");
            }
        }
        assert!((found[0] + found[3]).abs() < 1e-5, "opposite ends: {found:?}");
    }

    #[test]
    fn a_linear_map_is_recovered_and_weights_count() {
        let x = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 1.0];
        let line = |x: &[f32]| 3.0 + 2.0 * x[0] - x[1];
        let mut y: Vec<f32> = x.chunks(2).map(line).collect();
        let map = Ridge::fit((&x, 2), (&y, 1), &[1.0; 4]);
        assert!((map.predict(&[4.0, -2.0], 0.0)[0] - 13.0).abs() < 1e-4);
        y[3] = 100.0;
        let map = Ridge::fit((&x, 2), (&y, 1), &[1.0, 1.0, 1.0, 0.0]);
        assert!(
            (map.predict(&[1.0, 1.0], 0.0)[0] - 4.0).abs() < 1e-3,
            "a row of weight 0 does not count"
        );
        let map = Ridge::fit((&x, 2), (&y, 1), &[1.0; 4]);
        let mean = (3.0 + 5.0 + 2.0 + 100.0) / 4.0;
        assert!((map.predict(&[9.0, 9.0], 1e9)[0] - mean).abs() < 1e-3);
        assert!((map.mean()[0] - mean).abs() < 1e-4);
    }
}
