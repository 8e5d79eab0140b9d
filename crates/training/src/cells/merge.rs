use std::mem;

/// Share of the best items of past queries that are in cells which are not merged.
const KEPT: f64 = 0.95;

/// Merges cells that queries rarely need into near ones with room, so that the index has fewer
/// entries.
///
/// The cells with most best items per byte, which together hold [`KEPT`] of all best items, stay
/// as they are: larger files of other items would cost a device bytes at every click. Each of the
/// others, smallest first, is joined with the one whose mean row is nearest among those that have
/// room for it. Without queries all cells may be merged.
pub(super) struct Merger<'a> {
    pub(super) rows: &'a [f32], // [items, dims]
    pub(super) dims: usize,
    /// Size of each item in a cell file.
    pub(super) bytes: &'a [usize],
    /// Maximum bytes of the items of a cell.
    pub(super) room: usize,
    /// How often each item is among the best of a query.
    pub(super) hits: &'a [u32],
}

struct Group {
    items: Vec<u32>,
    bytes: usize,
    mean: Vec<f32>, // [dims]
}

impl Merger<'_> {
    pub(super) fn merge(&self, cells: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
        let (mut kept, rare) = self.partition(cells);
        let mut rare: Vec<Group> = rare.into_iter().map(|items| self.group(items)).collect();
        rare.sort_by(|a, b| a.bytes.cmp(&b.bytes).then_with(|| a.items.cmp(&b.items)));
        for at in 0..rare.len() {
            let small = &rare[at];
            let nearest = rare[at + 1..]
                .iter()
                .enumerate()
                .filter(|(_, other)| other.bytes + small.bytes <= self.room)
                .map(|(ahead, other)| (at + 1 + ahead, distance(&small.mean, &other.mean)))
                .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            let items = mem::take(&mut rare[at].items);
            match nearest {
                Some((other, _)) => {
                    let joined = [mem::take(&mut rare[other].items), items].concat();
                    rare[other] = self.group(joined);
                }
                None => kept.push(items),
            }
        }
        for items in &mut kept {
            items.sort_unstable();
        }
        kept
    }

    /// The cells that stay as they are, and those that may be merged.
    fn partition(&self, cells: Vec<Vec<u32>>) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
        let hits =
            |items: &[u32]| items.iter().map(|&item| f64::from(self.hits[item as usize])).sum();
        let mut cells: Vec<(f64, f64, Vec<u32>)> = cells
            .into_iter()
            .map(|items| {
                let hits: f64 = hits(&items);
                (hits / self.total(&items).max(1) as f64, hits, items)
            })
            .collect();
        cells.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
        let mut wanted = KEPT * cells.iter().map(|cell| cell.1).sum::<f64>();
        let (mut kept, mut rare) = (Vec::new(), Vec::new());
        for (_, hits, items) in cells {
            if wanted > 0.0 {
                kept.push(items);
            } else {
                rare.push(items);
            }
            wanted -= hits;
        }
        (kept, rare)
    }

    fn group(&self, items: Vec<u32>) -> Group {
        let mut mean = vec![0.0_f32; self.dims];
        for &item in &items {
            let row = &self.rows[item as usize * self.dims..][..self.dims];
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / items.len() as f32);
        }
        Group { bytes: self.total(&items), items, mean }
    }

    fn total(&self, items: &[u32]) -> usize {
        items.iter().map(|&item| self.bytes[item as usize]).sum()
    }
}

/// The squared Euclidean distance.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items at these places on a line, ten bytes each.
    fn merged(places: &[f32], hits: &[u32], room: usize) -> Vec<Vec<u32>> {
        let bytes = vec![10; places.len()];
        let merger = Merger { rows: places, dims: 1, bytes: &bytes, room, hits };
        let mut cells = merger.merge((0..places.len() as u32).map(|item| vec![item]).collect());
        cells.sort();
        cells
    }

    #[test]
    fn near_cells_are_merged_within_the_room() {
        let cells = merged(&[0.0, 9.0, 1.0, 10.0], &[0; 4], 20);
        assert_eq!(cells, [vec![0, 2], vec![1, 3]]);
        assert_eq!(merged(&[0.0, 9.0, 1.0, 10.0], &[0; 4], 40), [vec![0, 1, 2, 3]]);
        assert_eq!(merged(&[0.0, 9.0, 1.0], &[0; 3], 19).len(), 3, "no room");
    }

    #[test]
    fn cells_with_most_of_the_best_items_are_not_merged() {
        // Item 0 alone has 96 % of all hits.
        let cells = merged(&[0.0, 0.1, 0.2], &[96, 2, 2], 30);
        assert_eq!(cells, [vec![0], vec![1, 2]]);
    }
}
