use anyhow::{Context, Result};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{Dataset, HeldOutTarget, ItemIndex, Sequence};
use tandem_evaluation::Metrics;
use tandem_model::training::{Encoder, Trainer};

use super::{journal::Validation, options::FitOptions};
use crate::failure::BadInput;

/// Scores that are in memory at once, at most.
const SCORES: usize = 1 << 22;
/// Histories that are scored together, at most.
const TOGETHER: usize = 128;

/// The items that are trained on: none of a user who has too few for what is held out.
pub(super) fn trained_on<'a>(sequence: &'a Sequence, options: &FitOptions) -> &'a [ItemIndex] {
    &sequence.items[..sequence.items.len().saturating_sub(options.held_out())]
}

/// The first item of each user that is not trained on, by the length of the history.
pub(super) fn targets<'a>(
    dataset: &'a Dataset,
    options: &FitOptions,
) -> Result<Vec<HeldOutTarget<'a>>> {
    let held = dataset.sequences.iter().filter_map(|sequence| {
        let history = trained_on(sequence, options);
        let target = *sequence.items.get(history.len())?;
        (!history.is_empty()).then_some(HeldOutTarget { history, target })
    });
    let mut held: Vec<HeldOutTarget<'a>> = held.collect();
    if let Some(users) = options.validation_users {
        held.shuffle(&mut StdRng::seed_from_u64(options.seed));
        held.truncate(users);
    }
    // Histories of one length are scored together without padding.
    held.sort_by_key(|held| held.history.len());
    if held.is_empty() {
        let text = "no user to validate on has more items than are held out; import more data";
        return Err(BadInput(text.to_owned()).into());
    }
    Ok(held)
}

/// HR@10 and NDCG@10 over the whole catalogue, the history removed (protocol `standard`).
pub(super) fn validate<E: Encoder>(
    trainer: &Trainer<E>,
    held: &[HeldOutTarget<'_>],
) -> Result<Validation> {
    let snapshot = trainer.snapshot();
    let together = (SCORES / snapshot.items()).clamp(1, TOGETHER);
    let mut ranks = Vec::with_capacity(held.len());
    for batch in held.chunks(together) {
        let histories: Vec<Vec<u32>> =
            batch.iter().map(|held| held.history.iter().map(|item| item.0).collect()).collect();
        let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        for (held, scores) in batch.iter().zip(snapshot.score(&histories)?) {
            ranks.push(tandem_evaluation::rank_of(held.target, &scores, held.history));
        }
    }
    let metrics = Metrics::of(&ranks);
    let at = metrics.at(10).context("the metrics have no cut-off 10")?;
    Ok(Validation { ndcg10: at.ndcg, hr10: at.hr })
}
