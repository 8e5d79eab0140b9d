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
    /// rows are here and that the site allows; ties by name. `None` if the item's own row is
    /// not here.
    ///
    /// Takes time in proportion to the rows that are here.
    #[must_use]
    pub fn similar(&self, item: &ItemId, k: usize) -> Option<Vec<Similar>> {
        let mut target = Vec::new();
        if !self.rows.gather(item, &mut target) {
            return None;
        }
        self.delta.apply_row(item, &mut target);
        let mut found: Vec<Similar> = Vec::new();
        self.rows.for_each(|other, row| {
            if other != item && self.availability.allows(other) {
                self.delta.apply_row(other, row);
                found.push(Similar { item: other.clone(), similarity: cosine(&target, row) });
            }
        });
        found.sort_by(|a, b| {
            b.similarity.total_cmp(&a.similarity).then_with(|| a.item.cmp(&b.item))
        });
        found.truncate(k);
        Some(found)
    }
}

/// Cosine of the angle between two vectors; 0 if one of them has length 0.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let lengths = length(a) * length(b);
    if lengths > 0.0 { dot / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::cosine;

    #[test]
    fn the_cosine_is_that_of_the_angle() {
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f32.sqrt()).abs() < 1e-6);
        assert!((cosine(&[3.0, 4.0], &[-3.0, -4.0]) + 1.0).abs() < 1e-6);
        assert!(cosine(&[0.0, 0.0], &[1.0, 2.0]).abs() < f32::EPSILON);
    }
}
