use burn::{Tensor, linalg::svd};

/// Maximum number of sweeps of the singular value decomposition.
const SWEEPS: usize = 60;

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
        // For a positive semi-definite matrix, the singular value decomposition is the
        // eigendecomposition.
        let gram = inputs.clone().transpose().matmul(inputs.clone());
        let (axes, values, _) = svd::<2, 1>(gram, SWEEPS);
        Self { axes, values }
    }

    /// `1/√eigenvalue`, `[1, from]`, with a floor for eigenvalues near zero.
    pub(crate) fn whitening(&self) -> Tensor<2> {
        let floor = self.values.clone().max() * 1e-7 + f32::MIN_POSITIVE;
        self.values.clone().max_pair(floor).sqrt().recip().unsqueeze::<2>()
    }
}
