use tandem_collaboration::{UpliftModel, uplift::FEATURES};

use crate::{EvaluationError, uplift_sample::UpliftSample};

/// Ridge regression of the gain on standardised features. The loss is the mean squared error
/// plus `ridge` times the sum of the squared standardised weights (Hoerl & Kennard 1970). A
/// feature that never varies gets no weight.
///
/// # Errors
/// [`EvaluationError::Parameter`] for a ridge that is not above 0 (collinear features then
/// have no unique solution), no sample, or a sample that is not finite.
pub fn fit_uplift(samples: &[UpliftSample], ridge: f64) -> Result<UpliftModel, EvaluationError> {
    if ridge.is_nan() || ridge <= 0.0 {
        return Err(EvaluationError::parameter("the ridge", "above 0", ridge));
    }
    if samples.is_empty() {
        return Err(EvaluationError::parameter("the number of samples", "at least 1", 0.0));
    }
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&UpliftSample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let target = mean(&|sample| sample.gain.into());
    let means: [f64; FEATURES] =
        std::array::from_fn(|i| mean(&|sample| sample.evidence.features()[i]));
    let deviations: [f64; FEATURES] = std::array::from_fn(|i| {
        mean(&|sample| (sample.evidence.features()[i] - means[i]).powi(2)).sqrt()
    });
    let total = means.iter().chain(&deviations).sum::<f64>() + target;
    if !total.is_finite() {
        return Err(EvaluationError::parameter("the samples", "finite numbers", total));
    }
    let divided = |value: f64, i: usize| {
        if deviations[i] > 0.0 { value / deviations[i] } else { 0.0 }
    };

    // Normal equations, with the right-hand side as the last column.
    let mut equations = [[0.0; FEATURES + 1]; FEATURES];
    for sample in samples {
        let features = sample.evidence.features();
        let scaled: [f64; FEATURES] = std::array::from_fn(|i| divided(features[i] - means[i], i));
        let gain = f64::from(sample.gain) - target;
        for (equation, feature) in equations.iter_mut().zip(scaled) {
            for (sum, other) in equation.iter_mut().zip(scaled.into_iter().chain([gain])) {
                *sum += feature * other / count;
            }
        }
    }
    for (i, equation) in equations.iter_mut().enumerate() {
        equation[i] += ridge;
    }
    let scaled = solve(equations);
    let weights: [f64; FEATURES] = std::array::from_fn(|i| divided(scaled[i], i));
    let intercept = target - weights.iter().zip(means).map(|(w, mean)| w * mean).sum::<f64>();
    Ok(UpliftModel::from_weights(intercept as f32, weights.map(|weight| weight as f32)))
}

/// Solves `A x = b` for a symmetric positive definite `A`, given as the rows of `A` with `b`
/// as the last column, by Gaussian elimination. Such a matrix needs no pivoting (Golub & Van
/// Loan, §4.2).
fn solve(mut rows: [[f64; FEATURES + 1]; FEATURES]) -> [f64; FEATURES] {
    for column in 0..FEATURES {
        let (done, left) = rows.split_at_mut(column + 1);
        let pivot = &done[column];
        for row in left {
            let factor = row[column] / pivot[column];
            for (value, pivot) in row.iter_mut().zip(pivot) {
                *value -= factor * pivot;
            }
        }
    }
    let mut x = [0.0; FEATURES];
    for (at, row) in rows.iter().enumerate().rev() {
        let known = row[at + 1..FEATURES].iter().zip(&x[at + 1..]);
        let known: f64 = known.map(|(a, x)| a * x).sum();
        x[at] = (row[FEATURES] - known) / row[at];
    }
    x
}

#[cfg(test)]
mod tests {
    use tandem_collaboration::{ListAdvantage, UpliftEvidence};

    use super::*;

    fn evidence(gain: f32, margin: f32, clicks_since: u64) -> UpliftEvidence {
        UpliftEvidence {
            now: ListAdvantage { expected_gain: gain, margin, log_odds: margin },
            baseline: ListAdvantage { expected_gain: 0.0, margin: 0.0, log_odds: 0.0 },
            disagreement: 0.3,
            clicks_since,
            ..UpliftEvidence::default()
        }
    }

    fn near(found: f32, expected: f32) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }

    #[test]
    fn a_linear_rule_is_recovered_from_its_predictions() {
        let rule = UpliftModel {
            intercept: -0.02,
            expected_gain: 0.8,
            margin: 0.01,
            clicks_since: 0.003,
            ..UpliftModel::default()
        };
        let samples: Vec<UpliftSample> = (0..200_u64)
            .map(|i| {
                let mut evidence = evidence((i * 7 % 13) as f32 / 13.0, (i * 5 % 11) as f32, i % 9);
                evidence.now.log_odds = (i * 3 % 17) as f32;
                UpliftSample { evidence, gain: rule.predict(&evidence) }
            })
            .collect();
        let found = fit_uplift(&samples, 1e-9).unwrap();
        for (found, expected) in found.weights().into_iter().zip(rule.weights()) {
            near(found, expected);
        }
        near(found.intercept, rule.intercept);
        assert!(found.disagreement.abs() < 1e-9, "a feature that never varies gets no weight");
        // A large ridge leaves only the mean.
        let flat = fit_uplift(&samples, 1e6).unwrap();
        let mean = samples.iter().map(|sample| sample.gain).sum::<f32>() / 200.0;
        near(flat.predict(&samples[3].evidence), mean);
    }

    #[test]
    fn samples_without_information_are_refused() {
        let sample = UpliftSample { evidence: evidence(0.1, 1.0, 1), gain: 0.1 };
        assert!(fit_uplift(&[], 1.0).is_err());
        assert!(fit_uplift(&[sample], 0.0).is_err());
        assert!(fit_uplift(&[UpliftSample { gain: f32::NAN, ..sample }], 1.0).is_err());
        assert!(fit_uplift(&[sample], 1.0).is_ok());
    }
}
