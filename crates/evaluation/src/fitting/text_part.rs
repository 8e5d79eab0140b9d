//! The weight of the text part of item rows, fitted on validation targets.

use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_dataset::HeldOutTarget;
use tandem_model::{ModelError, Scorer};

use crate::{EvaluationError, History, ndcg, rank_of};

/// Weights that are tried, in standard deviations of the model's scores for one of the part that
/// is added.
pub(super) const WEIGHTS: [f32; 13] =
    [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0];
/// Cut-off of the NDCG that is maximised.
const CUTOFF: usize = 10;
/// Differences relative to the mean that are rounding.
const ROUNDING: f64 = 1e-5;
/// Users whose standard deviations are measured.
const SAMPLE: usize = 200;

/// A fitted weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedTextWeight {
    /// The weight ([`TextPart::weight`](tandem_protocol::TextPart::weight)).
    pub weight: f32,
    /// NDCG@10 with it.
    pub ndcg: f64,
    /// NDCG@10 of the model's own part alone.
    pub ndcg_without: f64,
}

/// Finds the weight with the best NDCG@10 on `held`, the smallest among equals, for a `scorer`
/// whose text part has the weight 1. `table` `[items, row_dims]` are the rows. `progress` is
/// called with the number of users that are done.
///
/// # Errors
/// [`EvaluationError::Scorer`] if a history cannot be encoded or the scorer has no text part.
pub fn fit_text_weight(
    scorer: &Scorer,
    table: &[f32],
    held: &[HeldOutTarget<'_>],
    history: History,
    progress: impl Fn(usize) + Sync,
) -> Result<FittedTextWeight, EvaluationError> {
    let scored = |held: &HeldOutTarget<'_>| {
        parts_of_scores(scorer, table, held).map_err(|error| EvaluationError::Scorer(error.into()))
    };
    let deviations: Vec<[f32; 2]> = held
        .par_iter()
        .take(SAMPLE)
        .map(|held| Ok(scored(held)?.map(|part| deviation(&part))))
        .collect::<Result<_, EvaluationError>>()?;
    let sum = |at: usize| deviations.iter().map(|deviations| deviations[at]).sum::<f32>();
    let step = if sum(1) > 0.0 { sum(0) / sum(1) } else { 0.0 };
    let gains: Vec<[f64; WEIGHTS.len()]> = held
        .par_iter()
        .map(|held| {
            let [own, text] = scored(held)?;
            let excluded = history.excluded(held);
            progress(1);
            Ok(WEIGHTS.map(|weight| {
                let scores: Vec<f32> =
                    own.iter().zip(&text).map(|(own, text)| own + weight * step * text).collect();
                ndcg(rank_of(held.target, &scores, excluded), CUTOFF)
            }))
        })
        .collect::<Result<_, EvaluationError>>()?;
    let mean =
        |at: usize| gains.iter().map(|gains| gains[at]).sum::<f64>() / gains.len().max(1) as f64;
    let best = (1..WEIGHTS.len()).fold(0, |best, at| if mean(at) > mean(best) { at } else { best });
    Ok(FittedTextWeight { weight: WEIGHTS[best] * step, ndcg: mean(best), ndcg_without: mean(0) })
}

/// The parts of the scores of all items, `[items]` each: the model's own, and the text's of the
/// scorer's weight.
fn parts_of_scores(
    scorer: &Scorer,
    table: &[f32],
    held: &HeldOutTarget<'_>,
) -> Result<[Vec<f32>; 2], ModelError> {
    let (width, dims) = (scorer.row_dims(), scorer.config().dims);
    let rows: Vec<f32> = held
        .history
        .iter()
        .flat_map(|item| &table[item.position() * width..][..width])
        .copied()
        .collect();
    let encoded = block_on(scorer.encode(&rows))?;
    let Some(embedding) = encoded.user().embedding().filter(|it| it.len() == width) else {
        return Err(ModelError::Empty("the vector of a visitor"));
    };
    let (own, text) = embedding.split_at(dims);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let rows = table.chunks_exact(width);
    Ok([
        rows.clone().map(|row| dot(&row[..dims], own)).collect(),
        rows.map(|row| dot(&row[dims..], text)).collect(),
    ])
}

/// The standard deviation; 0 for values that differ by rounding only.
pub(super) fn deviation(values: &[f32]) -> f32 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>();
    let deviation = (squares / count).sqrt();
    if deviation > ROUNDING * mean.abs() { deviation as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tandem_dataset::ItemIndex;
    use tandem_model::{Body, Device};
    use tandem_protocol::{ModelConfig, ModelKind, TextPart};

    use super::*;

    /// Rows whose text part names the group of four items: users stay in a group.
    #[test]
    fn a_text_part_that_names_the_target_gets_weight_and_a_useless_one_none() {
        let kind = ModelKind::Gru4rec;
        let config = ModelConfig { kind, dims: 4, blocks: 1, heads: 1, max_length: 5 };
        let device = Device::flex();
        device.seed(4);
        let body = Body::new(&config, 0.0, &device).unwrap().to_bytes(&HashMap::new()).unwrap();
        let scorer = Scorer::new(&config, &body).unwrap();
        let scorer = scorer.with_text(TextPart { dims: 10, weight: 1.0 }).unwrap();
        let table = |group: fn(usize) -> usize| -> Vec<f32> {
            let row = |item: usize| {
                let own = (0..4).map(move |at| ((item * 7 + at * 3) as f32).sin());
                own.chain((0..10).map(move |at| if at == group(item) { 1.0 } else { 0.0 }))
            };
            (0..40).flat_map(row).collect()
        };
        let items: Vec<[ItemIndex; 2]> =
            (0..40_u32).map(|at| [ItemIndex(at), ItemIndex(at / 4 * 4 + (at + 1) % 4)]).collect();
        let held: Vec<HeldOutTarget<'_>> = items
            .iter()
            .map(|items| HeldOutTarget { history: &items[..1], target: items[1] })
            .collect();
        let fit = |table: &[f32]| {
            fit_text_weight(&scorer, table, &held, History::Removed, |_| {}).unwrap()
        };
        let helped = fit(&table(|item| item / 4));
        assert!(helped.weight > 0.0 && helped.ndcg > helped.ndcg_without + 0.2, "{helped:?}");
        // The same text for all items.
        let useless = fit(&table(|_| 3));
        assert_eq!((useless.weight, useless.ndcg), (0.0, useless.ndcg_without));
    }
}
