use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{Dataset, HeldOutTarget, ItemIndex, Sequence};
use tandem_evaluation::{History, Metrics};

use super::{FitConfig, Validation};
use crate::{SequenceModel, Trainer, TrainingError};

/// Maximum number of scores in memory at once.
const MAX_SCORES: usize = 1 << 22;
/// Maximum number of histories scored together.
const MAX_HISTORIES: usize = 128;

/// The items of a user that are trained on; empty if the user has no more than are held out.
#[must_use]
pub fn training_part<'a>(sequence: &'a Sequence, config: &FitConfig) -> &'a [ItemIndex] {
    &sequence.items[..sequence.items.len().saturating_sub(config.hold_out)]
}

/// The first held-out item of each user, sorted by history length.
pub(super) fn validation_targets<'a>(
    dataset: &'a Dataset,
    config: &FitConfig,
) -> Result<Vec<HeldOutTarget<'a>>, TrainingError> {
    let held = dataset.sequences.iter().filter_map(|sequence| {
        let history = training_part(sequence, config);
        let target = *sequence.items.get(history.len())?;
        (!history.is_empty()).then_some(HeldOutTarget { history, target })
    });
    let mut held: Vec<HeldOutTarget<'a>> = held.collect();
    if let Some(users) = config.validation_users {
        held.shuffle(&mut StdRng::seed_from_u64(config.seed));
        held.truncate(users);
    }
    // Histories of equal length are scored together without padding.
    held.sort_by_key(|held| held.history.len());
    if held.is_empty() {
        let text = format!(
            "{}: no user has more than the {} held-out items, so there is no validation target; \
             import more data or hold out fewer items",
            dataset.name, config.hold_out
        );
        return Err(TrainingError::Input(text));
    }
    Ok(held)
}

/// HR@10 and NDCG@10 over the whole catalogue, with or without the history (protocol `standard`).
pub(super) fn validate<M: SequenceModel>(
    trainer: &Trainer<M>,
    held: &[HeldOutTarget<'_>],
    history: History,
) -> Result<Validation, TrainingError> {
    let snapshot = trainer.snapshot();
    let together = (MAX_SCORES / snapshot.items()).clamp(1, MAX_HISTORIES);
    let mut ranks = Vec::with_capacity(held.len());
    for batch in held.chunks(together) {
        let histories: Vec<Vec<u32>> =
            batch.iter().map(|held| held.history.iter().map(|item| item.0).collect()).collect();
        let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        for (held, scores) in batch.iter().zip(snapshot.score(&histories)?) {
            ranks.push(tandem_evaluation::rank_of(held.target, &scores, history.excluded(held)));
        }
    }
    let metrics = Metrics::of(&ranks);
    let at = metrics
        .at(10)
        .ok_or_else(|| TrainingError::Input("the metrics have no cut-off 10".to_owned()))?;
    Ok(Validation { ndcg10: at.ndcg, hr10: at.hr })
}
