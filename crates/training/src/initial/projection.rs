use burn::{
    Tensor,
    tensor::{Device, TensorData},
};

use super::gram::Gram;

/// The axes `[from, to]` for the best approximation of vectors `[rows, from]` by `to` numbers
/// each: the first right singular vectors. A vector times the axes are its coordinates. Dot products
/// change least, so the vectors are not centred. Coordinates beyond `from` are zero.
#[must_use]
pub fn principal_axes(vectors: &[f32], from: usize, to: usize) -> Vec<f32> {
    let device = Device::flex();
    let vectors = tensor(vectors, from, &device);
    let kept = to.min(from);
    let axes = numbers(Gram::of(&vectors).axes.narrow(1, 0, kept)); // [from, kept]
    let mut out = vec![0.0; from * to];
    for (out, row) in out.chunks_exact_mut(to).zip(axes.chunks_exact(kept)) {
        out[..kept].copy_from_slice(row);
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
    fn dot_products_survive_the_reduction() {
        // Two directions in three dimensions, the first much longer.
        let vectors = [3.0, 3.0, 0.0, -3.0, -3.0, 0.0, 0.1, -0.1, 0.0];
        let dots = |rows: &[f32], width: usize| -> Vec<f32> {
            let row = |at: usize| &rows[at * width..(at + 1) * width];
            let dot = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum();
            vec![dot(0, 0), dot(0, 1), dot(0, 2), dot(2, 2)]
        };
        let expected = dots(&vectors, 3);
        let reduce = |to: usize| -> Vec<f32> {
            let axes = principal_axes(&vectors, 3, to);
            let device = Device::flex();
            numbers(tensor(&vectors, 3, &device).matmul(tensor(&axes, to, &device)))
        };
        let close = |found: &[f32], tolerance: f32| {
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < tolerance)
        };
        assert!(close(&dots(&reduce(2), 2), 1e-4));
        assert!(close(&dots(&reduce(1), 1), 0.03), "the long one is kept");
        assert!(close(&dots(&reduce(5), 5), 1e-4), "padded");
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
