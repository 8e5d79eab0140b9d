//! The weight of co-occurrence counts beside the small model, fitted on validation targets.

use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_dataset::HeldOutTarget;
use tandem_model::{CountRows, ModelError, Scorer};

use super::text_part::{WEIGHTS, deviation};
use crate::{EvaluationError, History, ndcg, rank_of};

/// Cut-off of the NDCG that is maximised.
const CUTOFF: usize = 10;
/// Users whose standard deviations are measured.
const SAMPLE: usize = 200;

/// Catalogue positions with what counts add to their scores.
type CountScores = Vec<(u32, f32)>;

/// A fitted weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedCountsWeight {
    /// The weight ([`Counts::weight`](tandem_protocol::Counts::weight)).
    pub weight: f32,
    /// NDCG@10 with it.
    pub ndcg: f64,
    /// NDCG@10 of the model alone.
    pub ndcg_without: f64,
}

/// Finds the weight with the best NDCG@10 on `held`, the smallest among equals. `table`
/// `[items, row_dims]` are the model's rows. `progress` is called with the number of users that
/// are done.
///
/// # Errors
/// [`EvaluationError::Scorer`] if a history cannot be encoded or the model has no hidden state
/// (DIN).
pub fn fit_counts_weight(
    scorer: &Scorer,
    table: &[f32],
    rows: &CountRows,
    held: &[HeldOutTarget<'_>],
    history: History,
    progress: impl Fn(usize) + Sync,
) -> Result<FittedCountsWeight, EvaluationError> {
    let scored = |held: &HeldOutTarget<'_>| {
        parts_of_scores(scorer, table, rows, held)
            .map_err(|error| EvaluationError::Scorer(error.into()))
    };
    let deviations: Vec<[f32; 2]> = held
        .par_iter()
        .take(SAMPLE)
        .map(|held| {
            let (own, counts) = scored(held)?;
            let mut all = vec![0.0; own.len()];
            for (at, count) in counts {
                all[at as usize] = count;
            }
            Ok([deviation(&own), deviation(&all)])
        })
        .collect::<Result<_, EvaluationError>>()?;
    let sum = |at: usize| deviations.iter().map(|deviations| deviations[at]).sum::<f32>();
    let step = if sum(1) > 0.0 { sum(0) / sum(1) } else { 0.0 };
    let gains: Vec<[f64; WEIGHTS.len()]> = held
        .par_iter()
        .map(|held| {
            let (mut scores, counts) = scored(held)?;
            let excluded = history.excluded(held);
            let own: Vec<f32> = counts.iter().map(|(at, _)| scores[*at as usize]).collect();
            progress(1);
            Ok(WEIGHTS.map(|weight| {
                for (&(at, count), own) in counts.iter().zip(&own) {
                    scores[at as usize] = own + weight * step * count;
                }
                ndcg(rank_of(held.target, &scores, excluded), CUTOFF)
            }))
        })
        .collect::<Result<_, EvaluationError>>()?;
    let mean =
        |at: usize| gains.iter().map(|gains| gains[at]).sum::<f64>() / gains.len().max(1) as f64;
    let best = (1..WEIGHTS.len()).fold(0, |best, at| if mean(at) > mean(best) { at } else { best });
    Ok(FittedCountsWeight { weight: WEIGHTS[best] * step, ndcg: mean(best), ndcg_without: mean(0) })
}

/// The model's scores of all items `[items]`, and the part of the counts of weight 1 for the
/// items that have one.
fn parts_of_scores(
    scorer: &Scorer,
    table: &[f32],
    counts: &CountRows,
    held: &HeldOutTarget<'_>,
) -> Result<(Vec<f32>, CountScores), ModelError> {
    let width = scorer.row_dims();
    let rows: Vec<f32> = held
        .history
        .iter()
        .flat_map(|item| &table[item.position() * width..][..width])
        .copied()
        .collect();
    let encoded = block_on(scorer.encode(&rows))?;
    let user = encoded.user();
    let (Some(embedding), Some(length)) = (user.embedding(), scorer.hidden_length(user)) else {
        return Err(ModelError::Empty("the hidden state of a visitor"));
    };
    let dot = |row: &[f32]| row.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
    let mut direction = counts.direction(held.history.iter().rev().map(|item| item.position()));
    for (_, count) in &mut direction {
        *count *= length;
    }
    Ok((table.chunks_exact(width).map(dot).collect(), direction))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tandem_dataset::ItemIndex;
    use tandem_model::{Body, Device};
    use tandem_protocol::{ModelConfig, ModelKind};

    use super::*;

    #[test]
    fn counts_that_name_the_target_get_weight_and_useless_ones_none() {
        let kind = ModelKind::Gru4rec;
        let config = ModelConfig { kind, dims: 4, blocks: 1, heads: 1, max_length: 5 };
        let device = Device::flex();
        device.seed(4);
        let body = Body::new(&config, 0.0, &device).unwrap().to_bytes(&HashMap::new()).unwrap();
        let scorer = Scorer::new(&config, &body).unwrap();
        let table: Vec<f32> = (0..40 * 4).map(|at| (at as f32 * 2.3).sin()).collect();
        let items: Vec<[ItemIndex; 2]> =
            (0..40_u32).map(|at| [ItemIndex(at), ItemIndex((at + 7) % 40)]).collect();
        let held: Vec<HeldOutTarget<'_>> = items
            .iter()
            .map(|items| HeldOutTarget { history: &items[..1], target: items[1] })
            .collect();
        let fit = |to: fn(u32) -> u32| {
            let rows: Vec<Vec<(u32, f32)>> = (0..40).map(|at| vec![(to(at), 1.0)]).collect();
            let rows = CountRows::new(&rows).unwrap();
            fit_counts_weight(&scorer, &table, &rows, &held, History::Removed, |_| {}).unwrap()
        };
        let helped = fit(|at| (at + 7) % 40);
        assert!(helped.weight > 0.0 && helped.ndcg > helped.ndcg_without + 0.2, "{helped:?}");
        // An item beside itself, which is not ranked.
        let useless = fit(|at| at);
        assert_eq!((useless.weight, useless.ndcg), (0.0, useless.ndcg_without));
    }
}
