use tandem_dataset::{ItemIndex, text_vectors::TextVectors};

/// Number of newest items of a history whose texts are compared.
const MAX_AGE: usize = 10;
/// Weight of an item's text relative to the next newer one.
const DECAY: f32 = 0.7;
/// Values multiplied in parallel.
const LANES: usize = 16;

/// Text vectors for scoring a whole catalogue: each row is padded to a multiple of 16 numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct TextTable {
    width: usize,
    rows: Vec<f32>,
}

impl TextTable {
    /// The vectors of a catalogue.
    #[must_use]
    pub fn new(vectors: &TextVectors) -> Self {
        let (width, rows) = padded_rows(&vectors.values(), vectors.dims());
        Self { width, rows }
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.rows.len() / self.width.max(1)
    }

    /// Writes the similarity of every item to a history, oldest first, to `scores` `[items]`.
    /// Returns `false`, and leaves `scores` as they are, if no item of the history has a text.
    ///
    /// # Panics
    /// If the history has an item outside the catalogue.
    pub fn scores(&self, history: &[ItemIndex], scores: &mut Vec<f32>) -> bool {
        let mut visitor = vec![0.0; self.width];
        let mut worth = 1.0;
        for item in history.iter().rev().take(MAX_AGE) {
            let row = &self.rows[item.position() * self.width..][..self.width];
            visitor.iter_mut().zip(row).for_each(|(sum, value)| *sum += worth * value);
            worth *= DECAY;
        }
        if visitor.iter().all(|value| *value == 0.0) {
            return false;
        }
        scores.clear();
        scores.extend(self.rows.chunks_exact(self.width).map(|row| dot(row, &visitor)));
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

/// Several sums, so that the compiler can use vector registers.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Item, text_vectors::TextSource};

    use super::*;

    #[test]
    fn newer_items_count_more_and_items_without_text_nothing() {
        let ids = ["a", "b", "c"];
        let items = ids.map(|id| Item::untitled(id.into())).to_vec();
        let source = TextSource {
            model: String::new(),
            model_sha256: String::new(),
            pooling: String::new(),
            template: String::new(),
        };
        let texts = ids.map(str::to_owned);
        let values = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let catalogue = Catalogue::new(items).unwrap();
        let vectors = TextVectors::new(source, &catalogue, &texts, 2, &values).unwrap();
        let table = TextTable::new(&vectors);
        let mut scores = Vec::new();
        assert!(table.scores(&[ItemIndex(0), ItemIndex(1), ItemIndex(2)], &mut scores));
        // `c` has no text, so `b` is one and `a` two items old.
        for (found, expected) in scores.iter().zip([0.49, 0.7, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{scores:?}");
        }
        assert!(!table.scores(&[ItemIndex(2)], &mut scores));
    }
}
