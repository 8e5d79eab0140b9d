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
    total(sums) + rest
}

/// `Σ a_i`.
pub(crate) fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    total(sums) + rest.iter().sum::<f32>()
}

/// The sum by pairs, which takes fewer instructions than one after the other.
fn total(sums: [f32; LANES]) -> f32 {
    let halves: [f32; LANES / 2] = std::array::from_fn(|at| sums[at] + sums[at + LANES / 2]);
    (halves[0] + halves[2]) + (halves[1] + halves[3])
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
    for logit in logits.iter_mut() {
        *logit = exp_of_negative(*logit - largest);
    }
    let factor = 1.0 / sum(logits);
    for logit in logits.iter_mut() {
        *logit *= factor;
    }
}

/// `e^x` for `x ≤ 0`, with a relative error below 2⁻²²; below −87, where the result is no longer a
/// normal number, `e^−87`. The standard library's is a call that the compiler cannot turn into
/// vector instructions.
///
/// `x = n·ln 2 + r` with a whole `n`; the polynomial for `e^r` is that of `expf` in Cephes
/// (Moshier).
#[inline]
#[allow(clippy::unreadable_literal, clippy::excessive_precision, reason = "constants as published")]
fn exp_of_negative(x: f32) -> f32 {
    /// 1.5·2²³: adding it rounds to a whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693359375;
    const LN_2_LOW: f32 = -2.12194440e-4;
    const COEFFICIENTS: [f32; 6] =
        [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5];
    // Not `f32::max`, whose rule for NaN takes more instructions.
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let series = COEFFICIENTS.into_iter().fold(0.0, |sum, coefficient| sum * r + coefficient);
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    (series * r * r + r + 1.0) * power
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
        let mut target = [1.0, 2.0];
        add_scaled(&mut target, 0.5, &[2.0, 4.0]);
        assert_eq!(target.map(f32::to_bits), [2.0_f32, 4.0].map(f32::to_bits));
        let product = outer(&[2.0, -1.0], &[1.0, 3.0]);
        assert_eq!(product, [2.0, 6.0, -1.0, -3.0]);
        assert!((sum(&[1.0; 19]) - 19.0).abs() < f32::EPSILON);
        assert_eq!(row_products(&[1.0, -1.0], &[3.0, 1.0, 0.5, 1.0]), [2.0, -0.5]);
    }

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for step in 0..=87_000 {
            let x = -step as f32 / 1000.0;
            let (found, expected) = (f64::from(exp_of_negative(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 2.0_f64.powi(-22), "{x}: {found} {expected}");
        }
        assert!((exp_of_negative(0.0) - 1.0).abs() < f32::EPSILON);
        assert!(exp_of_negative(f32::NEG_INFINITY) < 1e-37);
        assert!(exp_of_negative(f32::NAN).is_nan());
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
