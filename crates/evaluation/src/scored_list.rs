use tandem_collaboration::{Consistency, Fusion, consistency::mean_displacement, order_descending};
use tandem_protocol::ItemId;
use tandem_session::Ranked;

use crate::EvaluationError;

/// One list with the scores of both models and the position of the target. It holds the
/// items that can still be recommended, in the order of the language model, and is what
/// fusions are fitted on and compared by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoredList {
    /// Position of the target in the language model's order, from 0; `None` if it is not in
    /// the list.
    pub target: Option<usize>,
    /// Log-probabilities of the language model (nats), best first.
    pub logprobs: Vec<f32>,
    /// Scores of the small model (logits) for the same items; `NaN` where it has none.
    pub small_model: Vec<f32>,
}

impl ScoredList {
    /// The scores behind a session's ranking, so that other fusions can be tried on them.
    #[must_use]
    pub fn new(ranked: &Ranked, target: &ItemId) -> Self {
        let mut items: Vec<_> = ranked.items.iter().filter(|item| item.listed).collect();
        items.sort_by_key(|item| item.llm_rank);
        Self {
            target: items.iter().position(|item| item.item == *target),
            logprobs: items.iter().map(|item| item.logprob.unwrap_or(f32::NAN)).collect(),
            small_model: items.iter().map(|item| item.srm_score.unwrap_or(f32::NAN)).collect(),
        }
    }

    /// Rank of the target under a fusion, from 0; `None` if it is not in the list.
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] if the models' scores differ in number.
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

    /// Disagreement of the two models' orders, in `[0, 1]`.
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] if the models' scores differ in number.
    pub fn disagreement(&self, consistency: Consistency) -> Result<f32, EvaluationError> {
        let (language_model, small_model) = self.orders();
        Ok(consistency.disagreement(&language_model, &small_model)?)
    }

    /// Mean absolute displacement of an item between the two orders, in positions: `D` of the
    /// paper's rule (`LSC4Rec`, §3.3).
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] if the models' scores differ in number.
    pub fn displacement(&self) -> Result<f32, EvaluationError> {
        let (language_model, small_model) = self.orders();
        Ok(mean_displacement(&language_model, &small_model)?)
    }

    fn orders(&self) -> (Vec<usize>, Vec<usize>) {
        ((0..self.logprobs.len()).collect(), order_descending(&self.small_model))
    }
}
