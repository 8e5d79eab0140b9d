use tandem_dataset::{
    ItemIndex,
    text_vectors::{TextSpace, TextVectors},
};

use crate::{
    AddedItems,
    added_items::{AddedText, NeighbourOptions},
    products::{LANES, dot},
};

/// Number of newest items of a history whose texts are compared.
const MAX_AGE: usize = 10;
/// Weight of an item's text relative to the next newer one.
const DECAY: f32 = 0.7;

/// Text vectors for scoring a whole catalogue: each row is padded to a multiple of 16 numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct TextTable {
    /// How vectors of further texts are made.
    space: TextSpace,
    /// Numbers of a vector.
    dims: usize,
    /// Numbers of a row.
    width: usize,
    rows: Vec<f32>,
}

impl TextTable {
    /// The vectors of a catalogue.
    #[must_use]
    pub fn new(vectors: &TextVectors) -> Self {
        let (width, rows) = padded_rows(&vectors.values(), vectors.dims());
        Self { space: vectors.space(), dims: vectors.dims(), width, rows }
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.rows.len() / self.width.max(1)
    }

    /// How vectors of further texts are made.
    #[must_use]
    pub fn space(&self) -> &TextSpace {
        &self.space
    }

    /// The text of an item that is not in the table, from its vector in [`space`](Self::space): the
    /// vector of length 1, and the known items with the most similar texts. The weight of a
    /// neighbour with cosine `c` is proportional to `exp((c − best) / scale)`. `None` for a vector
    /// of zeros or of another length, or if no item of the table has a text.
    #[must_use]
    pub fn added(&self, vector: &[f32], options: NeighbourOptions) -> Option<AddedText> {
        let number = options.number.max(1);
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if vector.len() != self.dims || !length.is_finite() || length <= 0.0 {
            return None;
        }
        let mut row: Vec<f32> =
            vector.iter().map(|value| (f64::from(*value) / length) as f32).collect();
        row.resize(self.width, 0.0);
        let known = self.rows.chunks_exact(self.width);
        let with_text = known.enumerate().filter(|(_, known)| known.iter().any(|v| *v != 0.0));
        let mut nearest: Vec<(ItemIndex, f32)> =
            with_text.map(|(at, known)| (ItemIndex(at as u32), dot(known, &row))).collect();
        let order =
            |a: &(ItemIndex, f32), b: &(ItemIndex, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if nearest.len() > number {
            nearest.select_nth_unstable_by(number - 1, order);
            nearest.truncate(number);
        }
        // It has held every item of the table, and is kept for as long as the added item.
        nearest.shrink_to_fit();
        nearest.sort_unstable_by(order);
        let best = nearest.first()?.1;
        for (_, weight) in &mut nearest {
            *weight = ((*weight - best) / options.scale).exp();
        }
        let sum: f32 = nearest.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut nearest {
            *weight /= sum;
        }
        Some(AddedText { row, neighbours: nearest, spread: options.spread })
    }

    /// The row of an item; `None` for one that has none.
    fn row<'t>(&'t self, item: ItemIndex, added: Option<&'t AddedItems>) -> Option<&'t [f32]> {
        let start = item.position() * self.width;
        let known = self.rows.get(start..start + self.width);
        known.or_else(|| Some(added?.text(item)?.row.as_slice()))
    }

    /// The vector of a history, `[width]`, whose dot products with rows are the scores; `None` if no
    /// item of the history has a text.
    pub(crate) fn visitor(
        &self,
        history: &[ItemIndex],
        added: Option<&AddedItems>,
    ) -> Option<Vec<f32>> {
        let mut visitor = vec![0.0; self.width];
        let mut worth = 1.0;
        for item in history.iter().rev().take(MAX_AGE) {
            let row = self.row(*item, added).unwrap_or_default();
            visitor.iter_mut().zip(row).for_each(|(sum, value)| *sum += worth * value);
            worth *= DECAY;
        }
        visitor.iter().any(|value| *value != 0.0).then_some(visitor)
    }

    /// Numbers of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The row of an item of the catalogue, `[width]`.
    pub(crate) fn known_row(&self, item: usize) -> &[f32] {
        &self.rows[item * self.width..(item + 1) * self.width]
    }

    /// Writes the similarity of every item to a history, oldest first, to `scores` `[items]`, those
    /// of `added` after those of the table; 0 for items without text. Returns `false`, and leaves
    /// `scores` as they are, if no item of the history has a text.
    pub fn scores(
        &self,
        history: &[ItemIndex],
        added: Option<&AddedItems>,
        scores: &mut Vec<f32>,
    ) -> bool {
        let Some(visitor) = self.visitor(history, added) else { return false };
        scores.clear();
        scores.extend(self.rows.chunks_exact(self.width).map(|row| dot(row, &visitor)));
        if let Some(added) = added {
            let text = (self.items() as u32..added.positions() as u32)
                .map(|position| added.text(ItemIndex(position)));
            scores.extend(text.map(|text| text.map_or(0.0, |text| dot(&text.row, &visitor))));
        }
        true
    }
}

/// Rows `[items, dims]`, each padded with zeros to a width that [`dot`] multiplies in whole
/// vector registers, and the width.
pub(super) fn padded_rows(values: &[f32], dims: usize) -> (usize, Vec<f32>) {
    let width = dims.next_multiple_of(LANES);
    let mut rows = Vec::with_capacity(values.len() / dims.max(1) * width);
    for row in values.chunks_exact(dims.max(1)) {
        rows.extend_from_slice(row);
        rows.resize(rows.len() + width - dims, 0.0);
    }
    (width, rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_dataset::{Catalogue, Item, text_vectors::TextSource};

    use super::*;
    use crate::added_items::AddedItem;

    /// The table of `a`, `b` and `c` with vectors of two numbers.
    fn table(values: &[f32]) -> TextTable {
        let ids = ["a", "b", "c"];
        let items = ids.map(|id| Item::untitled(id.into())).to_vec();
        let source = TextSource {
            model: String::new(),
            model_sha256: String::new(),
            pooling: String::new(),
            template: String::new(),
        };
        let texts = ids.map(str::to_owned);
        let catalogue = Catalogue::new(items).unwrap();
        TextTable::new(&TextVectors::new(source, &catalogue, &texts, 2, values).unwrap())
    }

    #[test]
    fn newer_items_count_more_and_items_without_text_nothing() {
        let table = table(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let mut scores = Vec::new();
        assert!(table.scores(&[ItemIndex(0), ItemIndex(1), ItemIndex(2)], None, &mut scores));
        // `c` has no text, so `b` is one and `a` two items old.
        for (found, expected) in scores.iter().zip([0.49, 0.7, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{scores:?}");
        }
        assert!(!table.scores(&[ItemIndex(2)], None, &mut scores));
    }

    #[test]
    fn an_added_item_is_compared_with_all_and_weighs_the_nearest() {
        // `a` and `b` at right angles, `c` without a text.
        let table = table(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let options = NeighbourOptions::default();
        assert_eq!(table.added(&[0.0, 0.0], options), None);
        assert_eq!(table.added(&[1.0], options), None);
        // Cosines 0.8 and 0.6; weights 1 and exp(-0.2 / 0.05).
        let alone = NeighbourOptions { number: 1, ..options };
        let nearest = table.added(&[4.0, 3.0], alone).unwrap();
        assert_eq!(nearest.neighbours(), [(ItemIndex(0), 1.0)]);
        assert_eq!(nearest.neighbours.capacity(), 1, "its memory grows with the catalogue");
        let text = table.added(&[4.0, 3.0], options).unwrap();
        let far = (-4.0_f32).exp();
        assert_eq!(text.neighbours().len(), 2);
        let expected = [(ItemIndex(0), 1.0 / (1.0 + far)), (ItemIndex(1), far / (1.0 + far))];
        for (found, expected) in text.neighbours().iter().zip(expected) {
            assert_eq!(found.0, expected.0);
            assert!((found.1 - expected.1).abs() < 1e-6, "{found:?}");
        }
        let catalogue = Catalogue::new(["a", "b", "c"].map(|id| Item::untitled(id.into())).into());
        let mut added = AddedItems::new(&catalogue.unwrap());
        let (new, without_text) = (added.push(), added.push());
        let item = Item::untitled("new".into());
        added.set(new, Some(Arc::new(AddedItem { item, text: Some(text) })));
        let mut scores = Vec::new();
        assert!(table.scores(&[ItemIndex(0)], Some(&added), &mut scores));
        assert_eq!(scores, [1.0, 0.0, 0.0, 0.8, 0.0]);
        assert!(table.scores(&[new], Some(&added), &mut scores), "its text is in the history");
        assert_eq!(scores[..3], [0.8, 0.6, 0.0]);
        assert!(!table.scores(&[without_text], Some(&added), &mut scores));
    }
}
