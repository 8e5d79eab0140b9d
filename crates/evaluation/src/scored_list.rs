use tandem_collaboration::{
    Consistency, Fusion, ListAdvantage, PoolFeatures, consistency::mean_displacement,
    order_descending,
};
use tandem_protocol::ItemId;
use tandem_session::Ranked;

use crate::EvaluationError;

/// A pool with the scores of both models and the position of the target: the items of the list
/// that can still be recommended, in the order of the language model, then the items that the
/// device found itself. Fusions are fitted on it and compared by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoredList {
    /// Position of the target in the pool, from 0; `None` if it is not in the pool.
    pub target: Option<usize>,
    /// Log-probabilities of the listed items (nats), best first.
    pub logprobs: Vec<f32>,
    /// The last log-probability of the list as it was received (nats).
    pub last_logprob: f32,
    /// Scores of the small model (logits), `[listed + unlisted]`; `NaN` where it has none.
    pub small_model: Vec<f32>,
}

impl ScoredList {
    /// The scores behind a session's ranking, so that other fusions can be tried on them. The
    /// list, as it was received, ended with `last_logprob` (nats).
    #[must_use]
    pub fn new(ranked: &Ranked, target: &ItemId, last_logprob: f32) -> Self {
        Self::of(ranked, Some(target), last_logprob)
    }

    /// The same, without a target.
    #[must_use]
    pub fn without_target(ranked: &Ranked, last_logprob: f32) -> Self {
        Self::of(ranked, None, last_logprob)
    }

    fn of(ranked: &Ranked, target: Option<&ItemId>, last_logprob: f32) -> Self {
        let mut items: Vec<_> = ranked.items.iter().collect();
        // Listed items first.
        items.sort_by_key(|item| (item.llm_rank.is_none(), item.llm_rank, item.srm_rank));
        let listed = items.iter().filter(|item| item.listed);
        Self {
            target: items.iter().position(|item| Some(&item.item) == target),
            logprobs: listed.map(|item| item.logprob.unwrap_or(f32::NAN)).collect(),
            last_logprob,
            small_model: items.iter().map(|item| item.srm_score.unwrap_or(f32::NAN)).collect(),
        }
    }

    /// Rank of the target under a fusion, from 0; `None` if it is not in the pool.
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] if the models' scores differ in number.
    pub fn rank(&self, fusion: &Fusion) -> Result<Option<usize>, EvaluationError> {
        let Some(target) = self.target else { return Ok(None) };
        let fused = fusion.fuse_pool(&self.logprobs, self.last_logprob, &self.small_model)?;
        Ok(fused.order.iter().position(|&at| at == target))
    }

    /// Rank of the target by the language model alone, from 0; `None` if it is not on the list.
    #[must_use]
    pub fn language_model_rank(&self) -> Option<usize> {
        self.target.filter(|target| *target < self.logprobs.len())
    }

    /// Whether the device found items that are not on the list.
    #[must_use]
    pub fn has_unlisted(&self) -> bool {
        self.small_model.len() > self.logprobs.len()
    }

    /// The comparison of the list with what the device found itself, under a fusion, as a session
    /// computes it; `None` if there is nothing to compare.
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] if the models' scores differ in number.
    pub fn comparison(
        &self,
        fusion: &Fusion,
    ) -> Result<Option<(ListAdvantage, PoolFeatures)>, EvaluationError> {
        let fused = fusion.fuse_pool(&self.logprobs, self.last_logprob, &self.small_model)?;
        let (listed, found) = self.small_model.split_at(self.logprobs.len());
        let shown: Vec<f32> =
            fused.order.iter().filter_map(|&at| listed.get(at)).copied().collect();
        let pool = PoolFeatures::new(listed.len(), &self.small_model, &fused.order);
        Ok(ListAdvantage::new(&shown, found).map(|advantage| (advantage, pool)))
    }

    /// Rank of the target by the small model alone, from 0; `None` if it is not in the pool.
    #[must_use]
    pub fn small_model_rank(&self) -> Option<usize> {
        let target = self.target?;
        order_descending(&self.small_model).iter().position(|&at| at == target)
    }

    /// Disagreement of the two models' orders of the list, in `[0, 1]`.
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
        let listed = self.logprobs.len();
        let small_model = &self.small_model[..listed.min(self.small_model.len())];
        ((0..listed).collect(), order_descending(small_model))
    }
}
