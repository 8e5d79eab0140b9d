use serde::Serialize;
use tandem_protocol::ItemId;

use crate::{RankedItem, Session, SessionError};

/// Maximum number of history items whose contributions are measured, newest first.
pub const MAX_EXPLAINED: usize = 10;

/// Why an item has its rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Explanation {
    /// The item with the scores of each model.
    pub item: RankedItem,
    /// Its position in the fused order, from 0.
    pub rank: usize,
    /// Number of ranked items.
    pub of: usize,
    /// Contributions of the newest items of the history, largest magnitude first.
    pub contributions: Vec<Contribution>,
}

/// What one item of the history contributes to the score of another item.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Contribution {
    /// The item of the history.
    pub item: ItemId,
    /// Change of the score (a logit, relative to the mean over the ranked items) that this
    /// item causes. Negative if it lowers the score.
    pub logit: f32,
}

impl Session {
    /// Why `item` has its rank. `None` if it is not ranked.
    ///
    /// A contribution is measured by leaving one item out of the history and scoring again,
    /// which works for every small model. Scores are taken relative to their mean, because a
    /// shift of all scores changes no order.
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails.
    pub async fn explain(&self, item: &ItemId) -> Result<Option<Explanation>, SessionError> {
        let ranked = self.rank().await?;
        let Some(rank) = ranked.items.iter().position(|ranked| ranked.item == *item) else {
            return Ok(None);
        };
        let names: Vec<&ItemId> = ranked.items.iter().map(|ranked| &ranked.item).collect();
        let history = self.readable_history();
        let with_all = self.above_mean(&history, &names, rank).await?;
        let mut contributions: Vec<Contribution> = Vec::new();
        for (at, cause) in history.iter().enumerate().rev() {
            if contributions.len() == MAX_EXPLAINED {
                break;
            }
            // An item that was clicked twice is left out twice and reported once.
            if history[at + 1..].contains(cause) {
                continue;
            }
            let others: Vec<&ItemId> =
                history.iter().filter(|other| other != &cause).copied().collect();
            let without = self.above_mean(&others, &names, rank).await?;
            let logit = with_all - without;
            if logit.is_finite() {
                contributions.push(Contribution { item: (*cause).clone(), logit });
            }
        }
        contributions.sort_by(|a, b| b.logit.abs().total_cmp(&a.logit.abs()));
        let of = ranked.items.len();
        let found = ranked.items.into_iter().nth(rank);
        Ok(found.map(|item| Explanation { item, rank, of, contributions }))
    }

    /// How far the score of the item at `at` is above the mean of all. 0 without a history:
    /// the small model then has no preference.
    async fn above_mean(
        &self,
        history: &[&ItemId],
        items: &[&ItemId],
        at: usize,
    ) -> Result<f32, SessionError> {
        let Some(user) = self.user_after(history).await? else { return Ok(0.0) };
        let counts = self.count_scores(&user, history.iter().rev().copied());
        let Some(scores) = self.score_for(&user, &counts, items).await? else { return Ok(0.0) };
        let finite: Vec<f32> = scores.iter().copied().filter(|score| score.is_finite()).collect();
        Ok(scores[at] - finite.iter().sum::<f32>() / finite.len() as f32)
    }
}
