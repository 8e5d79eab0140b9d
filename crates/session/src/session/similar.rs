use serde::Serialize;
use tandem_protocol::ItemId;

use crate::Session;

/// An item and its similarity to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "SimilarItem"))]
pub struct Similar {
    /// The item.
    pub item: ItemId,
    /// Cosine of the two rows as this visitor has learnt them, in \[-1, 1\].
    pub similarity: f32,
}

impl Session {
    /// The `k` items most similar to `item` by the small model, best first, among those whose
    /// rows are here and that the site allows: the same search as that of a ranking, by
    /// cosine. `None` if the item's own row is not here or is damaged.
    #[must_use]
    pub fn similar(&self, item: &ItemId, k: usize) -> Option<Vec<Similar>> {
        let mut target = Vec::new();
        if !self.rows.gather(item, &mut target) {
            return None;
        }
        self.delta.apply_row(item, &mut target);
        let found = self.find_similar(item, &target, k).ok()?;
        Some(found.into_iter().map(|(item, similarity)| Similar { item, similarity }).collect())
    }
}
