//! Cooperative training: the small model learns to rank a language model's lists
//! (`LSC4Rec` §3.1).

use std::{collections::HashSet, iter};

use rand::{Rng, RngExt};

use tandem_model::{ModelError, seed_dropout};

use crate::{
    Candidates, Rates, SequenceModel, Trainer,
    batch::padded,
    gradients::PartGradients,
    objective::{binary_cross_entropy, cross_entropy},
    sequence_model::indices,
    trainer::step_rng,
    vocabulary::BatchVocabulary,
};

/// A candidate list to train on, as positions in the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct ListExample<'a> {
    /// The history that the list was generated for, oldest first, not empty; its newest
    /// `max_length` items are read.
    pub history: &'a [u32],
    /// The language model's candidates, best first; the target may be among them.
    pub list: &'a [u32],
    /// The next item.
    pub target: u32,
}

/// The loss over a list, in which the target should rank first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListLoss {
    /// Binary cross-entropy of each item (the paper's choice).
    BinaryCrossEntropy,
    /// Cross-entropy of the target over the ranked items.
    Softmax,
}

/// How the model is trained on lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListObjective {
    /// The loss.
    pub loss: ListLoss,
    /// Number of items ranked, at least 2: the target, the other items of the list, then
    /// random items of the catalogue. The paper ranks 100, of which 20 come from the list.
    pub ranked: usize,
}

impl<M: SequenceModel> Trainer<M> {
    /// One optimiser step on lists; returns the mean loss in nats (per item under binary
    /// cross-entropy, per list under softmax).
    ///
    /// Random items are sampled with replacement from the catalogue without the target.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without examples or with an empty history,
    /// [`ModelError::Config`] if fewer than 2 items are ranked or the catalogue has fewer than 2, [`ModelError::Device`] if the device fails.
    pub fn step_lists(
        &mut self,
        examples: &[ListExample<'_>],
        objective: ListObjective,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        if examples.is_empty() {
            return Err(ModelError::Empty("a batch of lists"));
        }
        if examples.iter().any(|example| example.history.is_empty()) {
            return Err(ModelError::Empty("the history of a list"));
        }
        let (items, ranked) = (self.items.len(), objective.ranked);
        if items < 2 || ranked < 2 {
            return Err(ModelError::Config(format!(
                "ranking {ranked} of {items} items is impossible; both must be at least 2"
            )));
        }
        self.steps += 1;
        let mut rng = step_rng(self.config.seed, self.steps, &self.device);
        let candidates: Vec<u32> =
            examples.iter().flat_map(|example| example.ranked(ranked, items, &mut rng)).collect();
        let histories: Vec<&[u32]> = examples
            .iter()
            .map(|example| {
                &example.history[example.history.len().saturating_sub(self.max_length)..]
            })
            .collect();
        let length = histories.iter().map(|history| history.len()).max().unwrap_or(0);
        let newest: Vec<u32> =
            (0..).zip(&histories).map(|(row, h)| (row * length + h.len() - 1) as u32).collect();

        let mut vocabulary = BatchVocabulary::new(self.output.is_none());
        let inputs = vocabulary.add_read(&padded(&histories, length));
        let candidates = vocabulary.add_scored(&candidates);

        let values = self.row_values(&vocabulary);
        let leaves = self.leaves(&values, &vocabulary, &mut rng);
        seed_dropout(rng.next_u64());
        let count = examples.len();
        let rows = leaves.read().clone().select(0, indices(&inputs, &self.device));
        let rows = rows.reshape([count, length, self.dims]);
        let candidates = leaves.scored().clone().select(0, indices(&candidates, &self.device));
        let candidates = Candidates::Own(candidates.reshape([count, ranked, self.dims]));
        let logits = self.model.score(rows, &newest, candidates); // [lists, ranked]
        let loss = match objective.loss {
            ListLoss::BinaryCrossEntropy => binary_cross_entropy(logits),
            ListLoss::Softmax => cross_entropy(logits),
        };
        let gradients = PartGradients::of(loss, &leaves, &self.model)?;
        self.descend(vec![gradients], &vocabulary, rates)
    }
}

impl ListExample<'_> {
    /// `ranked` items: the target, the list from the top without the target, random items.
    fn ranked(&self, ranked: usize, items: usize, rng: &mut impl Rng) -> Vec<u32> {
        let mut seen = HashSet::from([self.target]);
        let listed = self.list.iter().copied().filter(|item| seen.insert(*item));
        let target = self.target;
        let random = iter::repeat_with(|| {
            let other = rng.random_range(0..items as u32 - 1);
            if other < target { other } else { other + 1 }
        });
        iter::once(target).chain(listed).chain(random).take(ranked).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn the_target_comes_first_then_the_list_then_the_catalogue() {
        let example = ListExample { history: &[0], list: &[4, 2, 4, 7], target: 2 };
        let mut rng = StdRng::seed_from_u64(1);
        let ranked = example.ranked(300, 9, &mut rng);
        assert_eq!((ranked.len(), &ranked[..3]), (300, &[2, 4, 7][..]));
        let random: HashSet<u32> = ranked[3..].iter().copied().collect();
        assert_eq!(random, HashSet::from([0, 1, 3, 4, 5, 6, 7, 8]), "all items but the target");
        assert_eq!(example.ranked(2, 9, &mut rng), [2, 4], "a long list is cut");
    }
}
