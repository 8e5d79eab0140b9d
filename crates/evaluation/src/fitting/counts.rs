//! The weight of co-occurrence counts beside the small model.

use tandem_dataset::HeldOutTarget;
use tandem_model::{CountRows, ModelError, Scorer};

use super::weight::{FittedWeight, ScoreParts, dot, encode, fit_weight};
use crate::{EvaluationError, History};

/// Finds the weight ([`Counts::weight`](tandem_protocol::Counts::weight)) with the best NDCG@10 on
/// `held`, the smallest among equals. `table` `[items, row_dims]` are the model's rows. `progress`
/// is called with the number of users that are done.
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
) -> Result<FittedWeight, EvaluationError> {
    fit_weight(held, history, |held| score_parts(scorer, table, rows, held), progress)
}

fn score_parts(
    scorer: &Scorer,
    table: &[f32],
    counts: &CountRows,
    held: &HeldOutTarget<'_>,
) -> Result<ScoreParts, ModelError> {
    let encoded = encode(scorer, table, held)?;
    let user = encoded.user();
    let (Some(embedding), Some(length)) = (user.embedding(), scorer.hidden_length(user)) else {
        return Err(ModelError::Empty("the hidden state of a visitor"));
    };
    let mut direction = counts.direction(held.history.iter().rev().map(|item| item.position()));
    for (_, count) in &mut direction {
        *count *= length;
    }
    let rows = table.chunks_exact(scorer.row_dims());
    Ok((rows.map(|row| dot(row, embedding)).collect(), direction))
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
