use tandem_protocol::ItemId;

use crate::{RankedItem, Session, SessionError};

/// Of the history the newest so many items are asked what they contribute.
pub const MAX_EXPLAINED: usize = 10;

/// Why an item stands where it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What each model says of it.
    pub item: RankedItem,
    /// Its place in the fused order, from 0.
    pub rank: usize,
    /// How many items were ranked.
    pub of: usize,
    /// What the newest items of the history did to it, strongest first.
    pub contributions: Vec<Contribution>,
}

/// What one item of the history does to a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// The item of the history.
    pub item: ItemId,
    /// By how much the candidate's score (a logit) is further above the mean of the list
    /// than it would be without this item; negative if the item pushes it down.
    pub logit: f32,
}

impl Session {
    /// Why `item` stands where it does; `None` if it is not among the candidates left.
    ///
    /// A logit is measured by leaving the item out of the history and scoring again, which
    /// holds for any small model. The scores are taken relative to the list's mean, for a
    /// shift of all of them moves nobody.
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
        let whole = self.above_mean(&history, &names, rank).await?;
        let mut contributions: Vec<Contribution> = Vec::new();
        for (at, cause) in history.iter().enumerate().rev() {
            if contributions.len() == MAX_EXPLAINED {
                break;
            }
            // An item clicked twice is left out at both places, and told once.
            if history[at + 1..].contains(cause) {
                continue;
            }
            let others: Vec<&ItemId> =
                history.iter().filter(|other| other != &cause).copied().collect();
            let without = self.above_mean(&others, &names, rank).await?;
            let logit = whole - without;
            if logit.is_finite() {
                contributions.push(Contribution { item: (*cause).clone(), logit });
            }
        }
        contributions.sort_by(|a, b| b.logit.abs().total_cmp(&a.logit.abs()));
        let of = ranked.items.len();
        let found = ranked.items.into_iter().nth(rank);
        Ok(found.map(|item| Explanation { item, rank, of, contributions }))
    }

    /// How far the score of the item at `at` lies above the mean of the list; 0 without a
    /// history, for then the small model prefers nobody.
    async fn above_mean(
        &self,
        history: &[&ItemId],
        items: &[&ItemId],
        at: usize,
    ) -> Result<f32, SessionError> {
        let Some(user) = self.user_after(history).await? else { return Ok(0.0) };
        let Some(scores) = self.score_for(&user, items).await? else { return Ok(0.0) };
        let finite: Vec<f32> = scores.iter().copied().filter(|score| score.is_finite()).collect();
        Ok(scores[at] - finite.iter().sum::<f32>() / finite.len() as f32)
    }
}
