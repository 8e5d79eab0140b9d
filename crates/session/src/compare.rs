use std::collections::HashSet;

use tandem_collaboration::order_descending;
use tandem_protocol::ItemId;

use crate::{Session, SessionError};

impl Session {
    /// How far the small model's order of `items` is from the order given, in \[0, 1\]: what
    /// a site can measure about its own list before any list of the cloud is used.
    ///
    /// Repeated items count once, items whose rows are not here not at all. `None` without a
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
