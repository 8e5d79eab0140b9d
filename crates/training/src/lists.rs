//! Cooperative training: the small model learns from a language model's lists, to rank them
//! (`LSC4Rec` §3.1) or to give their probabilities.

use std::{collections::HashSet, iter};

use rand::{Rng, RngExt};

use tandem_model::ModelError;

use crate::{
    Candidates, Rates, SequenceModel, Trainer,
    batch::padded,
    device::seed_dropout_on,
    full_softmax::soft_targets,
    gradients::PartGradients,
    objective::{binary_cross_entropy, cross_entropy, no_full_softmax},
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
    /// The log-probability of each candidate, in nats.
    pub logprobs: &'a [f32],
    /// The next item.
    pub target: u32,
}

/// The loss over a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ListLoss {
    /// Binary cross-entropy of each ranked item; the target should rank first (the paper's
    /// choice).
    BinaryCrossEntropy {
        /// Number of items ranked, at least 2: the target, the other items of the list, then
        /// random items of the catalogue. The paper ranks 100, of which 20 come from the list.
        ranked: usize,
    },
    /// Cross-entropy of the target over the ranked items.
    Softmax {
        /// As for the binary cross-entropy.
        ranked: usize,
    },
    /// Knowledge distillation (Hinton, Vinyals & Dean 2015): cross-entropy over the whole
    /// catalogue, with the probabilities that the list gives to its items as the target.
    Distillation {
        /// Share of the list in the target distribution, from 0 to 1; the next item has the rest.
        teacher: f32,
    },
}

/// How the model is trained on lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListObjective {
    /// The loss.
    pub loss: ListLoss,
    /// Factor of the loss, which matters beside other examples.
    pub weight: f64,
}

impl<M: SequenceModel> Trainer<M> {
    /// One optimiser step on lists; returns the mean loss in nats (per item under binary
    /// cross-entropy, else per list), without its weight.
    ///
    /// Random items are sampled with replacement from the catalogue without the target.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without examples or with an empty history, [`ModelError::Length`]
    /// for a list without a log-probability for each item, [`ModelError::Config`] if fewer than 2
    /// items are ranked, if the catalogue has fewer than 2, or for distillation into a model whose
    /// scores are no dot products; [`ModelError::Device`] if the device fails.
    pub fn step_lists(
        &mut self,
        examples: &[ListExample<'_>],
        objective: ListObjective,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        check(examples)?;
        self.steps += 1;
        let mut rng = step_rng(self.config.seed, self.steps, &self.device);
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
        let scored = Scored::of(examples, objective.loss, self.items.len(), &mut rng)?;
        let scored_rows = vocabulary.add_scored(&scored.items);
        let inputs = vocabulary.add_read(&padded(&histories, length));

        let values = self.row_values(&vocabulary);
        let leaves = self.leaves(&values, &vocabulary, &mut rng);
        seed_dropout_on(&self.device, rng.next_u64());
        let count = examples.len();
        let inputs = leaves.read().clone().select(0, indices(&inputs, &self.device));
        let inputs = inputs.reshape([count, length, self.dims]);
        let rows = leaves.scored().clone();
        let loss = if let Some(SoftTargets { items, shares }) = scored.soft {
            let states = self.model.states(inputs, &newest).ok_or_else(no_full_softmax)?;
            soft_targets(states, rows, &items, shares)
        } else {
            let own = rows.select(0, indices(&scored_rows, &self.device));
            let own = own.reshape([count, scored_rows.len() / count, self.dims]);
            let logits = self.model.score(inputs, &newest, Candidates::Own(own));
            match objective.loss {
                ListLoss::BinaryCrossEntropy { .. } => binary_cross_entropy(logits),
                _ => cross_entropy(logits),
            }
        };
        let weight = objective.weight;
        let gradients = PartGradients::of(loss * weight, &leaves, &self.model)?;
        let loss = self.descend(vec![gradients], &vocabulary, rates)?;
        Ok(if weight > 0.0 { (f64::from(loss) / weight) as f32 } else { loss })
    }
}

/// # Errors
/// See [`Trainer::step_lists`].
fn check(examples: &[ListExample<'_>]) -> Result<(), ModelError> {
    if examples.is_empty() {
        return Err(ModelError::Empty("a batch of lists"));
    }
    for example in examples {
        if example.history.is_empty() {
            return Err(ModelError::Empty("the history of a list"));
        }
        let (expected, found) = (example.list.len(), example.logprobs.len());
        if found != expected {
            return Err(ModelError::Length {
                what: "log-probabilities of a list",
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// The items that a batch of lists scores.
struct Scored {
    /// The same number for each list; for distillation the catalogue once.
    items: Vec<u32>,
    soft: Option<SoftTargets>,
}

/// The target distributions of distillation, the same number of items for each list.
struct SoftTargets {
    items: Vec<u32>,
    shares: Vec<f32>,
}

impl Scored {
    fn of(
        examples: &[ListExample<'_>],
        loss: ListLoss,
        items: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, ModelError> {
        match loss {
            ListLoss::BinaryCrossEntropy { ranked } | ListLoss::Softmax { ranked } => {
                if items < 2 || ranked < 2 {
                    return Err(ModelError::Config(format!(
                        "ranking {ranked} of {items} items is impossible; both must be at least 2"
                    )));
                }
                let ranked = examples.iter().flat_map(|it| it.ranked(ranked, items, rng));
                Ok(Self { items: ranked.collect(), soft: None })
            }
            ListLoss::Distillation { teacher } => {
                // First in the vocabulary, so that an index is a position in the catalogue.
                let items = (0..items as u32).collect();
                Ok(Self { items, soft: Some(SoftTargets::of(examples, teacher)) })
            }
        }
    }
}

impl SoftTargets {
    fn of(examples: &[ListExample<'_>], teacher: f32) -> Self {
        let each = 1 + examples.iter().map(|example| example.list.len()).max().unwrap_or(0);
        let mut soft = Self { items: Vec::new(), shares: Vec::new() };
        for (at, example) in (1..).zip(examples) {
            let teacher = if example.list.is_empty() { 0.0 } else { teacher };
            soft.items.push(example.target);
            soft.shares.push(1.0 - teacher);
            soft.items.extend(example.list);
            soft.shares.extend(softmax(example.logprobs).map(|share| teacher * share));
            // Padding without weight.
            soft.items.resize(at * each, example.target);
            soft.shares.resize(at * each, 0.0);
        }
        soft
    }
}

/// Probabilities of a list that add up to 1.
fn softmax(logprobs: &[f32]) -> impl Iterator<Item = f32> {
    let largest = logprobs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logprobs.iter().map(|value| (value - largest).exp()).sum();
    logprobs.iter().map(move |value| (value - largest).exp() / sum)
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
        let example = ListExample { history: &[0], list: &[4, 2, 4, 7], logprobs: &[], target: 2 };
        let mut rng = StdRng::seed_from_u64(1);
        let ranked = example.ranked(300, 9, &mut rng);
        assert_eq!((ranked.len(), &ranked[..3]), (300, &[2, 4, 7][..]));
        let random: HashSet<u32> = ranked[3..].iter().copied().collect();
        assert_eq!(random, HashSet::from([0, 1, 3, 4, 5, 6, 7, 8]), "all items but the target");
        assert_eq!(example.ranked(2, 9, &mut rng), [2, 4], "a long list is cut");
    }

    #[test]
    fn the_target_shares_with_the_list() {
        let ln = f32::ln;
        let two =
            ListExample { history: &[0], list: &[4, 2], logprobs: &[ln(0.3), ln(0.1)], target: 2 };
        let none = ListExample { list: &[], logprobs: &[], target: 5, ..two };
        let soft = SoftTargets::of(&[two, none], 0.8);
        assert_eq!(soft.items, [2, 4, 2, 5, 5, 5]);
        // The list has 0.75 and 0.25 of its share; what has no list has the target alone.
        let expected = [0.2, 0.6, 0.2, 1.0, 0.0, 0.0];
        assert!(
            soft.shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{:?}",
            soft.shares
        );
    }
}
