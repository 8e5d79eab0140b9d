//! Quality on the newest interaction of users, which no model has seen and nothing was chosen
//! on.

use std::{collections::HashMap, convert::Infallible, error::Error};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tandem_dataset::{
    Dataset, HeldOutTarget, ItemIndex,
    counts::{CoOccurrence, MarkovChain, Popularity},
};
use tandem_evaluation::{CandidateLists, History, hit, ndcg, rank_all};

use super::held_out::test_clicks;
use crate::small_model::{SmallModel, bar};

/// The cut-off of all figures.
const TOP: usize = 10;

/// Figures of all rankings for the same targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Number of targets.
    pub(crate) targets: usize,
    pub(crate) popularity: Figures,
    pub(crate) co_occurrence: Figures,
    pub(crate) markov_chain: Figures,
    pub(crate) small_model: Figures,
    pub(crate) language_model: Figures,
    /// Both models on the device, within the call budget.
    pub(crate) together: Figures,
    /// Rank of each target by both models together; `None` for a miss.
    pub(crate) ranks_together: Vec<Option<usize>>,
    /// Both models together compared with the best ranking without a model.
    pub(crate) gain: Gain,
    /// Share of the clicks after which the cloud was called.
    pub(crate) call_share: f64,
}

/// Both models together minus a ranking without a model, paired by user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gain {
    /// Name of the ranking without a model that has the largest NDCG@10.
    pub(crate) baseline: String,
    /// Difference of the NDCG@10.
    pub(crate) ndcg10: f64,
    /// Standard error of the difference.
    pub(crate) error: f64,
}

/// Means over the targets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) ndcg10: f64,
    pub(crate) hr10: f64,
}

impl Figures {
    fn of(ranks: &[Option<usize>]) -> Self {
        let count = ranks.len().max(1) as f64;
        let ndcg10 = ranks.iter().map(|rank| ndcg10(*rank)).sum::<f64>() / count;
        let hits: f64 = ranks.iter().map(|rank| hit(*rank, TOP)).sum();
        Self { ndcg10, hr10: hits / count }
    }
}

impl Gain {
    /// Of `together` over the best of the rankings in `baselines`, by their names.
    fn over(baselines: &[(&str, &[Option<usize>])], together: &[Option<usize>]) -> Option<Self> {
        let mean = |ranks: &[Option<usize>]| Figures::of(ranks).ndcg10;
        let (name, ranks) =
            baselines.iter().max_by(|(_, a), (_, b)| mean(a).total_cmp(&mean(b)))?;
        let (ndcg10, error) = mean_and_error(&paired_differences(together, ranks));
        Some(Self { baseline: (*name).to_owned(), ndcg10, error })
    }
}

/// NDCG@10 of the ranks in `a` minus that of the ranks in `b`, user by user.
pub(crate) fn paired_differences(a: &[Option<usize>], b: &[Option<usize>]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| ndcg10(*a) - ndcg10(*b)).collect()
}

/// Gain of a rank, 0 to 1.
pub(crate) fn ndcg10(rank: Option<usize>) -> f64 {
    ndcg(rank, TOP)
}

/// The mean and its standard error.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0) / count).sqrt())
}

/// Measures the newest interaction of these users, who have at least three.
pub(super) fn all(
    dataset: &Dataset,
    model: &SmallModel,
    lists: &CandidateLists,
    users: &[usize],
) -> Result<Measured> {
    let trained = || dataset.sequences.iter().map(|sequence| sequence.split().train);
    let counts = Popularity::fit(dataset.catalogue.len(), trained());
    let popularity = counts.scores();
    let popularity = ranks(dataset, users, "popularity", |histories| {
        Ok::<_, Infallible>(vec![popularity.clone(); histories.len()])
    })?;
    let pairs = CoOccurrence::fit(trained(), &counts);
    let co_occurrence = ranks(dataset, users, "co-occurrence", |histories| {
        Ok::<_, Infallible>(histories.iter().map(|items| pairs.scores(items)).collect())
    })?;
    let chain = MarkovChain::fit(trained(), &counts);
    let markov_chain = ranks(dataset, users, "Markov chain", |histories| {
        Ok::<_, Infallible>(histories.iter().map(|items| chain.scores(items)).collect())
    })?;
    let small_model = ranks(dataset, users, "small model", |it| model.score_all(it))?;
    let listed = |&user: &usize| -> Result<Option<usize>> {
        let held = target(dataset, user);
        let list = lists.get(&(user, held.history.len())).context("a list is missing")?;
        Ok(list.iter().position(|(item, _)| *item == held.target))
    };
    let language_model: Vec<Option<usize>> = users.iter().map(listed).collect::<Result<_>>()?;
    let together = together(dataset, model, lists, users)?;
    let baselines: [(&str, &[Option<usize>]); 3] = [
        ("popularity", &popularity),
        ("co-occurrence", &co_occurrence),
        ("the Markov chain", &markov_chain),
    ];
    Ok(Measured {
        targets: users.len(),
        gain: Gain::over(&baselines, &together.ranks).context("no baseline")?,
        popularity: Figures::of(&popularity),
        co_occurrence: Figures::of(&co_occurrence),
        markov_chain: Figures::of(&markov_chain),
        small_model: Figures::of(&small_model),
        language_model: Figures::of(&language_model),
        together: Figures::of(&together.ranks),
        ranks_together: together.ranks,
        call_share: together.call_share,
    })
}

/// Ranks of the targets over the whole catalogue, without the history unless items are repeated.
fn ranks<E: Into<Box<dyn Error + Send + Sync>>>(
    dataset: &Dataset,
    users: &[usize],
    name: &str,
    score: impl Fn(&[&[ItemIndex]]) -> Result<Vec<Vec<f32>>, E> + Sync,
) -> Result<Vec<Option<usize>>> {
    let targets: Vec<HeldOutTarget<'_>> = users.iter().map(|&user| target(dataset, user)).collect();
    let bar = bar(targets.len(), name);
    let progress = |users| bar.inc(users as u64);
    let items = dataset.catalogue.len();
    Ok(rank_all(&targets, items, History::of(dataset), progress, score)?.ranks)
}

/// The newest interaction of a user, who has at least two.
fn target(dataset: &Dataset, user: usize) -> HeldOutTarget<'_> {
    let items = &dataset.sequences[user].items;
    let history = &items[..items.len() - 1];
    HeldOutTarget { history, target: items[history.len()] }
}

/// What visitors see of both models.
#[derive(Debug)]
pub(crate) struct Together {
    /// Rank of the newest interaction of each user; `None` for a miss.
    pub(crate) ranks: Vec<Option<usize>>,
    /// Share of the clicks after which the cloud was called.
    pub(crate) call_share: f64,
}

/// Replays the newest clicks of each user on a device that learns and decides about calls as
/// calibrated, and ranks the last one, with the list that the device then has.
pub(crate) fn together(
    dataset: &Dataset,
    model: &SmallModel,
    lists: &CandidateLists,
    users: &[usize],
) -> Result<Together> {
    let clicks_of = |user: usize| test_clicks(dataset.sequences[user].items.len());
    let places: HashMap<usize, usize> =
        users.iter().enumerate().map(|(at, user)| (*user, at)).collect();
    let mut ranks = vec![None; users.len()];
    let (mut calls, mut decisions) = (0_u32, 0_u32);
    for clicks in 1..=test_clicks(usize::MAX) {
        // Sessions of one length at a time; longer histories have longer sessions.
        let group: CandidateLists = lists
            .iter()
            .filter(|((user, _), _)| places.contains_key(user) && clicks_of(*user) == clicks)
            .map(|(prefix, list)| (*prefix, list.clone()))
            .collect();
        if group.is_empty() {
            continue;
        }
        let replay = model.replay(dataset, &group);
        let sessions = replay.sessions(clicks, 0)?.learning(true);
        let report = replay.run(&sessions, &model.settings, "both together")?;
        for record in report.records {
            if record.click + 1 < clicks {
                decisions += 1;
                calls += u32::from(record.called);
            } else {
                ranks[places[&sessions.users()[record.session]]] = record.rank;
            }
        }
    }
    Ok(Together { ranks, call_share: f64::from(calls) / f64::from(decisions.max(1)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        // Variance 1/3 of four values; 1/√12 of their mean.
        let (mean, error) = mean_and_error(&[0.0, 1.0, 0.0, 1.0]);
        assert!((mean - 0.5).abs() < 1e-12 && (error - (1.0_f64 / 12.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_error(&[0.25]), (0.25, 0.0));
        let figures = Figures::of(&[Some(0), None, Some(2), Some(10)]);
        assert!((figures.hr10 - 0.5).abs() < 1e-12);
        assert!((figures.ndcg10 - 1.5 / 4.0).abs() < 1e-12, "1 + 1/log2(4) over four targets");
    }

    #[test]
    fn the_gain_is_paired_with_the_best_ranking_without_a_model() {
        let (none, first): (&[Option<usize>], &[Option<usize>]) =
            (&[None; 4], &[Some(0), None, None, Some(0)]);
        let together = [Some(0), Some(0), None, Some(0)];
        let gain = Gain::over(&[("nothing", none), ("first", first)], &together).unwrap();
        // Differences 0, 1, 0, 0: the mean is 1/4, its standard error √(3/4 / 3 / 4) = 1/4.
        assert_eq!(gain, Gain { baseline: "first".into(), ndcg10: 0.25, error: 0.25 });
        let equal = Gain::over(&[("first", first)], first).unwrap();
        assert_eq!((equal.ndcg10, equal.error), (0.0, 0.0));
        assert_eq!(Gain::over(&[], &together), None);
    }
}
