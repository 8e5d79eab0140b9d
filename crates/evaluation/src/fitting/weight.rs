//! The weight of a part that is added to the scores of the small model, fitted on validation
//! targets.

use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_dataset::HeldOutTarget;
use tandem_model::{EncodedHistory, ModelError, Scorer};

use crate::{EvaluationError, History, ndcg, rank_of};

/// Weights that are tried, in standard deviations of the model's scores for one of the part that
/// is added.
const WEIGHTS: [f32; 13] = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0];
/// Cut-off of the NDCG that is maximised.
const CUTOFF: usize = 10;
/// Differences relative to the mean that are rounding.
const ROUNDING: f64 = 1e-5;
/// Users whose standard deviations are measured.
const SAMPLE: usize = 200;

/// A fitted weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedWeight {
    /// The weight.
    pub weight: f32,
    /// NDCG@10 with it.
    pub ndcg: f64,
    /// NDCG@10 of the model alone.
    pub ndcg_without: f64,
}

/// The model's own scores of all items, `[items]`, and what a weight of 1 adds to some of them:
/// catalogue positions and values.
pub(super) type ScoreParts = (Vec<f32>, Vec<(u32, f32)>);

/// Finds the weight with the best NDCG@10 on `held`, the smallest among equals. `parts` scores for
/// a target. `progress` is called with the number of users that are done.
///
/// # Errors
/// [`EvaluationError::Scorer`] if `parts` fails.
pub(super) fn fit_weight(
    held: &[HeldOutTarget<'_>],
    history: History,
    parts: impl Fn(&HeldOutTarget<'_>) -> Result<ScoreParts, ModelError> + Sync,
    progress: impl Fn(usize) + Sync,
) -> Result<FittedWeight, EvaluationError> {
    let parts = |held: &HeldOutTarget<'_>| {
        parts(held).map_err(|error| EvaluationError::Scorer(error.into()))
    };
    let deviations: Vec<[f32; 2]> = held
        .par_iter()
        .take(SAMPLE)
        .map(|held| {
            let (own, added) = parts(held)?;
            let mut all = vec![0.0; own.len()];
            for (at, value) in added {
                all[at as usize] = value;
            }
            Ok([deviation(&own), deviation(&all)])
        })
        .collect::<Result<_, EvaluationError>>()?;
    let sum = |at: usize| deviations.iter().map(|deviations| deviations[at]).sum::<f32>();
    let step = if sum(1) > 0.0 { sum(0) / sum(1) } else { 0.0 };
    let gains: Vec<[f64; WEIGHTS.len()]> = held
        .par_iter()
        .map(|held| {
            let (mut scores, added) = parts(held)?;
            let excluded = history.excluded(held);
            let own: Vec<f32> = added.iter().map(|(at, _)| scores[*at as usize]).collect();
            progress(1);
            Ok(WEIGHTS.map(|weight| {
                for (&(at, value), own) in added.iter().zip(&own) {
                    scores[at as usize] = own + weight * step * value;
                }
                ndcg(rank_of(held.target, &scores, excluded), CUTOFF)
            }))
        })
        .collect::<Result<_, EvaluationError>>()?;
    let mean =
        |at: usize| gains.iter().map(|gains| gains[at]).sum::<f64>() / gains.len().max(1) as f64;
    let best = (1..WEIGHTS.len()).fold(0, |best, at| if mean(at) > mean(best) { at } else { best });
    Ok(FittedWeight { weight: WEIGHTS[best] * step, ndcg: mean(best), ndcg_without: mean(0) })
}

/// The state after the history of a target. `table` `[items, row_dims]` are the model's rows.
pub(super) fn encode(
    scorer: &Scorer,
    table: &[f32],
    held: &HeldOutTarget<'_>,
) -> Result<EncodedHistory, ModelError> {
    let width = scorer.row_dims();
    let rows: Vec<f32> = held
        .history
        .iter()
        .flat_map(|item| &table[item.position() * width..][..width])
        .copied()
        .collect();
    block_on(scorer.encode(&rows))
}

/// The dot product of two vectors of one length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The standard deviation; 0 for values that differ by rounding only.
fn deviation(values: &[f32]) -> f32 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>();
    let deviation = (squares / count).sqrt();
    if deviation > ROUNDING * mean.abs() { deviation as f32 } else { 0.0 }
}
