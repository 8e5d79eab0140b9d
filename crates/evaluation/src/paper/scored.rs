use tandem_collaboration::{Consistency, Fusion, consistency::mean_displacement, order_descending};
use tandem_protocol::ItemId;
use tandem_session::Ranked;

use crate::EvaluationError;

/// What both models say about the items of one list that can still be recommended, in the
/// language model's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoredList {
    /// Where the target stands in the language model's order, from 0; `None` if it is not
    /// in the list.
    pub target: Option<usize>,
    /// The language model's log-probabilities (nats).
    pub logprobs: Vec<f32>,
    /// The small model's scores (logits); `NaN` where it has none.
    pub small_model: Vec<f32>,
}

impl ScoredList {
    /// Takes a session's ranking apart again, so that other fusions can be tried on it.
    pub(super) fn new(ranked: &Ranked, target: &ItemId) -> Self {
        let mut items: Vec<_> = ranked.items.iter().collect();
        items.sort_by_key(|item| item.llm_rank);
        Self {
            target: items.iter().position(|item| item.item == *target),
            logprobs: items.iter().map(|item| item.logprob).collect(),
            small_model: items.iter().map(|item| item.srm_score.unwrap_or(f32::NAN)).collect(),
        }
    }

    /// Rank of the target under a fusion, from 0.
    ///
    /// # Errors
    /// None for a list that a session scored.
    pub fn rank(&self, fusion: &Fusion) -> Result<Option<usize>, EvaluationError> {
        let Some(target) = self.target else { return Ok(None) };
        let fused = fusion.fuse(&self.logprobs, &self.small_model)?;
        Ok(fused.order.iter().position(|&at| at == target))
    }

    /// Rank of the target by the small model alone, from 0.
    #[must_use]
    pub fn small_model_rank(&self) -> Option<usize> {
        let target = self.target?;
        order_descending(&self.small_model).iter().position(|&at| at == target)
    }

    /// How far the two models' orders are apart, in `[0, 1]`.
    ///
    /// # Errors
    /// None for a list that a session scored.
    pub fn disagreement(&self, consistency: Consistency) -> Result<f32, EvaluationError> {
        let (language_model, small_model) = self.orders();
        Ok(consistency.disagreement(&language_model, &small_model)?)
    }

    /// How far an item stands apart in the two orders on average, in places: the `D` of the
    /// paper's rule.
    ///
    /// # Errors
    /// None for a list that a session scored.
    pub fn displacement(&self) -> Result<f32, EvaluationError> {
        let (language_model, small_model) = self.orders();
        Ok(mean_displacement(&language_model, &small_model)?)
    }

    fn orders(&self) -> (Vec<usize>, Vec<usize>) {
        ((0..self.logprobs.len()).collect(), order_descending(&self.small_model))
    }
}
