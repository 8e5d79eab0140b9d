use crate::EvaluationError;

/// The lowest threshold above which at most a share of `budget` of the values lies; minus
/// infinity for a budget of 1. For decisions that do not influence each other.
#[must_use]
pub fn threshold_for(budget: f64, urgency: &[f32]) -> f32 {
    let mut sorted = urgency.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    #[allow(clippy::cast_sign_loss, reason = "a negative budget saturates at none")]
    let allowed = (budget * urgency.len() as f64).round() as usize;
    sorted.get(allowed).copied().unwrap_or(f32::NEG_INFINITY)
}

/// The lowest threshold in `low..=high` with which at most a share of `budget` of the clicks
/// calls the cloud, to within 1/100,000 of the range, by bisection.
///
/// `share` simulates the sessions under a threshold and returns the share of clicks that
/// call. Each threshold needs a simulation, because a call changes the list and with it all
/// later decisions. The share should fall with the threshold; where it rises for a moment,
/// the result still meets the budget. If even `high` does not, the result is `high`.
///
/// # Errors
/// Errors of `share`; [`EvaluationError::Parameter`] for a budget outside 0 to 1 or an empty
/// range.
pub fn fit_threshold(
    (low, high): (f32, f32),
    budget: f64,
    mut share: impl FnMut(f32) -> Result<f64, EvaluationError>,
) -> Result<f32, EvaluationError> {
    if !(0.0..=1.0).contains(&budget) {
        return Err(EvaluationError::parameter("the call budget", "between 0 and 1", budget));
    }
    if low.is_nan() || high.is_nan() || low > high {
        let low = f64::from(low);
        return Err(EvaluationError::parameter("the lowest threshold", "below the highest", low));
    }
    if share(low)? <= budget {
        return Ok(low);
    }
    let (mut above, mut within) = (low, high);
    while within - above > (high - low) / 100_000.0 {
        let middle = above + (within - above) / 2.0;
        if share(middle)? <= budget {
            within = middle;
        } else {
            above = middle;
        }
    }
    Ok(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lets_no_more_call_than_the_budget() {
        let urgency = [0.9, 0.1, 0.5, 0.5, 0.2];
        for (budget, count) in [(0.0, 0), (0.2, 1), (0.4, 1), (0.6, 3), (1.0, 5)] {
            let threshold = threshold_for(budget, &urgency);
            let above = urgency.iter().filter(|&&urgency| urgency > threshold).count();
            assert_eq!(above, count, "{budget}");
        }
    }

    #[test]
    fn a_fitted_threshold_meets_the_budget_and_spends_it() {
        // A tenth of the clicks lie above 0.9.
        let spread = |threshold: f32| Ok(f64::from(1.0 - threshold));
        let threshold = fit_threshold((0.0, 1.0), 0.1, spread).unwrap();
        assert!((0.9..=0.900_02).contains(&threshold), "{threshold}");
        let threshold = fit_threshold((0.0, 1.0), 1.0, spread).unwrap();
        assert!(threshold.abs() < 1e-9, "the whole budget needs no threshold");
        let threshold = fit_threshold((0.0, 1.0), 0.5, |_| Ok(1.0)).unwrap();
        assert!((threshold - 1.0).abs() < 1e-9, "no threshold meets the budget: the highest");
    }

    #[test]
    fn invalid_budgets_and_ranges_are_refused() {
        let fails = |range, budget| fit_threshold(range, budget, |_| Ok(0.0)).is_err();
        assert!(fails((0.0, 1.0), 1.5) && fails((0.0, 1.0), f64::NAN) && fails((1.0, 0.0), 0.5));
    }
}
