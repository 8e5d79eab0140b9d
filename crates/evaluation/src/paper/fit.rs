use rayon::prelude::*;
use tandem_collaboration::{Fusion, LanguageModelScore, Normalisation};

use super::PaperUser;
use crate::{EvaluationError, ndcg};

/// Steps of the weight α that are tried, from 0 to 1.
const STEPS: u8 = 20;

/// Standard errors that a mixture has to gain.
const ERRORS: f64 = 2.0;

/// How good every weighted fusion is for each validation user.
#[derive(Clone, Debug, PartialEq)]
pub struct FusionFit {
    tried: Vec<Tried>,
}

#[derive(Clone, Debug, PartialEq)]
struct Tried {
    fusion: Fusion,
    /// Whether it hears one model alone.
    is_pure: bool,
    /// NDCG@10 of each user without a request, and after one.
    stale: Vec<f32>,
    fresh: Vec<f32>,
}

impl FusionFit {
    /// Tries [`Fusion::Weighted`] with α from 0 to 1 in steps of 0.05, both scores of the
    /// language model and every scale of the small model that looks at the whole list.
    ///
    /// # Errors
    /// None for lists that a session scored.
    pub fn over(validation: &[PaperUser]) -> Result<Self, EvaluationError> {
        let gains = |fusion: &Fusion, fresh: bool| -> Result<Vec<f32>, EvaluationError> {
            let gain = |user: &PaperUser| -> Result<f32, EvaluationError> {
                let list = if fresh { &user.fresh } else { &user.stale };
                Ok(ndcg(list.rank(fusion)?, 10) as f32)
            };
            validation.iter().map(gain).collect()
        };
        let tried = candidates()
            .into_par_iter()
            .map(|(fusion, is_pure)| {
                let (stale, fresh) = (gains(&fusion, false)?, gains(&fusion, true)?);
                Ok(Tried { fusion, is_pure, stale, fresh })
            })
            .collect::<Result<_, EvaluationError>>()?;
        Ok(Self { tried })
    }

    /// The fusion with the highest NDCG@10 where this share of users has a fresh list; of
    /// equals the first, which is the one that leans more on the small model.
    ///
    /// Both models are heard only if that gains more over the better of the two than twice
    /// the standard error of the gain: of so many weights, one is better on any users by
    /// luck (after the one-standard-error rule, Breiman et al. 1984, §3.4.3).
    #[must_use]
    pub fn best(&self, budget: f64) -> Fusion {
        let best = self.highest(budget, |_| true);
        let pure = self.highest(budget, |tried| tried.is_pure);
        match (best, pure) {
            (Some(best), Some(pure)) => {
                let differences: Vec<f64> = best
                    .of_users(budget)
                    .zip(pure.of_users(budget))
                    .map(|(best, pure)| best - pure)
                    .collect();
                if is_beyond_error(&differences) { best.fusion } else { pure.fusion }
            }
            _ => Fusion::default(),
        }
    }

    fn highest(&self, budget: f64, may: impl Fn(&Tried) -> bool) -> Option<&Tried> {
        let mut best: Option<(f64, &Tried)> = None;
        for tried in self.tried.iter().filter(|tried| may(tried)) {
            let value = tried.of_users(budget).sum();
            if best.is_none_or(|(best, _)| value > best) {
                best = Some((value, tried));
            }
        }
        best.map(|(_, tried)| tried)
    }
}

impl Tried {
    /// What each user may expect of it under a budget.
    fn of_users(&self, budget: f64) -> impl Iterator<Item = f64> {
        let mix = move |(&stale, &fresh): (&f32, &f32)| {
            (1.0 - budget) * f64::from(stale) + budget * f64::from(fresh)
        };
        self.stale.iter().zip(&self.fresh).map(mix)
    }
}

/// Whether the mean of the differences is larger than [`ERRORS`] of its standard errors.
fn is_beyond_error(differences: &[f64]) -> bool {
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    // Of equal numbers rounding alone would decide.
    mean > ERRORS * error * (1.0 + 1e-9)
}

fn candidates() -> Vec<(Fusion, bool)> {
    let mut fusions = Vec::new();
    for step in 0..=STEPS {
        let alpha = f32::from(step) / f32::from(STEPS);
        for small_model in [Normalisation::ZScore, Normalisation::MinMax, Normalisation::Rank] {
            for language_model in [LanguageModelScore::LogProb, LanguageModelScore::Rank] {
                let fusion = Fusion::weighted(alpha, language_model, small_model);
                fusions.push((fusion, step == 0 || step == STEPS));
            }
        }
    }
    fusions
}
