//! The weight of the text part of item rows.

use tandem_dataset::HeldOutTarget;
use tandem_model::{ModelError, Scorer};

use super::weight::{FittedWeight, ScoreParts, dot, encode, fit_weight};
use crate::{EvaluationError, History};

/// Finds the weight ([`TextPart::weight`](tandem_protocol::TextPart::weight)) with the best NDCG@10
/// on `held`, the smallest among equals, for a `scorer` whose text part has the weight 1. `table`
/// `[items, row_dims]` are the rows. `progress` is called with the number of users that are done.
///
/// # Errors
/// [`EvaluationError::Scorer`] if a history cannot be encoded or the scorer has no text part.
pub fn fit_text_weight(
    scorer: &Scorer,
    table: &[f32],
    held: &[HeldOutTarget<'_>],
    history: History,
    progress: impl Fn(usize) + Sync,
) -> Result<FittedWeight, EvaluationError> {
    fit_weight(held, history, |held| score_parts(scorer, table, held), progress)
}

fn score_parts(
    scorer: &Scorer,
    table: &[f32],
    held: &HeldOutTarget<'_>,
) -> Result<ScoreParts, ModelError> {
    let (width, dims) = (scorer.row_dims(), scorer.config().dims);
    let encoded = encode(scorer, table, held)?;
    let Some(embedding) = encoded.user().embedding().filter(|it| it.len() == width) else {
        return Err(ModelError::Empty("the vector of a visitor"));
    };
    let (own, text) = embedding.split_at(dims);
    let rows = table.chunks_exact(width);
    Ok((
        rows.clone().map(|row| dot(&row[..dims], own)).collect(),
        (0..).zip(rows.map(|row| dot(&row[dims..], text))).collect(),
    ))
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
