//! The training examples and their batches.

use rand::{Rng, seq::SliceRandom};
use tandem_dataset::{Dataset, Sequence};
use tandem_evaluation::CandidateLists;
use tandem_model::ModelError;

use super::{FitConfig, training_part};
use crate::{
    ListExample, ListObjective, Rates, SequenceModel, Trainer, TrainingError, batches, windows,
};

/// All training examples, without the held-out items: histories, candidate lists or both.
#[derive(Debug)]
pub struct TrainingData {
    histories: Option<Histories>,
    lists: Option<(Vec<TrainingExample>, ListObjective)>,
}

/// Users' items, oldest first; each item is predicted from the earlier ones.
#[derive(Debug)]
struct Histories {
    /// Items of each user, as positions in the catalogue.
    items: Vec<Vec<u32>>,
    /// Number of newest items per user that are targets; all if absent.
    newest: Option<usize>,
}

/// A history, the candidate list generated for it and the next item.
#[derive(Clone, Debug)]
struct TrainingExample {
    history: Vec<u32>,
    list: Vec<u32>,
    logprobs: Vec<f32>,
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
        let histories = Some(Histories::new(dataset, config, None)?);
        Ok(Self { histories, lists: None })
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
        let histories = Some(Histories::new(dataset, config, Some(newest))?);
        Ok(Self { histories, lists: None })
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
            let target = items.get(length)?.0;
            let history: Vec<u32> = items[..length].iter().map(|item| item.0).collect();
            let (list, logprobs) =
                list.iter().take(listed).map(|(item, logprob)| (item.0, *logprob)).unzip();
            let example = TrainingExample { history, list, logprobs, target };
            (length > 0).then_some(example)
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
        Ok(Self { histories: None, lists: Some((examples, objective)) })
    }

    /// Adds the examples of [`histories`](Self::histories).
    ///
    /// # Errors
    /// As [`histories`](Self::histories).
    pub fn with_histories(
        self,
        dataset: &Dataset,
        config: &FitConfig,
    ) -> Result<Self, TrainingError> {
        Ok(Self { histories: Some(Histories::new(dataset, config, None)?), ..self })
    }

    /// The batches of an epoch, in random order.
    pub(super) fn epoch(&self, config: &FitConfig, rng: &mut impl Rng) -> Vec<TrainingBatch<'_>> {
        let mut out = Vec::new();
        if let Some(histories) = &self.histories {
            out.extend(histories.epoch(config, rng));
        }
        if let Some((examples, objective)) = &self.lists {
            let examples = examples.iter().map(TrainingExample::as_list).collect();
            let together = batches(
                examples,
                config.batch,
                |it: &ListExample<'_>| it.history.len().min(config.max_length),
                rng,
            );
            out.extend(together.into_iter().map(|lists| TrainingBatch::Lists(lists, *objective)));
        }
        if self.histories.is_some() && self.lists.is_some() {
            out.shuffle(rng);
        }
        out
    }
}

impl Histories {
    /// # Errors
    /// [`TrainingError::Input`] if no user has two items to train on.
    fn new(
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
        Ok(Self { items, newest })
    }

    fn epoch(&self, config: &FitConfig, rng: &mut impl Rng) -> Vec<TrainingBatch<'_>> {
        let cut =
            self.items.iter().flat_map(|items| windows(items, config.max_length, rng)).collect();
        batches(cut, config.batch, |window: &&[u32]| window.len() - 1, rng)
            .into_iter()
            .map(|windows| TrainingBatch::Windows { windows, newest: self.newest })
            .collect()
    }
}

impl TrainingExample {
    fn as_list(&self) -> ListExample<'_> {
        ListExample {
            history: &self.history,
            list: &self.list,
            logprobs: &self.logprobs,
            target: self.target,
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
