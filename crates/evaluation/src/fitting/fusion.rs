use rayon::prelude::*;
use tandem_collaboration::{
    Fusion, LanguageModelScore, Normalisation, fusion::DEFAULT_UNLISTED_GAP,
};

use crate::{EvaluationError, ScoredList, ndcg};

/// Steps of the weight α between 0 and 1.
const STEPS: u8 = 20;

/// Standard errors by which a mixture has to beat the better of its two parts.
const STANDARD_ERRORS: f64 = 2.0;

/// Gaps of unlisted items that are tried where the device searches, in nats. The default gap
/// comes first, so that it wins among equals.
const GAPS: [f32; 4] = [DEFAULT_UNLISTED_GAP, 0.0, 1.0, 2.0];

/// How the scores of the language model and of the small model are scaled before they are
/// weighted.
pub type Scales = (LanguageModelScore, Normalisation);

/// All scales that look at the whole list.
pub const SCALES: [Scales; 6] = [
    (LanguageModelScore::LogProb, Normalisation::ZScore),
    (LanguageModelScore::Rank, Normalisation::ZScore),
    (LanguageModelScore::LogProb, Normalisation::MinMax),
    (LanguageModelScore::Rank, Normalisation::MinMax),
    (LanguageModelScore::LogProb, Normalisation::Rank),
    (LanguageModelScore::Rank, Normalisation::Rank),
];

/// NDCG@10 of every weighted fusion on every list.
#[derive(Clone, Debug, PartialEq)]
pub struct FusionFit {
    trials: Vec<FusionTrial>,
}

#[derive(Clone, Debug, PartialEq)]
struct FusionTrial {
    fusion: Fusion,
    alpha: f32,
    /// NDCG@10 of each list.
    ndcg10: Vec<f64>,
}

/// What [`FusionFit::highest`] chose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedFusion {
    /// The fusion.
    pub fusion: Fusion,
    /// Its weight of the language model.
    pub alpha: f32,
    /// Its NDCG@10, mean over the lists.
    pub ndcg10: f64,
    /// NDCG@10 of the small model alone, α = 0.
    pub small_model_ndcg10: f64,
    /// NDCG@10 of the language model alone, α = 1.
    pub language_model_ndcg10: f64,
}

impl FusionFit {
    /// Tries [`Fusion::Weighted`] with α = 0, 0.05, …, 1 under each of the `scales`, in
    /// parallel; if a list has unlisted items, α is fitted together with their gap. A list
    /// without its target counts as 0 for every fusion.
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] if the models' scores of a list differ in number.
    pub fn over(lists: &[&ScoredList], scales: &[Scales]) -> Result<Self, EvaluationError> {
        let gaps =
            if lists.iter().any(|list| list.has_unlisted()) { &GAPS[..] } else { &GAPS[..1] };
        let trials = candidates(scales, gaps)
            .into_par_iter()
            .map(|(alpha, fusion)| {
                // Single precision makes sums of equal values equal in any order, so that
                // rounding never decides between two fusions.
                let gain = |list: &&ScoredList| -> Result<f64, EvaluationError> {
                    Ok(f64::from(ndcg(list.rank(&fusion)?, 10) as f32))
                };
                let ndcg10 = lists.iter().map(gain).collect::<Result<_, _>>()?;
                Ok(FusionTrial { fusion, alpha, ndcg10 })
            })
            .collect::<Result<_, EvaluationError>>()?;
        Ok(Self { trials })
    }

    /// The expected NDCG@10 of users who have a list of `fresh` with probability `share` and
    /// one of these lists otherwise. Both are fits of the same users and scales.
    #[must_use]
    pub fn mixed_with(&self, fresh: &Self, share: f64) -> Self {
        let mix = |(stale, fresh): (&f64, &f64)| (1.0 - share) * stale + share * fresh;
        let pairs = self.trials.iter().zip(&fresh.trials);
        let trials = pairs.map(|(stale, fresh)| FusionTrial {
            ndcg10: stale.ndcg10.iter().zip(&fresh.ndcg10).map(mix).collect(),
            ..stale.clone()
        });
        Self { trials: trials.collect() }
    }

    /// The fusion with the highest mean NDCG@10; of equals the first, which has the lowest α:
    /// the small model has seen the newest clicks. `None` without scales.
    #[must_use]
    pub fn highest(&self) -> Option<FittedFusion> {
        let best = self.best_of(|_| true)?;
        let pure = |alpha: f32| {
            let exact = |trial: &&FusionTrial| trial.alpha.to_bits() == alpha.to_bits();
            self.trials.iter().find(exact).map(FusionTrial::mean)
        };
        Some(FittedFusion {
            fusion: best.fusion,
            alpha: best.alpha,
            ndcg10: best.mean(),
            small_model_ndcg10: pure(0.0)?,
            language_model_ndcg10: pure(1.0)?,
        })
    }

    /// The fusion with the highest mean NDCG@10, or the better of the two models alone unless
    /// the mixture beats it by more than two standard errors of the difference: among many
    /// weights, one is better by chance (after the one-standard-error rule, Breiman et al.
    /// 1984, §3.4.3). The default fusion without scales.
    #[must_use]
    pub fn highest_beyond_error(&self) -> Fusion {
        match (self.best_of(|_| true), self.best_of(FusionTrial::is_pure)) {
            (Some(best), Some(pure)) => {
                let pairs = best.ndcg10.iter().zip(&pure.ndcg10);
                let differences: Vec<f64> = pairs.map(|(best, pure)| best - pure).collect();
                if is_beyond_error(&differences) { best.fusion } else { pure.fusion }
            }
            _ => Fusion::default(),
        }
    }

    fn best_of(&self, is_allowed: impl Fn(&FusionTrial) -> bool) -> Option<&FusionTrial> {
        let mut best: Option<(f64, &FusionTrial)> = None;
        for trial in self.trials.iter().filter(|trial| is_allowed(trial)) {
            let value = trial.ndcg10.iter().sum();
            if best.is_none_or(|(best, _)| value > best) {
                best = Some((value, trial));
            }
        }
        best.map(|(_, trial)| trial)
    }
}

impl FusionTrial {
    /// Whether only one of the two models counts.
    fn is_pure(&self) -> bool {
        self.alpha <= 0.0 || self.alpha >= 1.0
    }

    fn mean(&self) -> f64 {
        self.ndcg10.iter().sum::<f64>() / self.ndcg10.len().max(1) as f64
    }
}

/// Whether the mean of the differences exceeds [`STANDARD_ERRORS`] of its standard errors.
fn is_beyond_error(differences: &[f64]) -> bool {
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    // The factor keeps rounding from deciding between equal numbers.
    mean > STANDARD_ERRORS * error * (1.0 + 1e-9)
}

/// The fusions that are tried, by ascending α. The gap only matters for log-probabilities, and
/// where both models count.
fn candidates(scales: &[Scales], gaps: &[f32]) -> Vec<(f32, Fusion)> {
    let mut fusions = Vec::new();
    for step in 0..=STEPS {
        let alpha = f32::from(step) / f32::from(STEPS);
        for &(language_model, small_model) in scales {
            let has_gap = language_model == LanguageModelScore::LogProb && step > 0 && step < STEPS;
            for &unlisted_gap in if has_gap { gaps } else { &gaps[..1] } {
                let fusion = Fusion::Weighted { alpha, language_model, small_model, unlisted_gap };
                fusions.push((alpha, fusion));
            }
        }
    }
    fusions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIN_MAX: [Scales; 1] = [(LanguageModelScore::Rank, Normalisation::MinMax)];

    fn fit(lists: &[ScoredList]) -> FittedFusion {
        let lists: Vec<&ScoredList> = lists.iter().collect();
        FusionFit::over(&lists, &MIN_MAX).unwrap().highest().unwrap()
    }

    #[test]
    fn a_mixture_that_beats_both_models_is_found() {
        // The target is second for the language model and third for the small one; their
        // first places differ. Ranks on 0 to 1: 1, 2/3, 1/3, 0; small model 0, 0.8, 1, 0.9.
        // Position 1 beats position 2 where 2α/3 + 0.8(1 − α) > α/3 + 1 − α: α > 0.375; and
        // position 0 where 2α/3 + 0.8(1 − α) > α: α < 0.7059. The lowest of 0.4 to 0.7.
        let list = ScoredList {
            target: Some(1),
            logprobs: vec![-1.0, -2.0, -3.0, -4.0],
            small_model: vec![0.0, 0.8, 1.0, 0.9],
            ..ScoredList::default()
        };
        let found = fit(std::slice::from_ref(&list));
        assert!((found.alpha - 0.4).abs() < 1e-6, "{found:?}");
        assert!((found.ndcg10 - 1.0).abs() < 1e-9);
        assert!((found.small_model_ndcg10 - 0.5).abs() < 1e-9); // 1 / log2(2 + 2)
        assert!((found.language_model_ndcg10 - 1.0 / 3_f64.log2()).abs() < 1e-6);
        // A list without the target halves all means and changes nothing else.
        let without = ScoredList { target: None, ..list.clone() };
        let missed = fit(&[list, without]);
        assert!((missed.ndcg10 - 0.5).abs() < 1e-9 && missed.fusion == found.fusion);
    }

    #[test]
    fn without_evidence_the_small_model_ranks() {
        assert!(fit(&[]).alpha.abs() < 1e-9);
        let list = ScoredList {
            target: Some(0),
            logprobs: vec![-1.0],
            small_model: vec![f32::NAN],
            ..ScoredList::default()
        };
        assert!(fit(std::slice::from_ref(&list)).alpha.abs() < 1e-9);
        let uneven = ScoredList { small_model: Vec::new(), ..list };
        assert!(FusionFit::over(&[&uneven], &MIN_MAX).is_err());
        assert_eq!(FusionFit::over(&[], &[]).unwrap().highest(), None);
    }

    #[test]
    fn the_gap_of_unlisted_items_is_fitted_with_the_weight() {
        let scales = [(LanguageModelScore::LogProb, Normalisation::ZScore)];
        // The third item is unlisted, and the small model likes it best.
        let found = ScoredList {
            target: Some(2),
            logprobs: vec![-1.0, -2.0],
            last_logprob: -2.0,
            small_model: vec![0.0, -1.0, 1.0],
        };
        // Here the language model has to decide.
        let listed =
            ScoredList { target: Some(0), small_model: vec![0.9, 0.0, 1.0], ..found.clone() };
        let fit = FusionFit::over(&[&found, &listed], &scales).unwrap();
        let best = fit.highest().unwrap();
        for list in [&found, &listed] {
            assert_eq!(list.rank(&best.fusion).unwrap(), Some(0), "{best:?}");
        }
        let gaps: std::collections::BTreeSet<String> = fit
            .trials
            .iter()
            .map(|trial| match trial.fusion {
                Fusion::Weighted { unlisted_gap, .. } => unlisted_gap.to_string(),
                Fusion::Paper { .. } => String::new(),
            })
            .collect();
        assert_eq!(gaps.len(), GAPS.len());
        // Without unlisted items there is nothing to fit.
        let alone = ScoredList { small_model: vec![0.0, 1.0], ..listed };
        assert_eq!(FusionFit::over(&[&alone], &scales).unwrap().trials.len(), 21);
    }

    /// Rank of the target by sorting `α · (1 − j/(n−1)) + (1 − α) · min-max`; `None` if two
    /// items are too close for single precision.
    fn plain_rank(list: &ScoredList, alpha: f64) -> Option<usize> {
        let last = (list.logprobs.len() - 1) as f64;
        let scores: Vec<f64> = list.small_model.iter().map(|&score| score.into()).collect();
        let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let fused = scores.iter().enumerate().map(|(at, score)| {
            alpha * (1.0 - at as f64 / last) + (1.0 - alpha) * (score - low) / (high - low)
        });
        let mut order: Vec<(f64, usize)> = fused.zip(0..).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let apart = order.windows(2).all(|pair| pair[0].0 - pair[1].0 > 1e-4);
        let target = order.iter().position(|&(_, at)| Some(at) == list.target);
        target.filter(|_| apart)
    }

    proptest! {
        #[test]
        fn the_fit_is_the_best_of_a_plain_calculation(
            lists in prop::collection::vec(
                (prop::collection::vec(-9.0f32..9.0, 3..15), any::<prop::sample::Index>()),
                1..6,
            ),
        ) {
            let lists: Vec<ScoredList> = lists
                .into_iter()
                .map(|(small_model, target)| ScoredList {
                    target: Some(target.index(small_model.len())),
                    logprobs: (0..small_model.len()).map(|at| -(at as f32)).collect(),
                    small_model,
                    ..ScoredList::default()
                })
                .collect();
            let mut best: Option<(f64, f64)> = None;
            for step in 0..=20_u8 {
                let alpha = f64::from(step) / 20.0;
                let mut sum = 0.0;
                for list in &lists {
                    let rank = plain_rank(list, alpha);
                    prop_assume!(rank.is_some());
                    if let Some(rank @ 0..10) = rank {
                        sum += 1.0 / (rank as f64 + 2.0).log2();
                    }
                }
                let mean = sum / lists.len() as f64;
                if best.is_none_or(|(best, _)| mean > best + 1e-6) {
                    best = Some((mean, alpha));
                }
            }
            let (ndcg10, alpha) = best.unwrap();
            let found = fit(&lists);
            prop_assert!((found.ndcg10 - ndcg10).abs() < 1e-6, "{found:?}, not {ndcg10}");
            prop_assert!((f64::from(found.alpha) - alpha).abs() < 1e-6, "{found:?}, not {alpha}");
        }
    }
}
