use tandem_model::clusters::{centroids, gather, nearest};

/// Splits groups of rows in two until each is small enough.
pub(super) struct Splitter<'a> {
    pub(super) rows: &'a [f32], // [items, dims]
    pub(super) dims: usize,
    /// Size of each item in a cell file.
    pub(super) bytes: &'a [usize],
    /// Maximum bytes of the items of a cell.
    pub(super) room: usize,
}

impl Splitter<'_> {
    /// Splits `groups` until the items of each fit into `room`, or a single item is left.
    /// Groups without items are dropped; the order within a group is kept.
    pub(super) fn split(&self, mut groups: Vec<Vec<u32>>, mut seed: u64) -> Vec<Vec<u32>> {
        let mut small = Vec::new();
        while let Some(items) = groups.pop() {
            let bytes: usize = items.iter().map(|&item| self.bytes[item as usize]).sum();
            if items.len() > 1 && bytes > self.room {
                seed = seed.wrapping_add(1);
                groups.extend(self.halves(&items, seed));
            } else if !items.is_empty() {
                small.push(items);
            }
        }
        small
    }

    /// Two clusters of the rows; halves by position if the rows are equal.
    fn halves(&self, items: &[u32], seed: u64) -> [Vec<u32>; 2] {
        let own = gather(self.rows, self.dims, items.iter().map(|&item| item as usize));
        let centroids = centroids(&own, self.dims, 2, seed);
        let nearest = nearest(&own, self.dims, &centroids);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (&item, centroid) in items.iter().zip(nearest) {
            if centroid == 0 { left.push(item) } else { right.push(item) }
        }
        if left.is_empty() || right.is_empty() {
            let (first, second) = items.split_at(items.len() / 2);
            return [first.to_vec(), second.to_vec()];
        }
        [left, right]
    }
}
