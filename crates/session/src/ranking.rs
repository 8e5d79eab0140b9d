use serde::Serialize;
use tandem_collaboration::{ListAdvantage, order_descending, positions};
use tandem_protocol::{Candidate, ItemId};

use crate::{Session, SessionError};

/// The remaining candidates, ranked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranked {
    /// Best first by the fused score.
    pub items: Vec<RankedItem>,
    /// How far the two models' orders of the list differ, in \[0, 1\]. `None` where there is
    /// nothing to compare: no history yet, or fewer than two candidates.
    pub disagreement: Option<f32>,
    /// What the small model expects of the list beside other items, if the policy asks.
    pub list_advantage: Option<ListAdvantage>,
    /// Number of scores that were not finite. Such an item comes last.
    pub non_finite: usize,
}

/// One item with the scores of each model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Position in the small model's order, from 0; as `llm_rank` while there is none.
    pub srm_rank: usize,
    /// The language model's log-probability (nats). `None` for an unlisted item.
    pub logprob: Option<f32>,
    /// The small model's score (a logit), if it has one.
    pub srm_score: Option<f32>,
}

impl Session {
    /// Ranks the remaining candidates: neither in the history nor disliked. Empty while there
    /// is no list.
    ///
    /// Changes nothing. Tell the session which ranking the visitor sees with
    /// [`record_shown`](Self::record_shown).
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails.
    pub async fn rank(&self) -> Result<Ranked, SessionError> {
        let remaining: Vec<&Candidate> = self.remaining_candidates().collect();
        let items: Vec<&ItemId> = remaining.iter().map(|candidate| &candidate.item).collect();
        let Some(scores) = self.score(&items).await? else {
            return Ok(by_language_model(&remaining));
        };
        let logprobs: Vec<f32> = remaining.iter().map(|candidate| candidate.logprob).collect();
        let fused = self.fusion().fuse(&logprobs, &scores)?;
        let srm_order = order_descending(&scores);
        let srm_ranks = positions(&srm_order)?;
        let llm_order: Vec<usize> = (0..remaining.len()).collect();
        let disagreement = if remaining.len() < 2 {
            None
        } else {
            Some(self.policy().consistency.disagreement(&llm_order, &srm_order)?)
        };
        let items = fused.order.iter().map(|&at| RankedItem {
            item: remaining[at].item.clone(),
            score: fused.scores[at],
            listed: true,
            llm_rank: Some(at),
            srm_rank: srm_ranks[at],
            logprob: Some(remaining[at].logprob),
            srm_score: scores[at].is_finite().then_some(scores[at]),
        });
        let shown: Vec<f32> = fused.order.iter().map(|&at| scores[at]).collect();
        let list_advantage = self.list_advantage(&shown).await?;
        let non_finite = fused.non_finite;
        Ok(Ranked { items: items.collect(), disagreement, list_advantage, non_finite })
    }

    /// Records that the visitor sees this ranking. The first ranking of a list becomes the
    /// baseline that later ones are compared with.
    pub fn record_shown(&mut self, ranked: &Ranked) {
        if let Some(list) = &mut self.list {
            list.baseline_mut().record(ranked.list_advantage);
        }
    }

    /// Candidates that may be recommended, in the language model's order.
    pub(crate) fn remaining_candidates(&self) -> impl Iterator<Item = &Candidate> {
        let candidates = self.list.iter().flat_map(|list| list.candidates());
        candidates.filter(|candidate| {
            let item = &candidate.item;
            !self.visitor.has_seen(item) && !self.visitor.dislikes_item(item)
        })
    }
}

/// The language model's order, where the small model has none.
fn by_language_model(remaining: &[&Candidate]) -> Ranked {
    let items = remaining.iter().enumerate().map(|(rank, candidate)| RankedItem {
        item: candidate.item.clone(),
        score: candidate.logprob,
        listed: true,
        llm_rank: Some(rank),
        srm_rank: rank,
        logprob: Some(candidate.logprob),
        srm_score: None,
    });
    Ranked { items: items.collect(), ..Ranked::default() }
}
