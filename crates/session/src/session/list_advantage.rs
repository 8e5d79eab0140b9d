use std::borrow::Cow;

use tandem_collaboration::{ListAdvantage, Trigger};
use tandem_model::UserState;

use super::counts::CountScores;
use crate::{Session, SessionError, negatives::NegativeSample};

impl Session {
    /// How the small model sees the list beside other items. `None` if the policy does not
    /// ask, or there is nothing to compare. `shown` are its scores of the list in the order in
    /// which the list is shown; `found` are those of the unlisted items that the device found.
    /// A device that does not search compares the list with a sample.
    pub(crate) async fn list_advantage(
        &self,
        user: &UserState,
        counts: &CountScores,
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
        let negatives =
            list.negatives(|| NegativeSample::new(&self.rows, |item| list.contains(item)));
        let dims = self.rows.dims();
        let mut rows = Cow::Borrowed(negatives.rows());
        for item in self.delta.keys() {
            if let Some(start) = negatives.position(item).map(|position| position * dims) {
                self.delta.apply_row(item, &mut rows.to_mut()[start..start + dims]);
            }
        }
        let mut scores = self.scorer.personal_scores(user, &self.delta, rows).await?;
        for (item, position) in negatives.items() {
            self.add_counts(counts, [item], &mut scores[position..=position]);
        }
        for (_, position) in negatives.items().filter(|(item, _)| !self.may_recommend(item)) {
            scores[position] = f32::NAN;
        }
        Ok(ListAdvantage::new(&shown, &scores))
    }
}
