//! Choosing what the manifest ships: the weight of the language model, and a threshold for
//! a call budget. On validation data, always; what is chosen here is reported on a test.

use crate::{
    CollaborationError, Fusion, LanguageModelScore, Normalisation, error::check_range,
    ranking::positions,
};

/// Steps between `α = 0` and `α = 1`.
const ALPHA_STEPS: u8 = 20;

/// A list whose next choice is known: what a fusion is fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JudgedList<'a> {
    /// The language model's log-probabilities (nats), best first.
    pub logprobs: &'a [f32],
    /// The small model's raw scores of the same items, in the same order.
    pub small_model: &'a [f32],
    /// Position in the list of the item that was chosen next; `None` if it was not in it.
    pub chosen: Option<usize>,
}

/// What [`fit_alpha`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusionFit {
    /// The best rule.
    pub fusion: Fusion,
    /// Its weight of the language model.
    pub alpha: f32,
    /// NDCG@10 of the rule, mean over the lists it was fitted on.
    pub ndcg10: f64,
    /// The same for the small model alone, `α = 0`.
    pub small_model_ndcg10: f64,
    /// The same for the language model alone, `α = 1`.
    pub language_model_ndcg10: f64,
}

/// The weight `α` of [`Fusion::Weighted`] with the highest mean NDCG@10 on `lists`, out of
/// 0, 0.05, …, 1; of equals the lowest, for the small model has seen the newest clicks.
///
/// As 0 and 1 are among them, the fusion is on these lists never worse than the better of
/// its two parts. A list without the chosen item counts 0 whatever the weight, so that the
/// means are those of all clicks.
///
/// # Errors
/// [`CollaborationError::LengthMismatch`] if the slices of a list differ in length.
pub fn fit_alpha(
    lists: &[JudgedList<'_>],
    language_model: LanguageModelScore,
    small_model: Normalisation,
) -> Result<FusionFit, CollaborationError> {
    let rule = |step: u8| {
        let alpha = f32::from(step) / f32::from(ALPHA_STEPS);
        (alpha, Fusion::weighted(alpha, language_model, small_model))
    };
    let judged = (0..=ALPHA_STEPS)
        .map(|step| mean_ndcg10(rule(step).1, lists))
        .collect::<Result<Vec<f64>, _>>()?;
    let (small_model_ndcg10, language_model_ndcg10) = (judged[0], judged[usize::from(ALPHA_STEPS)]);
    let (mut best, mut ndcg10) = (rule(0), small_model_ndcg10);
    for (step, &value) in (0..=ALPHA_STEPS).zip(&judged) {
        if value > ndcg10 {
            (best, ndcg10) = (rule(step), value);
        }
    }
    let (alpha, fusion) = best;
    Ok(FusionFit { fusion, alpha, ndcg10, small_model_ndcg10, language_model_ndcg10 })
}

/// `1 / log2(rank + 2)` of the chosen item within the first ten, from rank 0; mean over
/// `lists`, 0 for none.
fn mean_ndcg10(fusion: Fusion, lists: &[JudgedList<'_>]) -> Result<f64, CollaborationError> {
    let mut sum = 0.0;
    for list in lists {
        let fused = fusion.fuse(list.logprobs, list.small_model)?;
        let ranks = positions(&fused.order)?;
        let rank = list.chosen.and_then(|chosen| ranks.get(chosen));
        sum +=
            rank.filter(|&&rank| rank < 10).map_or(0.0, |&rank| 1.0 / (rank as f64 + 2.0).log2());
    }
    Ok(sum / lists.len().max(1) as f64)
}

/// The lowest threshold in `low..=high` under which no more than `budget` of the
/// interactions call the cloud, within 1/100,000 of the range.
///
/// `share` runs the sessions with a threshold and says what share of their interactions
/// called. It is asked 18 times, for the answer cannot be read off one run: a call
/// changes the list, and with it what later decisions are made on. It should not rise with
/// the threshold; where it does for a moment, the answer still keeps to the budget, unless
/// even `high` does not.
///
/// # Errors
/// What `share` fails with; [`CollaborationError::InvalidParameter`] for a budget outside 0
/// to 1 or an empty range.
pub fn fit_threshold<E: From<CollaborationError>>(
    (low, high): (f32, f32),
    budget: f64,
    mut share: impl FnMut(f32) -> Result<f64, E>,
) -> Result<f32, E> {
    check_range("call budget", budget, 0.0, 1.0, "between 0 and 1")?;
    let most = f64::from(high);
    check_range("threshold", f64::from(low), f64::MIN, most, "below the highest threshold")?;
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
    use proptest::prelude::*;

    use super::*;

    const RANK: LanguageModelScore = LanguageModelScore::Rank;

    fn fit(lists: &[JudgedList<'_>]) -> FusionFit {
        fit_alpha(lists, RANK, Normalisation::MinMax).unwrap()
    }

    #[test]
    fn a_mixture_that_beats_both_is_found() {
        // The chosen item is second for the language model and third for the small one;
        // first places differ. Ranks on 0 to 1: 1, 2/3, 1/3, 0; small model 0, 0.8, 1, 0.9.
        // Position 1 leads from 2α/3 + 0.8(1 − α) > α/3 + 1 − α on: α > 0.375; and ahead of
        // position 0 while 2α/3 + 0.8(1 − α) > α: α < 0.7059. Of 0.4 to 0.7 the lowest.
        let (logprobs, small_model) = ([-1.0, -2.0, -3.0, -4.0], [0.0, 0.8, 1.0, 0.9]);
        let list = JudgedList { logprobs: &logprobs, small_model: &small_model, chosen: Some(1) };
        let found = fit(&[list]);
        assert!((found.alpha - 0.4).abs() < 1e-6, "{found:?}");
        assert!((found.ndcg10 - 1.0).abs() < 1e-9);
        assert!((found.small_model_ndcg10 - 0.5).abs() < 1e-9); // 1 / log2(2 + 2)
        assert!((found.language_model_ndcg10 - 1.0 / 3_f64.log2()).abs() < 1e-9);
        // A list that misses halves all means and moves nothing.
        let missed = fit(&[list, JudgedList { chosen: None, ..list }]);
        assert!((missed.ndcg10 - 0.5).abs() < 1e-9 && missed.fusion == found.fusion);
    }

    #[test]
    fn nothing_to_fit_on_leaves_the_small_model() {
        assert!(fit(&[]).alpha.abs() < 1e-9);
        let list = JudgedList { logprobs: &[-1.0], small_model: &[f32::NAN], chosen: Some(0) };
        assert!(fit(&[list]).alpha.abs() < 1e-9);
        let uneven = JudgedList { logprobs: &[-1.0], small_model: &[], chosen: None };
        assert_eq!(
            fit_alpha(&[uneven], RANK, Normalisation::Rank),
            Err(CollaborationError::LengthMismatch { expected: 1, found: 0 })
        );
    }

    #[test]
    fn a_threshold_keeps_to_its_budget_and_spends_it() {
        // A tenth of the interactions lie above 0.9.
        let spread = |threshold: f32| Ok::<_, CollaborationError>(f64::from(1.0 - threshold));
        let threshold = fit_threshold((0.0, 1.0), 0.1, spread).unwrap();
        assert!((0.9..=0.900_02).contains(&threshold), "{threshold}");
        let threshold = fit_threshold((0.0, 1.0), 1.0, spread).unwrap();
        assert!(threshold.abs() < 1e-9, "the whole budget needs no threshold");
        let always = |_: f32| Ok::<_, CollaborationError>(1.0);
        let threshold = fit_threshold((0.0, 1.0), 0.5, always).unwrap();
        assert!((threshold - 1.0).abs() < 1e-9, "nothing keeps to the budget: the highest");
    }

    #[test]
    fn budgets_that_make_no_sense_are_refused() {
        let run = |range, budget| {
            fit_threshold(range, budget, |_| Ok::<_, CollaborationError>(0.0)).is_err()
        };
        assert!(run((0.0, 1.0), 1.5) && run((0.0, 1.0), f64::NAN) && run((1.0, 0.0), 0.5));
    }

    proptest! {
        #[test]
        fn a_fitted_fusion_is_never_worse_than_the_better_of_its_parts(
            lists in prop::collection::vec(
                (prop::collection::vec((-9.0f32..0.0, -9.0f32..9.0), 1..15), any::<prop::sample::Index>()),
                1..8,
            ),
            log in any::<bool>(),
        ) {
            let lists: Vec<(Vec<f32>, Vec<f32>, usize)> = lists
                .into_iter()
                .map(|(pairs, chosen)| {
                    let chosen = chosen.index(pairs.len());
                    let (mut logprobs, small): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
                    logprobs.sort_by(|a, b| b.total_cmp(a));
                    (logprobs, small, chosen)
                })
                .collect();
            let judged: Vec<JudgedList<'_>> = lists
                .iter()
                .map(|(logprobs, small_model, chosen)| JudgedList {
                    logprobs, small_model, chosen: Some(*chosen),
                })
                .collect();
            let side = if log { LanguageModelScore::LogProb } else { RANK };
            let fit = fit_alpha(&judged, side, Normalisation::ZScore).unwrap();
            prop_assert!(fit.ndcg10 >= fit.small_model_ndcg10);
            prop_assert!(fit.ndcg10 >= fit.language_model_ndcg10);
            let again = mean_ndcg10(fit.fusion, &judged).unwrap();
            prop_assert!((again - fit.ndcg10).abs() < 1e-12);
        }
    }
}
