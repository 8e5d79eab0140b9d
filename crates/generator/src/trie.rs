//! The titles of the catalogue as a radix tree of tokens.
//!
//! Titles are sorted by their tokens, so the items below a node are a contiguous range of
//! that order. The number of remaining items below a node, and their popularity, are
//! differences of prefix sums minus a binary search in the short list of removed positions.
//! A [`Mask`] costs `O(removed · log removed)` to build and nothing per node.
//!
//! Invariants: every title ends with the end marker, which occurs nowhere else, so no title
//! is a prefix of another; the children of a node differ in their first token; a node is a
//! leaf if and only if all items below it have the same token sequence.

use std::{collections::VecDeque, ops::Range};

use tandem_dataset::ItemIndex;

/// A token of the language model's vocabulary.
pub type Token = u32;

/// Maximum length of a title in tokens, end marker included. Longer titles are cut; titles
/// that are equal after the cut share a leaf.
pub const MAX_TITLE_TOKENS: usize = 64;

/// A node of a [`Trie`]; valid only for the trie that returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The root.
    pub const ROOT: Self = Self(0);

    /// Dense index, less than [`Trie::nodes`].
    #[must_use]
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// Items below, as a range of the sorted order.
    range: Range<u32>,
    /// Number of tokens from the root to the end of this node's edge.
    depth: u32,
    /// Depth of the parent. The edge has `depth - parent_depth` tokens.
    parent_depth: u32,
    children: Range<u32>,
}

/// A radix tree over token sequences. See the [module](self).
#[derive(Clone, Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    /// Items in the order of their token sequences, ties by [`ItemIndex`].
    sorted: Vec<ItemIndex>,
    /// Position in `sorted` of each item.
    position: Vec<u32>,
    /// Token sequences in sorted order, concatenated.
    tokens: Vec<Token>,
    /// Start of each sequence in `tokens`, `[items + 1]`.
    starts: Vec<u32>,
    /// Prefix sums of the items' weights in sorted order, `[items + 1]`.
    weight: Vec<u64>,
}

/// The items removed by one query.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// Sorted positions, ascending and distinct.
    positions: Vec<u32>,
    /// Prefix sums of their weights, `[positions + 1]`.
    weight: Vec<u64>,
}

/// Weights of the items for one query, in place of their popularity.
#[derive(Clone, Debug)]
pub struct ItemWeights {
    /// Prefix sums in sorted order, `[items + 1]`. Removed items add nothing.
    sums: Vec<f64>,
}

impl Trie {
    /// Builds the trie. `titles[i]` are the tokens of item `i` without end marker, `counts[i]`
    /// is its number of interactions.
    ///
    /// Occurrences of `end` inside a title are dropped and the title is cut to
    /// [`MAX_TITLE_TOKENS`], which keeps the invariants of the [module](self).
    ///
    /// # Panics
    /// If the two slices differ in length, or the titles have more than `u32::MAX` tokens in
    /// total.
    #[must_use]
    pub fn new(titles: &[Vec<Token>], counts: &[u32], end: Token) -> Self {
        assert_eq!(titles.len(), counts.len(), "one count per item");
        let sequences: Vec<Vec<Token>> = titles
            .iter()
            .map(|title| {
                let kept = title.iter().copied().filter(|&token| token != end);
                kept.take(MAX_TITLE_TOKENS - 1).chain([end]).collect()
            })
            .collect();
        let mut sorted: Vec<ItemIndex> = (0..to_u32(sequences.len())).map(ItemIndex).collect();
        sorted.sort_by(|a, b| sequences[a.position()].cmp(&sequences[b.position()]).then(a.cmp(b)));
        let mut position = vec![0; sorted.len()];
        let (mut tokens, mut starts, mut weight) = (Vec::new(), vec![0], vec![0]);
        let mut total = 0;
        for (rank, item) in sorted.iter().enumerate() {
            position[item.position()] = to_u32(rank);
            tokens.extend_from_slice(&sequences[item.position()]);
            starts.push(to_u32(tokens.len()));
            total += u64::from(counts[item.position()]) + 1;
            weight.push(total);
        }
        let root =
            Node { range: 0..to_u32(sorted.len()), depth: 0, parent_depth: 0, children: 0..0 };
        let mut trie = Self { nodes: vec![root], sorted, position, tokens, starts, weight };
        trie.add_nodes();
        trie
    }

    /// The same items and, after them, items with the titles `added`, each with `count`
    /// interactions. `end` is that of [`Trie::new`].
    #[must_use]
    pub fn extended(&self, added: &[Vec<Token>], count: u32, end: Token) -> Self {
        let known = (0..to_u32(self.items())).map(ItemIndex);
        let titles = known.map(|item| self.title(item).to_vec());
        let titles: Vec<Vec<Token>> = titles.chain(added.iter().cloned()).collect();
        let mut counts = self.counts();
        counts.resize(titles.len(), count);
        Self::new(&titles, &counts, end)
    }

    /// The number of interactions of each item.
    #[must_use]
    pub fn counts(&self) -> Vec<u32> {
        let count = |&rank: &u32| {
            let rank = rank as usize;
            (self.weight[rank + 1] - self.weight[rank] - 1) as u32
        };
        self.position.iter().map(count).collect()
    }

    /// The tokens from the root to the first one of the node's edge, which no other node shares.
    /// The root has none.
    pub(crate) fn key(&self, node: NodeId) -> &[Token] {
        let first = self.nodes[node.position()].parent_depth as usize + 1;
        let path = self.path(node);
        &path[..first.min(path.len())]
    }

    /// Adds the nodes below the root in breadth-first order, so that siblings are adjacent.
    fn add_nodes(&mut self) {
        let mut queue = VecDeque::from([NodeId::ROOT]);
        while let Some(id) = queue.pop_front() {
            let Node { range, depth, .. } = self.nodes[id.position()].clone();
            // Sequences are prefix-free: if one ends here, all of them end here.
            if range.is_empty() || self.sequence(range.start).len() == depth as usize {
                continue;
            }
            let first = self.nodes.len();
            let mut low = range.start;
            while low < range.end {
                let token = self.sequence(low)[depth as usize];
                let mut high = low + 1;
                while high < range.end && self.sequence(high)[depth as usize] == token {
                    high += 1;
                }
                // The sequences are sorted: the common prefix of the first and the last is
                // the common prefix of all.
                let (a, b) = (self.sequence(low), self.sequence(high - 1));
                let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                queue.push_back(NodeId(to_u32(self.nodes.len())));
                self.nodes.push(Node {
                    range: low..high,
                    depth: to_u32(shared),
                    parent_depth: depth,
                    children: 0..0,
                });
                low = high;
            }
            self.nodes[id.position()].children = to_u32(first)..to_u32(self.nodes.len());
        }
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.sorted.len()
    }

    /// Number of nodes, the root included.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The tokens of an item's title, end marker included.
    ///
    /// # Panics
    /// If the item is not in the trie.
    #[must_use]
    pub fn title(&self, item: ItemIndex) -> &[Token] {
        self.sequence(self.position[item.position()])
    }

    /// All nodes, the root first.
    pub(crate) fn all_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..to_u32(self.nodes.len())).map(NodeId)
    }

    /// The children of a node; empty for a leaf.
    pub fn children(&self, node: NodeId) -> impl ExactSizeIterator<Item = NodeId> + use<> {
        self.nodes[node.position()].children.clone().map(NodeId)
    }

    /// True if all items below have the same token sequence.
    #[must_use]
    pub fn is_leaf(&self, node: NodeId) -> bool {
        self.nodes[node.position()].children.is_empty()
    }

    /// Number of tokens from the root to the end of the node's edge.
    #[must_use]
    pub fn depth(&self, node: NodeId) -> usize {
        self.nodes[node.position()].depth as usize
    }

    /// The tokens from the root to the end of the node's edge.
    #[must_use]
    pub fn path(&self, node: NodeId) -> &[Token] {
        if self.sorted.is_empty() {
            return &[];
        }
        let node = &self.nodes[node.position()];
        &self.sequence(node.range.start)[..node.depth as usize]
    }

    /// The first token of the node's edge, which differs from those of its siblings.
    ///
    /// # Panics
    /// If the node is the root, which has no edge.
    #[must_use]
    pub fn first_token(&self, node: NodeId) -> Token {
        let node = &self.nodes[node.position()];
        self.sequence(node.range.start)[node.parent_depth as usize]
    }

    /// Builds the mask of a query. Repeated items are allowed.
    ///
    /// # Panics
    /// If an item is not in the trie.
    #[must_use]
    pub fn mask(&self, removed: impl IntoIterator<Item = ItemIndex>) -> Mask {
        let mut positions: Vec<u32> =
            removed.into_iter().map(|item| self.position[item.position()]).collect();
        positions.sort_unstable();
        positions.dedup();
        let mut weight = vec![0];
        let mut total = 0;
        for &rank in &positions {
            total += self.weight[rank as usize + 1] - self.weight[rank as usize];
            weight.push(total);
        }
        Mask { positions, weight }
    }

    /// Number of items below a node that the mask does not remove.
    #[must_use]
    pub fn remaining(&self, node: NodeId, mask: &Mask) -> usize {
        let range = &self.nodes[node.position()].range;
        range.len() - mask.entries_within(range).len()
    }

    /// Popularity of the remaining items below a node: the sum of `count + 1`.
    #[must_use]
    pub fn weight(&self, node: NodeId, mask: &Mask) -> u64 {
        let range = &self.nodes[node.position()].range;
        let removed = mask.entries_within(range);
        let removed = if mask.positions.is_empty() {
            0
        } else {
            mask.weight[removed.end] - mask.weight[removed.start]
        };
        self.weight[range.end as usize] - self.weight[range.start as usize] - removed
    }

    /// The remaining items below a node, each with its weight (`count + 1`).
    pub fn items_below(&self, node: NodeId, mask: &Mask) -> impl Iterator<Item = (ItemIndex, u64)> {
        let range = self.nodes[node.position()].range.clone();
        let removed = &mask.positions[mask.entries_within(&range)];
        range.filter(|rank| removed.binary_search(rank).is_err()).map(|rank| {
            let rank = rank as usize;
            (self.sorted[rank], self.weight[rank + 1] - self.weight[rank])
        })
    }

    /// The weights of items for a query: `weights[i]`, which must be positive, of each item that the
    /// mask does not remove.
    ///
    /// # Panics
    /// If there are fewer weights than items.
    #[must_use]
    pub fn item_weights(&self, mask: &Mask, weights: &[f64]) -> ItemWeights {
        let mut removed = mask.positions.iter().copied().peekable();
        let mut sums = Vec::with_capacity(self.sorted.len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for (rank, item) in (0..).zip(&self.sorted) {
            if removed.next_if_eq(&rank).is_none() {
                sum += weights[item.position()];
            }
            sums.push(sum);
        }
        ItemWeights { sums }
    }

    /// The token sequence at a position of the sorted order.
    fn sequence(&self, rank: u32) -> &[Token] {
        let rank = rank as usize;
        &self.tokens[self.starts[rank] as usize..self.starts[rank + 1] as usize]
    }
}

impl ItemWeights {
    /// Sum of the weights below a node, above 0.
    #[must_use]
    pub fn below(&self, trie: &Trie, node: NodeId) -> f64 {
        let range = &trie.nodes[node.position()].range;
        self.between(range.start, range.end)
    }

    /// The weight of an item that is not removed, above 0.
    #[must_use]
    pub fn of_item(&self, trie: &Trie, item: ItemIndex) -> f64 {
        let rank = trie.position[item.position()];
        self.between(rank, rank + 1)
    }

    /// A small weight may vanish in the sums, but an item that remains has a probability.
    fn between(&self, start: u32, end: u32) -> f64 {
        (self.sums[end as usize] - self.sums[start as usize]).max(f64::MIN_POSITIVE)
    }
}

impl Mask {
    /// The mask's entries inside a range of sorted positions.
    fn entries_within(&self, range: &Range<u32>) -> Range<usize> {
        let start = self.positions.partition_point(|&rank| rank < range.start);
        let end = self.positions.partition_point(|&rank| rank < range.end);
        start..end
    }
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("a catalogue has fewer than 2^32 title tokens")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END: Token = 0;

    fn walk(trie: &Trie, mask: &Mask, node: NodeId, found: &mut Vec<ItemIndex>) {
        let children: Vec<NodeId> = trie.children(node).collect();
        let below: usize = children.iter().map(|&child| trie.remaining(child, mask)).sum();
        let weight: u64 = children.iter().map(|&child| trie.weight(child, mask)).sum();
        if children.is_empty() {
            found.extend(trie.items_below(node, mask).map(|(item, _)| item));
        } else {
            assert_eq!(below, trie.remaining(node, mask));
            assert_eq!(weight, trie.weight(node, mask));
            for child in children {
                walk(trie, mask, child, found);
            }
        }
    }

    #[test]
    fn a_title_that_is_a_prefix_of_another_has_its_own_leaf() {
        // "star" and "star wars", in tokens.
        let trie = Trie::new(&[vec![5], vec![5, 6]], &[1, 2], END);
        let below: Vec<NodeId> = trie.children(NodeId::ROOT).collect();
        assert_eq!(below.len(), 1);
        assert_eq!(trie.path(below[0]), [5]);
        let ends: Vec<Token> = trie.children(below[0]).map(|c| trie.first_token(c)).collect();
        assert_eq!(ends, [END, 6]);
        assert_eq!(trie.title(ItemIndex(1)), [5, 6, END]);
    }

    #[test]
    fn equal_titles_share_a_leaf_and_remain_two_items() {
        let trie = Trie::new(&[vec![5], vec![7], vec![5]], &[3, 0, 1], END);
        let mask = Mask::default();
        let leaf = trie.children(NodeId::ROOT).next().unwrap();
        assert!(trie.is_leaf(leaf));
        assert_eq!(
            trie.items_below(leaf, &mask).collect::<Vec<_>>(),
            [(ItemIndex(0), 4), (ItemIndex(2), 2)]
        );
        let mask = trie.mask([ItemIndex(0), ItemIndex(0)]);
        assert_eq!(trie.weight(NodeId::ROOT, &mask), 3);
        assert_eq!(trie.items_below(leaf, &mask).collect::<Vec<_>>(), [(ItemIndex(2), 2)]);
    }

    #[test]
    fn the_trie_of_an_empty_catalogue_is_a_root_without_children() {
        let trie = Trie::new(&[], &[], END);
        assert!(trie.is_leaf(NodeId::ROOT));
        assert_eq!(trie.remaining(NodeId::ROOT, &trie.mask([])), 0);
        assert!(trie.path(NodeId::ROOT).is_empty());
    }

    #[test]
    fn an_extended_trie_is_that_of_all_titles() {
        let titles = [vec![5, 6, 7], vec![5, 8], vec![9]];
        let counts = [3, 0, 1];
        let extended = Trie::new(&titles, &counts, END).extended(&[vec![5, 6, 4], vec![9]], 2, END);
        let all = [&titles[..], &[vec![5, 6, 4], vec![9]]].concat();
        let expected = Trie::new(&all, &[3, 0, 1, 2, 2], END);
        assert_eq!(format!("{extended:?}"), format!("{expected:?}"));
        let keys: Vec<&[Token]> =
            (0..extended.nodes() as u32).map(|node| extended.key(NodeId(node))).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(keys.contains(&[5, 6, 4].as_slice()) && keys.contains(&[9].as_slice()));
    }

    #[test]
    fn long_titles_are_cut_and_share_a_leaf() {
        let trie = Trie::new(&[vec![5; 1000], vec![5; 999]], &[0, 0], END);
        assert_eq!(trie.title(ItemIndex(0)).len(), MAX_TITLE_TOKENS);
        let leaf = trie.children(NodeId::ROOT).next().unwrap();
        assert_eq!(trie.items_below(leaf, &Mask::default()).count(), 2);
    }

    proptest! {
        #[test]
        fn every_remaining_item_is_reached_once(
            titles in prop::collection::vec((prop::collection::vec(0..4_u32, 0..6), 0..100_u32), 1..40),
            removed in prop::collection::vec(0..1000_usize, 0..20),
        ) {
            let (titles, counts): (Vec<_>, Vec<_>) = titles.into_iter().unzip();
            let trie = Trie::new(&titles, &counts, END);
            let removed: Vec<ItemIndex> =
                removed.into_iter().map(|r| ItemIndex((r % titles.len()) as u32)).collect();
            let mask = trie.mask(removed.iter().copied());
            let mut found = Vec::new();
            walk(&trie, &mask, NodeId::ROOT, &mut found);
            found.sort();
            let expected: Vec<ItemIndex> = (0..titles.len() as u32)
                .map(ItemIndex)
                .filter(|item| !removed.contains(item))
                .collect();
            prop_assert_eq!(&found, &expected);
            let weight: u64 =
                expected.iter().map(|item| u64::from(counts[item.position()]) + 1).sum();
            prop_assert_eq!(trie.weight(NodeId::ROOT, &mask), weight);
        }
    }
}
