use serde::{Deserialize, Serialize};
use tandem_collaboration::Trigger;
use tandem_dataset::{Dataset, ItemIndex};
use tandem_model::Scorer;
use tandem_protocol::{Candidate, CandidatesResponse, Ignored, ItemId, Ranking, Timings};
use tandem_session::{RowStore, Session, Settings};

use crate::EvaluationError;

/// What the device searches beside the candidate list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchScope {
    /// Nothing: it ranks the list alone.
    #[default]
    None,
    /// The whole item table.
    Whole,
    /// The cells nearest to the user's state, fetched after each click.
    Cells,
}

/// What every simulated session starts with: the shared weights, the item rows and the
/// settings. The sessions themselves are those of the browser.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedDevice<'a> {
    /// The small model.
    pub scorer: &'a Scorer,
    /// The item rows on the device.
    pub rows: &'a RowStore,
    /// Fusion, policy and learning.
    pub settings: &'a Settings,
}

impl SimulatedDevice<'_> {
    /// Starts a session of a user (position in the dataset) with the history `before`, oldest
    /// first.
    ///
    /// # Errors
    /// [`EvaluationError::Session`] for invalid settings, or rows of another width than the
    /// model's.
    pub fn begin(
        &self,
        dataset: &Dataset,
        user: usize,
        before: &[ItemIndex],
    ) -> Result<Session, EvaluationError> {
        let mut settings = self.settings.clone();
        if let Trigger::Random { seed, .. } = &mut settings.policy.trigger {
            // Without this, all users would call at the same clicks.
            *seed ^= (user as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let mut session = Session::new(self.scorer.clone(), self.rows.clone(), settings)?;
        session.prepend_history(before.iter().map(|&item| id(dataset, item)));
        Ok(session)
    }

    /// A list as the response of the cloud: candidates with log-probabilities (nats), best
    /// first.
    #[must_use]
    pub fn answer(&self, dataset: &Dataset, candidates: &[(ItemIndex, f32)]) -> CandidatesResponse {
        let candidate =
            |&(item, logprob)| Candidate { item: id(dataset, item), logprob, row: None };
        CandidatesResponse {
            model: "evaluation".into(),
            catalogue_hash: self.settings.catalogue_hash.clone(),
            ranking: Ranking::LanguageModel,
            candidates: candidates.iter().map(candidate).collect(),
            history_rows: Vec::new(),
            ignored: Ignored::default(),
            timings: Timings::default(),
        }
    }
}

/// The id of an item in its catalogue.
#[must_use]
pub(crate) fn id(dataset: &Dataset, item: ItemIndex) -> ItemId {
    dataset.catalogue.get(item).id.clone()
}

/// The last log-probability of a list (nats); `NaN` for an empty one.
pub(crate) fn last_logprob(list: &[(ItemIndex, f32)]) -> f32 {
    list.last().map_or(f32::NAN, |(_, logprob)| *logprob)
}
