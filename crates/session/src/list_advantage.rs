use std::{borrow::Cow, collections::HashMap};

use tandem_collaboration::{ListAdvantage, Trigger};
use tandem_model::UserState;
use tandem_protocol::ItemId;

use crate::{RowStore, Session, SessionError, candidate_list::CandidateList};

/// A sample of the items outside a list with their rows. It stays the same from click to
/// click, so that the list's advantages can be compared.
#[derive(Clone, Debug)]
pub(crate) struct NegativeSample {
    positions: HashMap<ItemId, usize>,
    rows: Vec<f32>, // [positions, dims]
}

impl NegativeSample {
    fn new(store: &RowStore, list: &CandidateList) -> Self {
        let mut negatives = Self { positions: HashMap::new(), rows: Vec::new() };
        let mut items = store.sample();
        items.retain(|item| !list.contains(item));
        for item in items {
            if store.gather(&item, &mut negatives.rows) {
                negatives.positions.insert(item, negatives.positions.len());
            }
        }
        negatives
    }
}

impl Session {
    /// How the small model sees the list beside other items. `None` if the policy does not
    /// ask, or there is nothing to compare. `shown` are its scores of the list in the order in
    /// which the list is shown; `found` are those of the unlisted items that the device found.
    /// A device that does not search compares the list with a sample.
    pub(crate) async fn list_advantage(
        &self,
        user: &UserState,
        shown: Vec<f32>,
        found: Option<&[f32]>,
    ) -> Result<Option<ListAdvantage>, SessionError> {
        let Some(list) = &self.list else { return Ok(None) };
        if !matches!(self.policy().trigger, Trigger::Uplift { .. }) {
            return Ok(None);
        }
        if let Some(found) = found {
            return Ok(ListAdvantage::new(&shown, found));
        }
        let negatives = list.negatives(|| NegativeSample::new(&self.rows, list));
        let dims = self.rows.dims();
        let mut rows = Cow::Borrowed(&negatives.rows[..]);
        for item in self.delta.keys() {
            if let Some(start) = negatives.positions.get(item).map(|position| position * dims) {
                self.delta.apply_row(item, &mut rows.to_mut()[start..start + dims]);
            }
        }
        let mut scores = self.scorer.personal_scores(user, &self.delta, rows).await?;
        for item in self.visitor.history().iter().chain(self.visitor.dislikes()) {
            if let Some(position) = negatives.positions.get(item) {
                // Left out: it will not be recommended.
                scores[*position] = f32::NAN;
            }
        }
        Ok(ListAdvantage::new(&shown, &scores))
    }
}
