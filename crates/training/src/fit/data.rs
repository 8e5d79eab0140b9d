//! The training examples and their batches.

use rand::{Rng, seq::SliceRandom};
use tandem_dataset::{Dataset, Sequence};
use tandem_evaluation::CandidateLists;
use tandem_model::ModelError;

use super::{FitConfig, training_part};
use crate::{
    ListExample, ListObjective, Rates, SequenceModel, Trainer, TrainingError, batches, windows,
};

/// All training examples, without the held-out items.
#[derive(Debug)]
pub enum TrainingData {
    /// Users' items, oldest first; each item is predicted from the earlier ones.
    Histories {
        /// Items of each user, as positions in the catalogue.
        items: Vec<Vec<u32>>,
        /// Number of newest items per user that are targets; all if absent.
        newest: Option<usize>,
    },
    /// Candidate lists of a language model with the next item as the target.
    Lists(Vec<TrainingExample>, ListObjective),
}

/// A history, the candidate list generated for it and the next item.
#[derive(Clone, Debug)]
pub struct TrainingExample {
    history: Vec<u32>,
    list: Vec<u32>,
    target: u32,
}

/// The examples of one step.
pub(super) enum TrainingBatch<'a> {
    Windows { windows: Vec<&'a [u32]>, newest: Option<usize> },
    Lists(Vec<ListExample<'a>>, ListObjective),
}

impl TrainingData {
    /// Each item of a user is a target, predicted from the earlier items.
    ///
    /// # Errors
    /// [`TrainingError::Input`] if no user has two items to train on.
    pub fn histories(dataset: &Dataset, config: &FitConfig) -> Result<Self, TrainingError> {
        Self::of_histories(dataset, config, None)
    }

    /// Adaptive re-training (`LSC4Rec` §3.1): only the `newest` items of each user are targets.
    ///
    /// # Errors
    /// As [`histories`](Self::histories).
    pub fn newest(
        dataset: &Dataset,
        config: &FitConfig,
        newest: usize,
    ) -> Result<Self, TrainingError> {
        Self::of_histories(dataset, config, Some(newest))
    }

    fn of_histories(
        dataset: &Dataset,
        config: &FitConfig,
        newest: Option<usize>,
    ) -> Result<Self, TrainingError> {
        let items = |sequence: &Sequence| -> Vec<u32> {
            let items = training_part(sequence, config);
            // One window contains the newest targets and their history.
            let window = newest.map_or(items.len(), |_| items.len().min(config.max_length + 1));
            items[items.len() - window..].iter().map(|item| item.0).collect()
        };
        let items: Vec<Vec<u32>> = dataset.sequences.iter().map(items).collect();
        if items.iter().all(|items| items.len() < 2) {
            let name = &dataset.name;
            return Err(TrainingError::Input(format!(
                "{name}: no user has two items to train on after {} are held out; import more data or \
                 hold out fewer items",
                config.hold_out
            )));
        }
        Ok(Self::Histories { items, newest })
    }

    /// Cooperative training (`LSC4Rec` §3.1): the first `listed` items of lists, which are given
    /// by user (position in the dataset) and history length, for targets that are not held out.
    ///
    /// # Errors
    /// [`TrainingError::Input`] if no list is for a training target.
    pub fn lists(
        dataset: &Dataset,
        config: &FitConfig,
        lists: &CandidateLists,
        listed: usize,
        objective: ListObjective,
    ) -> Result<Self, TrainingError> {
        let mut known: Vec<_> = lists.iter().collect();
        // The iteration order of a hash map varies between runs.
        known.sort_unstable_by_key(|(prefix, _)| **prefix);
        let examples = known.into_iter().filter_map(|(&(user, length), list)| {
            let items = training_part(dataset.sequences.get(user)?, config);
            let target = items.get(length)?;
            let history: Vec<u32> = items[..length].iter().map(|item| item.0).collect();
            let list = list.iter().take(listed).map(|(item, _)| item.0).collect();
            (!history.is_empty()).then_some(TrainingExample { history, list, target: target.0 })
        });
        let examples: Vec<TrainingExample> = examples.collect();
        if examples.is_empty() {
            return Err(TrainingError::Input(format!(
                "none of the {} lists is for a training target of {}; make lists with `tandem \
                 lists --for training`, or hold out fewer items",
                lists.len(),
                dataset.name
            )));
        }
        Ok(Self::Lists(examples, objective))
    }

    /// The batches of an epoch, in random order.
    pub(super) fn epoch(&self, config: &FitConfig, rng: &mut impl Rng) -> Vec<TrainingBatch<'_>> {
        match self {
            Self::Histories { items, newest } => {
                let cut =
                    items.iter().flat_map(|items| windows(items, config.max_length, rng)).collect();
                batches(cut, config.batch, rng)
                    .into_iter()
                    .map(|windows| TrainingBatch::Windows { windows, newest: *newest })
                    .collect()
            }
            Self::Lists(listed, objective) => {
                let mut examples: Vec<ListExample<'_>> = listed
                    .iter()
                    .map(|TrainingExample { history, list, target }| ListExample {
                        history,
                        list,
                        target: *target,
                    })
                    .collect();
                examples.shuffle(rng);
                examples
                    .chunks((config.batch / config.max_length.max(1)).max(1))
                    .map(|examples| TrainingBatch::Lists(examples.to_vec(), *objective))
                    .collect()
            }
        }
    }
}

impl TrainingBatch<'_> {
    /// Number of predictions.
    pub(super) fn targets(&self) -> usize {
        match self {
            Self::Windows { windows, newest } => {
                windows.iter().map(|w| (w.len() - 1).min(newest.unwrap_or(usize::MAX))).sum()
            }
            Self::Lists(examples, _) => examples.len(),
        }
    }

    /// One optimiser step; returns the loss. The trainer must have the same `newest_targets`.
    pub(super) fn step<M: SequenceModel>(
        &self,
        trainer: &mut Trainer<M>,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        match self {
            Self::Windows { windows, .. } => trainer.step(windows, rates),
            Self::Lists(examples, objective) => trainer.step_lists(examples, *objective, rates),
        }
    }
}
