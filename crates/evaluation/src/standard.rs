use std::error::Error;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tandem_dataset::{Dataset, HeldOutTarget, ItemIndex};

use crate::{EvaluationError, Metrics, rank_of};

/// Number of histories in a batch.
pub const BATCH: usize = 64;

/// Which targets are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The last item but one, for all choices.
    Validation,
    /// The last item, for reported figures only.
    Test,
}

/// Whether the items of the history are ranked. Published figures differ in this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// They are not ranked. A target that repeats an item of the history is a miss.
    Removed,
    /// They are ranked like all others.
    Kept,
}

impl History {
    /// What users of this dataset are shown: the history is ranked where items are repeated.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        if dataset.repeats { Self::Kept } else { Self::Removed }
    }

    /// The items that are not ranked for a target.
    #[must_use]
    pub fn excluded<'a>(self, held: &HeldOutTarget<'a>) -> &'a [ItemIndex] {
        match self {
            Self::Removed => held.history,
            Self::Kept => &[],
        }
    }
}

/// Leave one out over the whole catalogue, with the full history as input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandardProtocol {
    /// Which targets are predicted.
    pub part: Part,
    /// Whether the items of the history are ranked.
    pub history: History,
}

/// Result of [`StandardProtocol::run`].
#[derive(Clone, Debug, PartialEq)]
pub struct StandardReport {
    /// Which targets were predicted.
    pub part: Part,
    /// Whether the items of the history were ranked.
    pub history: History,
    /// Number of scores that were `NaN` or infinite, which rank last.
    pub non_finite: u64,
    /// Means over all targets.
    pub metrics: Metrics,
}

impl StandardProtocol {
    /// Ranks the target of every user with a target.
    ///
    /// `score` is called with at most [`BATCH`] histories, each oldest first and not empty, and
    /// returns `[histories, items]` scores, higher is better. It is called from several threads.
    /// `progress` is called with the number of users of each finished batch. The result does
    /// not depend on the number of threads.
    ///
    /// # Errors
    /// [`EvaluationError::Scorer`] if `score` fails, [`EvaluationError::Shape`] if it returns
    /// another shape.
    pub fn run<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        dataset: &Dataset,
        progress: impl Fn(usize) + Sync,
        score: impl Fn(&[&[ItemIndex]]) -> Result<Vec<Vec<f32>>, E> + Sync,
    ) -> Result<StandardReport, EvaluationError> {
        let Self { part, history } = *self;
        let held = self.targets(dataset);
        let ranked = rank_all(&held, dataset.catalogue.len(), history, progress, score)?;
        let metrics = Metrics::of(&ranked.ranks);
        Ok(StandardReport { part, history, non_finite: ranked.non_finite, metrics })
    }

    /// The held-out targets of all users, in the order of the users.
    #[must_use]
    pub fn targets<'a>(&self, dataset: &'a Dataset) -> Vec<HeldOutTarget<'a>> {
        let target = |split: tandem_dataset::Split<'a>| match self.part {
            Part::Validation => split.validation,
            Part::Test => split.test,
        };
        dataset.sequences.iter().filter_map(|sequence| target(sequence.split())).collect()
    }
}

/// Ranks of held-out targets among a whole catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedTargets {
    /// From 0, in the order of the targets; `None` for an excluded target.
    pub ranks: Vec<Option<usize>>,
    /// Number of scores that were `NaN` or infinite, which rank last.
    pub non_finite: u64,
}

/// Ranks targets among `items` items; see [`StandardProtocol::run`] for the closures.
///
/// # Errors
/// As [`StandardProtocol::run`].
pub fn rank_all<E: Into<Box<dyn Error + Send + Sync>>>(
    held: &[HeldOutTarget<'_>],
    items: usize,
    history: History,
    progress: impl Fn(usize) + Sync,
    score: impl Fn(&[&[ItemIndex]]) -> Result<Vec<Vec<f32>>, E> + Sync,
) -> Result<RankedTargets, EvaluationError> {
    let batches: Vec<(Vec<Option<usize>>, u64)> = held
        .par_chunks(BATCH)
        .map(|batch| {
            let histories: Vec<&[ItemIndex]> = batch.iter().map(|held| held.history).collect();
            let scores =
                score(&histories).map_err(|error| EvaluationError::Scorer(error.into()))?;
            check("lists of scores", batch.len(), scores.len())?;
            let mut ranks = Vec::with_capacity(batch.len());
            let mut non_finite = 0;
            for (held, scores) in batch.iter().zip(&scores) {
                check("scores, one for each item,", items, scores.len())?;
                ranks.push(rank_of(held.target, scores, history.excluded(held)));
                non_finite += scores.iter().filter(|score| !score.is_finite()).count() as u64;
            }
            progress(batch.len());
            Ok((ranks, non_finite))
        })
        .collect::<Result<_, EvaluationError>>()?;
    let non_finite = batches.iter().map(|(_, count)| count).sum();
    let ranks = batches.into_iter().flat_map(|(ranks, _)| ranks).collect();
    Ok(RankedTargets { ranks, non_finite })
}

fn check(what: &'static str, expected: usize, found: usize) -> Result<(), EvaluationError> {
    if expected == found {
        return Ok(());
    }
    Err(EvaluationError::Shape { what, expected, found })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tandem_dataset::{Catalogue, Item, Sequence};

    use super::*;

    /// Five items; user `a` ends in a repeat of item 0, `c` is too short to be tested.
    fn dataset() -> Dataset {
        let items = (0..5).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let sequences = [("a", vec![0, 1, 2, 0]), ("b", vec![4, 3, 1]), ("c", vec![2, 3])].map(
            |(user, items)| Sequence {
                user: user.into(),
                items: items.into_iter().map(ItemIndex).collect(),
                times: None,
            },
        );
        Dataset::new("d", Catalogue::new(items).unwrap(), sequences.into(), None).unwrap()
    }

    /// Scores item `i` with `-i`, whatever the history: the catalogue's own order.
    fn by_index(histories: &[&[ItemIndex]]) -> Vec<Vec<f32>> {
        histories.iter().map(|_| (0..5_i8).map(|item| f32::from(-item)).collect()).collect()
    }

    fn run(part: Part, history: History) -> StandardReport {
        let done = AtomicUsize::new(0);
        let progress = |users| {
            done.fetch_add(users, Ordering::Relaxed);
        };
        let report = StandardProtocol { part, history }
            .run(&dataset(), progress, |it| Ok::<_, Infallible>(by_index(it)))
            .unwrap();
        assert_eq!(done.into_inner(), 2);
        assert_eq!(report.metrics.count, 2);
        report
    }

    #[test]
    fn the_history_is_removed_or_kept() {
        // Targets: a → 0, b → 1. Kept: ranks 0 and 1.
        let kept = run(Part::Test, History::Kept);
        assert_eq!(kept.metrics, Metrics::of(&[Some(0), Some(1)]));
        // Removed: a's target is a repeat, a miss; b's history is 4, 3: rank 1.
        let removed = run(Part::Test, History::Removed);
        assert_eq!(removed.metrics, Metrics::of(&[None, Some(1)]));
    }

    #[test]
    fn a_dataset_with_repeats_ranks_the_history() {
        let mut dataset = dataset();
        assert_eq!(History::of(&dataset), History::Removed);
        dataset.repeats = true;
        assert_eq!(History::of(&dataset), History::Kept);
    }

    #[test]
    fn validation_predicts_the_last_item_but_one() {
        // a: history 0, 1 and target 2, rank 0 without them. b: history 4, target 3, rank 3.
        let report = run(Part::Validation, History::Removed);
        assert_eq!(report.metrics, Metrics::of(&[Some(0), Some(3)]));
    }

    #[test]
    fn the_scorer_sees_the_history_without_the_target() {
        let seen = std::sync::Mutex::new(Vec::new());
        let protocol = StandardProtocol { part: Part::Test, history: History::Kept };
        protocol
            .run(
                &dataset(),
                |_| (),
                |histories| {
                    seen.lock().unwrap().extend(histories.iter().map(|items| items.to_vec()));
                    Ok::<_, Infallible>(by_index(histories))
                },
            )
            .unwrap();
        let expected = [vec![0, 1, 2], vec![4, 3]]
            .map(|items| items.into_iter().map(ItemIndex).collect::<Vec<_>>());
        assert_eq!(seen.into_inner().unwrap(), expected);
    }

    #[test]
    fn another_shape_is_refused_and_failures_are_passed_on() {
        let protocol = StandardProtocol { part: Part::Test, history: History::Kept };
        let run = |answer: fn() -> Result<Vec<Vec<f32>>, &'static str>| {
            protocol.run(&dataset(), |_| (), |_| answer()).unwrap_err()
        };
        let few = run(|| Ok(vec![vec![0.0; 5]]));
        assert!(matches!(few, EvaluationError::Shape { expected: 2, found: 1, .. }));
        let short = run(|| Ok(vec![vec![0.0; 4]; 2]));
        assert!(matches!(short, EvaluationError::Shape { expected: 5, found: 4, .. }));
        assert_eq!(run(|| Err("out of order")).to_string(), "cannot score a history: out of order");
    }

    #[test]
    fn scores_that_are_not_finite_are_counted() {
        let protocol = StandardProtocol { part: Part::Test, history: History::Kept };
        let score = |histories: &[&[ItemIndex]]| {
            Ok::<_, Infallible>(vec![vec![f32::NAN, 1.0, 0.0, 0.0, f32::INFINITY]; histories.len()])
        };
        let report = protocol.run(&dataset(), |_| (), score).unwrap();
        assert_eq!(report.non_finite, 4);
        // a → 0 falls behind the three finite ones, b → 1 is first.
        assert_eq!(report.metrics, Metrics::of(&[Some(3), Some(0)]));
    }
}
