use burn::{Tensor, tensor::TensorData};
use nalgebra::DMatrix;

/// Eigendecomposition of the Gram matrix `XᵀX` of inputs `[rows, from]`.
#[derive(Debug)]
pub(crate) struct Gram {
    /// Eigenvectors in columns by descending eigenvalue, `[from, from]`.
    pub(crate) axes: Tensor<2>,
    /// Eigenvalues, `[from]`.
    pub(crate) values: Tensor<1>,
}

impl Gram {
    pub(crate) fn of(inputs: &Tensor<2>) -> Self {
        let device = inputs.device();
        let gram = inputs.clone().transpose().matmul(inputs.clone()).into_data();
        // In 64 bits, by a method that ends for every symmetric matrix: Burn's singular value
        // decomposition panics on some matrices of small logs, whose rank is low.
        let values: Vec<f64> = gram.iter::<f32>().map(f64::from).collect();
        let from = inputs.dims()[1];
        let eigen = DMatrix::from_vec(from, from, values).symmetric_eigen();
        let mut order: Vec<usize> = (0..from).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        let values: Vec<f32> = order.iter().map(|at| eigen.eigenvalues[*at] as f32).collect();
        let axes: Vec<f32> = (0..from)
            .flat_map(|row| order.iter().map(move |at| (row, *at)))
            .map(|(row, column)| eigen.eigenvectors[(row, column)] as f32)
            .collect();
        Self {
            axes: Tensor::from_data(TensorData::new(axes, [from, from]), &device),
            values: Tensor::from_data(TensorData::new(values, [from]), &device),
        }
    }

    /// `1/√eigenvalue`, `[1, from]`, with a floor for eigenvalues near zero.
    pub(crate) fn whitening(&self) -> Tensor<2> {
        let floor = self.values.clone().max() * 1e-7 + f32::MIN_POSITIVE;
        self.values.clone().max_pair(floor).sqrt().recip().unsqueeze::<2>()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn axes_and_values_make_the_gram_matrix() {
        let data = TensorData::new(vec![1.0_f32, 2.0, 0.5, -1.0, 0.0, 3.0], [2, 3]);
        let inputs = Tensor::<2>::from_data(data, &Device::flex());
        let gram = Gram::of(&inputs);
        let values = numbers(gram.values.clone());
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]), "{values:?}");
        // Two rows: the third eigenvalue is zero.
        assert!(values[2].abs() < 1e-5);
        let made = gram.axes.clone() * gram.values.clone().unsqueeze::<2>();
        let made = numbers(made.matmul(gram.axes.transpose()));
        let expected = numbers(inputs.clone().transpose().matmul(inputs));
        for (a, b) in made.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-4, "{made:?} is not {expected:?}");
        }
    }

    #[test]
    fn every_matrix_has_a_decomposition() {
        for inputs in [
            Tensor::<2>::zeros([5, 4], &Device::flex()),
            // Rank one, and values of very different size.
            Tensor::<2>::ones([166, 74], &Device::flex()) * 1e-12,
            Tensor::<2>::ones([166, 74], &Device::flex()) * 1e12,
        ] {
            let gram = Gram::of(&inputs);
            assert!(numbers(gram.axes.clone()).iter().all(|value| value.is_finite()));
            assert!(numbers(gram.whitening()).iter().all(|value| value.is_finite()));
        }
    }
}
