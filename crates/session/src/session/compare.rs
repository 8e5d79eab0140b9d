use std::collections::HashSet;

use tandem_collaboration::order_descending;
use tandem_protocol::ItemId;

use crate::{Session, SessionError};

impl Session {
    /// Disagreement between the small model's order of `items` and the given order, in
    /// \[0, 1\]. A site can measure its own list with it before it uses lists of the cloud.
    ///
    /// Repeated items count once; items without a row here are ignored. `None` without a
    /// history, or with fewer than two items left.
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails.
    pub async fn compare(&self, items: &[ItemId]) -> Result<Option<f32>, SessionError> {
        let mut seen = HashSet::new();
        let known: Vec<&ItemId> =
            items.iter().filter(|item| self.rows.contains(item) && seen.insert(*item)).collect();
        if known.len() < 2 {
            return Ok(None);
        }
        let Some(scores) = self.score(&known).await? else { return Ok(None) };
        let given: Vec<usize> = (0..known.len()).collect();
        let order = order_descending(&scores);
        Ok(Some(self.policy().consistency.disagreement(&given, &order)?))
    }
}
