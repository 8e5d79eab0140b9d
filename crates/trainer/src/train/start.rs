//! Item rows of a training that continues an earlier model.

use tandem_dataset::Dataset;
use tandem_protocol::ItemId;

/// `rows` `[items, dims]` of the catalogue of `dataset`, in which the items with a `place` in
/// the earlier table `known` `[earlier items, dims]` have their rows from there.
pub(super) fn rows_by_id(
    mut rows: Vec<f32>,
    known: &[f32],
    dataset: &Dataset,
    place: impl Fn(&ItemId) -> Option<usize>,
) -> Vec<f32> {
    let items = dataset.catalogue.items();
    let dims = rows.len() / items.len().max(1);
    for (row, item) in rows.chunks_exact_mut(dims.max(1)).zip(items) {
        if let Some(at) = place(&item.id) {
            row.copy_from_slice(&known[at * dims..(at + 1) * dims]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Item};

    use super::*;

    #[test]
    fn known_items_keep_their_rows_and_new_items_the_random_ones() {
        let items = ["b", "new", "a"].map(|id| Item::untitled(id.into())).into();
        let dataset = Dataset::new("d", Catalogue::new(items).unwrap(), Vec::new(), None).unwrap();
        let place = |id: &ItemId| ["a", "b"].iter().position(|known| *known == id.as_str());
        let rows = rows_by_id(vec![0.5; 6], &[1.0, 2.0, 3.0, 4.0], &dataset, place);
        assert_eq!(rows, [3.0, 4.0, 0.5, 0.5, 1.0, 2.0]);
    }
}
