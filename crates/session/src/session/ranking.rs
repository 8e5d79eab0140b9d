use std::collections::HashSet;

use serde::Serialize;
use tandem_collaboration::{ListAdvantage, PoolFeatures, order_descending, positions};
use tandem_model::UserState;
use tandem_protocol::{Candidate, ItemId};

use super::{catalogue_search::Found, counts::CountScores};
use crate::{Session, SessionError, candidate_list::CandidateList};

/// With fewer items than this in a ranking, popular items are added.
const MIN_RANKED: usize = 20;

/// The items that can be recommended, ranked: the pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranked {
    /// Best first by the fused score.
    pub items: Vec<RankedItem>,
    /// How far the two models' orders of the list differ, in \[0, 1\]. `None` where there is
    /// nothing to compare: no history yet, or fewer than two candidates.
    pub disagreement: Option<f32>,
    /// How the small model sees the list beside other items, if the policy asks.
    pub list_advantage: Option<ListAdvantage>,
    /// How the list compares with what the device found itself.
    pub pool: PoolFeatures,
    /// Whether the device has searched the rows that are here.
    pub searched: bool,
    /// Whether a deeper search ([`Session::rank_deeper`]) would find no more items.
    pub exhausted: bool,
    /// Number of scores that were not finite. Such an item comes last.
    pub non_finite: usize,
    /// The user embedding `[dims]`, for models that have one.
    pub(crate) user: Option<Vec<f32>>,
}

/// One item with the scores of each model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RankedItem {
    /// The item.
    pub item: ItemId,
    /// The fused score, higher is better. Comparable within one ranking only.
    pub score: f32,
    /// Whether the item is on the language model's list.
    pub listed: bool,
    /// Position in the language model's order of the remaining items, from 0. `None` for an
    /// unlisted item.
    pub llm_rank: Option<usize>,
    /// Position in the small model's order, from 0; the position in the ranking while there
    /// is none.
    pub srm_rank: usize,
    /// The language model's log-probability (nats). `None` for an unlisted item.
    pub logprob: Option<f32>,
    /// The small model's score (a logit), if it has one.
    pub srm_score: Option<f32>,
}

impl Session {
    /// Ranks the pool: the remaining candidates of the list together with the best
    /// [`Settings::search_k`](crate::Settings::search_k) items that the device finds itself.
    /// Items of the history, disliked, excluded and unavailable items are left out.
    ///
    /// Without a list, these are the device's own finds. Without a history that the small
    /// model can read, the list is in the language model's order. If there are few items, the
    /// popular ones are added at the end.
    ///
    /// Changes nothing. Tell the session which ranking the visitor sees with
    /// [`record_shown`](Self::record_shown).
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails.
    pub async fn rank(&self) -> Result<Ranked, SessionError> {
        self.rank_deeper(self.settings.search_k).await
    }

    /// As [`rank`](Self::rank), with the best `k` items of the search. A page that filters the
    /// ranking doubles `k` until enough items are left or [`Ranked::exhausted`] is set.
    ///
    /// # Errors
    /// As [`rank`](Self::rank).
    pub async fn rank_deeper(&self, k: usize) -> Result<Ranked, SessionError> {
        let listed: Vec<&Candidate> = self.remaining_candidates().collect();
        let mut ranked = match self.user().await? {
            Some(user) => self.rank_for(&user, &listed, k).await?,
            None => by_language_model(&listed),
        };
        self.add_popular(&mut ranked.items);
        Ok(ranked)
    }

    async fn rank_for(
        &self,
        user: &UserState,
        listed: &[&Candidate],
        k: usize,
    ) -> Result<Ranked, SessionError> {
        let found = if self.settings.search_k > 0 { self.find(user, k)? } else { Found::nothing() };
        let counts = self.count_scores(user, self.visitor.history().iter().rev());
        let of_list = listed.iter().map(|candidate| &candidate.item);
        let mut items: Vec<&ItemId> = of_list.chain(self.unlisted(&found, &counts)).collect();
        let Some(mut scores) = self.score_for(user, &counts, &items).await? else {
            return Ok(Ranked { exhausted: found.exhausted, ..Ranked::default() });
        };
        keep_best(listed.len() + k, listed.len(), &mut items, &mut scores);
        let logprobs: Vec<f32> = listed.iter().map(|candidate| candidate.logprob).collect();
        let last = self.list.as_ref().and_then(|list| list.candidates().last());
        let last_logprob = last.map_or(f32::NAN, |candidate| candidate.logprob);
        let fused = self.fusion().fuse_pool(&logprobs, last_logprob, &scores)?;
        let srm_ranks = positions(&order_descending(&scores))?;
        let ranked = |&at: &usize| RankedItem {
            item: items[at].clone(),
            score: fused.scores[at],
            listed: at < listed.len(),
            llm_rank: (at < listed.len()).then_some(at),
            srm_rank: srm_ranks[at],
            logprob: logprobs.get(at).copied(),
            srm_score: scores[at].is_finite().then_some(scores[at]),
        };
        let (of_list, of_others) = scores.split_at(listed.len());
        let shown = fused.order.iter().filter_map(|&at| of_list.get(at)).copied().collect();
        let searched = !found.items.is_empty();
        Ok(Ranked {
            items: fused.order.iter().map(ranked).collect(),
            disagreement: self.disagreement(of_list)?,
            list_advantage: self
                .list_advantage(user, &counts, shown, searched.then_some(of_others))
                .await?,
            pool: if searched {
                PoolFeatures::new(listed.len(), &scores, &fused.order)
            } else {
                PoolFeatures::default()
            },
            searched,
            exhausted: found.exhausted,
            non_finite: fused.non_finite,
            user: user.embedding().map(<[f32]>::to_vec),
        })
    }

    /// The items outside the list that take part: what the search found, and what was chosen near
    /// the history, which the search does not know. With both, the best of them by their whole
    /// score are the best of the catalogue.
    fn unlisted<'a>(
        &'a self,
        found: &'a Found,
        counts: &'a CountScores,
    ) -> impl Iterator<Item = &'a ItemId> {
        let found: Vec<&ItemId> = found.items.iter().map(|(item, _)| item).collect();
        let counted: Vec<&ItemId> = if self.settings.search_k == 0 || counts.is_empty() {
            Vec::new()
        } else {
            let known: HashSet<&ItemId> = found.iter().copied().collect();
            self.counted_items(counts).filter(|item| !known.contains(item)).collect()
        };
        found.into_iter().chain(counted).filter(|item| !self.is_listed(item))
    }

    /// How far the small model's order of the remaining list is from the language model's.
    fn disagreement(&self, srm: &[f32]) -> Result<Option<f32>, SessionError> {
        if srm.len() < 2 {
            return Ok(None);
        }
        let llm_order: Vec<usize> = (0..srm.len()).collect();
        let consistency = &self.policy().consistency;
        Ok(Some(consistency.disagreement(&llm_order, &order_descending(srm))?))
    }

    /// Adds popular items at the end of a short ranking.
    fn add_popular(&self, items: &mut Vec<RankedItem>) {
        if items.len() >= MIN_RANKED || self.settings.popular.is_empty() {
            return;
        }
        let ranked: HashSet<ItemId> = items.iter().map(|ranked| ranked.item.clone()).collect();
        let mut score = items.last().map_or(0.0, |last| last.score);
        for item in &self.settings.popular {
            if ranked.contains(item) || !self.may_recommend(item) {
                continue;
            }
            score -= 1.0;
            items.push(RankedItem {
                item: item.clone(),
                score,
                listed: false,
                llm_rank: None,
                srm_rank: items.len(),
                logprob: None,
                srm_score: None,
            });
        }
    }

    /// Records that the visitor sees this ranking: what is clicked next was chosen from it,
    /// and the first ranking of a list becomes the baseline that later ones are compared with.
    pub fn record_shown(&mut self, ranked: &Ranked) {
        let first = ranked.items.iter().take(self.settings.learning.negatives + 1);
        self.shown = first.map(|ranked| ranked.item.clone()).collect();
        self.shown_items = ranked.items.len();
        if let Some(list) = &mut self.list {
            list.baseline_mut().record(ranked.list_advantage, ranked.user.as_deref());
        }
    }

    /// Candidates that may be recommended, in the language model's order.
    pub(crate) fn remaining_candidates(&self) -> impl Iterator<Item = &Candidate> {
        let candidates = self.list.iter().flat_map(CandidateList::candidates);
        candidates.filter(|candidate| self.may_recommend(&candidate.item))
    }

    pub(crate) fn is_listed(&self, item: &ItemId) -> bool {
        self.list.as_ref().is_some_and(|list| list.contains(item))
    }
}

/// Keeps the first `fixed` items and the best of the others by score, at most `most` in all, in
/// their order.
fn keep_best(most: usize, fixed: usize, items: &mut Vec<&ItemId>, scores: &mut Vec<f32>) {
    if items.len() <= most {
        return;
    }
    let order = order_descending(&scores[fixed..]);
    let mut kept: Vec<usize> =
        order.into_iter().take(most - fixed).map(|other| fixed + other).collect();
    kept.sort_unstable();
    let kept = || (0..fixed).chain(kept.iter().copied());
    (*items, *scores) =
        (kept().map(|at| items[at]).collect(), kept().map(|at| scores[at]).collect());
}

/// The language model's order, where the small model has none.
fn by_language_model(listed: &[&Candidate]) -> Ranked {
    let items = listed.iter().enumerate().map(|(rank, candidate)| RankedItem {
        item: candidate.item.clone(),
        score: candidate.logprob,
        listed: true,
        llm_rank: Some(rank),
        srm_rank: rank,
        logprob: Some(candidate.logprob),
        srm_score: None,
    });
    Ranked { items: items.collect(), exhausted: true, ..Ranked::default() }
}
