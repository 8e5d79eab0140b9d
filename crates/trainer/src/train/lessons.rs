//! What a training learns from, epoch by epoch.

use rand::{Rng, seq::SliceRandom};
use tandem_dataset::{Dataset, Sequence};
use tandem_model::{
    ModelError,
    training::{Encoder, ListExample, ListObjective, Rates, Trainer, batches, windows},
};

use super::{options::FitOptions, validation::trained_on};
use crate::failure::BadInput;

/// All that there is to learn from; nothing of what is held out.
pub(crate) enum Lessons {
    /// Users' items, oldest first: each is predicted from those before it.
    Histories {
        items: Vec<Vec<u32>>,
        /// Only so many of a user's newest items are predicted, if not all.
        newest: Option<usize>,
    },
    /// A language model's lists, and the items that came next.
    Lists(Vec<Listed>, ListObjective),
}

/// A list for the beginning of a user's items.
pub(crate) struct Listed {
    history: Vec<u32>,
    list: Vec<u32>,
    target: u32,
}

/// What one step learns from.
pub(super) enum Lesson<'a> {
    Windows { windows: Vec<&'a [u32]>, newest: Option<usize> },
    Lists(Vec<ListExample<'a>>, ListObjective),
}

impl Lessons {
    /// Every item of a user from all before it.
    pub(super) fn histories(dataset: &Dataset, options: &FitOptions) -> Result<Self, BadInput> {
        Self::of_histories(dataset, options, None)
    }

    /// Only the `newest` items of each user, from all before them: adaptive re-training
    /// (`LSC4Rec` §3.1).
    pub(super) fn newest(
        dataset: &Dataset,
        options: &FitOptions,
        newest: usize,
    ) -> Result<Self, BadInput> {
        Self::of_histories(dataset, options, Some(newest))
    }

    fn of_histories(
        dataset: &Dataset,
        options: &FitOptions,
        newest: Option<usize>,
    ) -> Result<Self, BadInput> {
        let items = |sequence: &Sequence| -> Vec<u32> {
            let items = trained_on(sequence, options);
            // One window holds the newest targets and what they are predicted from.
            let window = newest.map_or(items.len(), |_| items.len().min(options.max_length + 1));
            items[items.len() - window..].iter().map(|item| item.0).collect()
        };
        let items: Vec<Vec<u32>> = dataset.sequences.iter().map(items).collect();
        if items.iter().all(|items| items.len() < 2) {
            let name = &dataset.name;
            return Err(BadInput(format!(
                "{name}: no user has two items to train on; import more data"
            )));
        }
        Ok(Self::Histories { items, newest })
    }

    /// The best `listed` of lists by user and length of the history, for targets that are
    /// not held out: cooperative training (`LSC4Rec` §3.1).
    #[cfg(feature = "llama")]
    pub(super) fn lists(
        dataset: &Dataset,
        options: &FitOptions,
        lists: &crate::lists::ListsByPrefix,
        listed: usize,
        objective: ListObjective,
    ) -> Result<Self, BadInput> {
        let mut known: Vec<_> = lists.iter().collect();
        // The order of a hash map is another in every run.
        known.sort_unstable_by_key(|(prefix, _)| **prefix);
        let examples = known.into_iter().filter_map(|(&(user, length), list)| {
            let items = trained_on(dataset.sequences.get(user)?, options);
            let target = items.get(length)?;
            let history: Vec<u32> = items[..length].iter().map(|item| item.0).collect();
            let list = list.iter().take(listed).map(|(item, _)| item.0).collect();
            (!history.is_empty()).then_some(Listed { history, list, target: target.0 })
        });
        let examples: Vec<Listed> = examples.collect();
        if examples.is_empty() {
            return Err(BadInput(format!(
                "none of the {} lists is for the training part of {}; make some with `tandem \
                 lists` for training, or hold out less",
                lists.len(),
                dataset.name
            )));
        }
        Ok(Self::Lists(examples, objective))
    }

    /// An epoch's steps, in random order.
    pub(super) fn epoch(&self, options: &FitOptions, rng: &mut impl Rng) -> Vec<Lesson<'_>> {
        match self {
            Self::Histories { items, newest } => {
                let cut = items
                    .iter()
                    .flat_map(|items| windows(items, options.max_length, rng))
                    .collect();
                batches(cut, options.batch, rng)
                    .into_iter()
                    .map(|windows| Lesson::Windows { windows, newest: *newest })
                    .collect()
            }
            Self::Lists(listed, objective) => {
                let mut examples: Vec<ListExample<'_>> = listed
                    .iter()
                    .map(|Listed { history, list, target }| ListExample {
                        history,
                        list,
                        target: *target,
                    })
                    .collect();
                examples.shuffle(rng);
                examples
                    .chunks((options.batch / options.max_length.max(1)).max(1))
                    .map(|examples| Lesson::Lists(examples.to_vec(), *objective))
                    .collect()
            }
        }
    }
}

impl Lesson<'_> {
    /// Items that are predicted.
    pub(super) fn targets(&self) -> usize {
        match self {
            Self::Windows { windows, newest } => {
                windows.iter().map(|w| (w.len() - 1).min(newest.unwrap_or(usize::MAX))).sum()
            }
            Self::Lists(examples, _) => examples.len(),
        }
    }

    /// One step of the trainer, which must predict the same newest targets; the loss.
    pub(super) fn teach<E: Encoder>(
        &self,
        trainer: &mut Trainer<E>,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        match self {
            Self::Windows { windows, .. } => trainer.step(windows, rates),
            Self::Lists(examples, objective) => trainer.step_lists(examples, *objective, rates),
        }
    }
}
