use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use tandem_dataset::ItemIndex;

use crate::Ranked;

/// The best `k` items so far, as a min-heap.
pub(super) struct TopK {
    k: usize,
    heap: BinaryHeap<Reverse<(Score, Reverse<ItemIndex>)>>,
}

/// A log-probability with a total order. It has the precision in which it is reported, so
/// that equal reported values are ties.
#[derive(Clone, Copy, PartialEq)]
struct Score(f32);

impl Eq for Score {}
impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl TopK {
    pub(super) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Whether an item of this log-probability could enter the top `k`.
    pub(super) fn admits(&self, logprob: f64) -> bool {
        self.heap.len() < self.k
            || self.heap.peek().is_some_and(|Reverse((worst, _))| logprob as f32 >= worst.0)
    }

    pub(super) fn push(&mut self, item: ItemIndex, logprob: f64) {
        self.heap.push(Reverse((Score(logprob.min(0.0) as f32), Reverse(item))));
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    pub(super) fn into_ranked(self) -> Vec<Ranked> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse((score, Reverse(item)))| Ranked { item, logprob: score.0 })
            .collect()
    }
}
