/// Number of partial sums, which lets the compiler use vector instructions.
const LANES: usize = 8;

/// `Σ a_i·b_i` over the length of the shorter slice.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, a_rest) = a[..length].as_chunks::<LANES>();
    let (b, b_rest) = b[..length].as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// `sum ← sum + factor·values`.
pub(crate) fn add_scaled(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// `a ⊗ b`, `[a, b]`.
pub(crate) fn outer(a: &[f32], b: &[f32]) -> Vec<f32> {
    let mut product = Vec::with_capacity(a.len() * b.len());
    for factor in a {
        product.extend(b.iter().map(|value| factor * value));
    }
    product
}

/// The dot products of `vector` `[dims]` with `rows` `[n, dims]`.
pub(crate) fn row_products(vector: &[f32], rows: &[f32]) -> Vec<f32> {
    rows.chunks_exact(vector.len()).map(|row| dot(vector, row)).collect()
}

/// Turns logits into probabilities: `e^x / Σ e^x`, without overflow.
pub(crate) fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    for logit in logits.iter_mut() {
        *logit /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_match_hand_computed_values() {
        for length in [0_usize, 1, 7, 8, 9, 64, 65] {
            let a: Vec<f32> = (0..length).map(|at| at as f32).collect();
            // Σ i·2 = n(n − 1), exact in f32 here.
            let expected = (length * length.saturating_sub(1)) as f32;
            let found = dot(&a, &vec![2.0; length]);
            assert!((found - expected).abs() < f32::EPSILON, "{length}: {found}");
        }
        assert!((dot(&[1.0, 2.0], &[3.0]) - 3.0).abs() < f32::EPSILON);
        let mut sum = [1.0, 2.0];
        add_scaled(&mut sum, 0.5, &[2.0, 4.0]);
        assert_eq!(sum.map(f32::to_bits), [2.0_f32, 4.0].map(f32::to_bits));
        let product = outer(&[2.0, -1.0], &[1.0, 3.0]);
        assert_eq!(product, [2.0, 6.0, -1.0, -3.0]);
        assert_eq!(row_products(&[1.0, -1.0], &[3.0, 1.0, 0.5, 1.0]), [2.0, -0.5]);
    }

    #[test]
    fn a_softmax_matches_hand_computed_values_and_does_not_overflow() {
        // 1 : 3 : 4, whatever is added to all logits.
        for offset in [0.0_f32, 300.0, -300.0] {
            let mut logits = [1.0_f32, 3.0, 4.0].map(|weight| weight.ln() + offset);
            softmax(&mut logits);
            for (found, expected) in logits.iter().zip([0.125, 0.375, 0.5]) {
                assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
            }
        }
    }
}
