//! The catalogue's titles as a radix tree of tokens.
//!
//! Titles are sorted by their tokens, so the items below a node are a contiguous range of
//! that order. Counting what a query leaves of a subtree, in items or in popularity, is
//! then a difference of prefix sums minus a binary search in the (short) list of removed
//! positions: a [`Mask`] costs `O(removed · log removed)` to make and nothing per node.
//!
//! Invariants: every title ends with the end marker, which occurs nowhere else, so no title
//! is a prefix of another; children of a node differ in their first token; a node has no
//! children exactly if the items below it share one token sequence.

use std::{collections::VecDeque, ops::Range};

use tandem_dataset::ItemIndex;

/// A token of the language model's vocabulary.
pub type Token = u32;

/// Longest token sequence kept of a title, end marker included. Titles that agree so far
/// share a leaf, like items with the same title.
pub const MAX_TITLE_TOKENS: usize = 64;

/// A node of a [`Trie`]; only valid for the trie it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node above all items.
    pub const ROOT: Self = Self(0);

    /// Dense position, below [`Trie::nodes`].
    #[must_use]
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// Items below, as a range of the sorted order.
    range: Range<u32>,
    /// Tokens from the root to the end of this node's edge.
    depth: u32,
    /// Depth of the parent: the edge is `depth - parent_depth` tokens.
    parent_depth: u32,
    children: Range<u32>,
}

/// Radix tree over token sequences. See the [module](self).
#[derive(Clone, Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    /// Items in the order of their token sequences, ties by [`ItemIndex`].
    sorted: Vec<ItemIndex>,
    /// Position in `sorted` of each item.
    position: Vec<u32>,
    /// Token sequences in sorted order, one after another.
    tokens: Vec<Token>,
    /// Where the sequence of each sorted position starts; one more than items.
    starts: Vec<u32>,
    /// Prefix sums of the items' weights in sorted order; one more than items.
    weight: Vec<u64>,
}

/// Items removed for one query.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// Sorted positions, ascending and distinct.
    positions: Vec<u32>,
    /// Prefix sums of their weights; one more than positions.
    weight: Vec<u64>,
}

impl Trie {
    /// Builds the tree of `titles[i]` = tokens of item `i` without end marker, and
    /// `counts[i]` = how often item `i` was interacted with.
    ///
    /// Occurrences of `end` inside a title are dropped and the title is cut to
    /// [`MAX_TITLE_TOKENS`], which keeps the invariants of the [module](self).
    ///
    /// # Panics
    /// If the two slices differ in length, or hold more than `u32::MAX` tokens together.
    #[must_use]
    pub fn new(titles: &[Vec<Token>], counts: &[u32], end: Token) -> Self {
        assert_eq!(titles.len(), counts.len(), "one count an item");
        let sequences: Vec<Vec<Token>> = titles
            .iter()
            .map(|title| {
                let kept = title.iter().copied().filter(|&token| token != end);
                kept.take(MAX_TITLE_TOKENS - 1).chain([end]).collect()
            })
            .collect();
        let mut sorted: Vec<ItemIndex> = (0..narrow(sequences.len())).map(ItemIndex).collect();
        sorted.sort_by(|a, b| sequences[a.position()].cmp(&sequences[b.position()]).then(a.cmp(b)));
        let mut position = vec![0; sorted.len()];
        let (mut tokens, mut starts, mut weight) = (Vec::new(), vec![0], vec![0]);
        let mut total = 0;
        for (place, item) in sorted.iter().enumerate() {
            position[item.position()] = narrow(place);
            tokens.extend_from_slice(&sequences[item.position()]);
            starts.push(narrow(tokens.len()));
            total += u64::from(counts[item.position()]) + 1;
            weight.push(total);
        }
        let root =
            Node { range: 0..narrow(sorted.len()), depth: 0, parent_depth: 0, children: 0..0 };
        let mut trie = Self { nodes: vec![root], sorted, position, tokens, starts, weight };
        trie.grow();
        trie
    }

    /// Adds the nodes below the root, breadth first, so that siblings are neighbours.
    fn grow(&mut self) {
        let mut queue = VecDeque::from([NodeId::ROOT]);
        while let Some(id) = queue.pop_front() {
            let Node { range, depth, .. } = self.nodes[id.position()].clone();
            // Sequences are prefix-free: if one ends here, all do.
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
                // Sorted, so what the outermost two share all of them share.
                let (a, b) = (self.sequence(low), self.sequence(high - 1));
                let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                queue.push_back(NodeId(narrow(self.nodes.len())));
                self.nodes.push(Node {
                    range: low..high,
                    depth: narrow(shared),
                    parent_depth: depth,
                    children: 0..0,
                });
                low = high;
            }
            self.nodes[id.position()].children = narrow(first)..narrow(self.nodes.len());
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
    /// If the item is not in the catalogue the tree was made of.
    #[must_use]
    pub fn title(&self, item: ItemIndex) -> &[Token] {
        self.sequence(self.position[item.position()])
    }

    /// The children of a node; empty for a leaf.
    pub fn children(&self, node: NodeId) -> impl ExactSizeIterator<Item = NodeId> + use<> {
        self.nodes[node.position()].children.clone().map(NodeId)
    }

    /// Whether the items below share one token sequence.
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

    /// The first token of the node's edge, which tells it from its siblings.
    ///
    /// # Panics
    /// For the root, which has no edge.
    #[must_use]
    pub fn first_token(&self, node: NodeId) -> Token {
        let node = &self.nodes[node.position()];
        self.sequence(node.range.start)[node.parent_depth as usize]
    }

    /// Makes the mask of a query; repeats are allowed.
    ///
    /// # Panics
    /// If an item is not in the catalogue the tree was made of.
    #[must_use]
    pub fn mask(&self, removed: impl IntoIterator<Item = ItemIndex>) -> Mask {
        let mut positions: Vec<u32> =
            removed.into_iter().map(|item| self.position[item.position()]).collect();
        positions.sort_unstable();
        positions.dedup();
        let mut weight = vec![0];
        let mut total = 0;
        for &place in &positions {
            total += self.weight[place as usize + 1] - self.weight[place as usize];
            weight.push(total);
        }
        Mask { positions, weight }
    }

    /// How many items the mask leaves below a node.
    #[must_use]
    pub fn remaining(&self, node: NodeId, mask: &Mask) -> usize {
        let range = &self.nodes[node.position()].range;
        range.len() - mask.within(range).len()
    }

    /// The popularity the mask leaves below a node: the sum of `count + 1` over its items.
    #[must_use]
    pub fn weight(&self, node: NodeId, mask: &Mask) -> u64 {
        let range = &self.nodes[node.position()].range;
        let removed = mask.within(range);
        let removed = if mask.positions.is_empty() {
            0
        } else {
            mask.weight[removed.end] - mask.weight[removed.start]
        };
        self.weight[range.end as usize] - self.weight[range.start as usize] - removed
    }

    /// The items that the mask leaves below a node, each with its weight (`count + 1`).
    pub fn leaves(&self, node: NodeId, mask: &Mask) -> impl Iterator<Item = (ItemIndex, u64)> {
        let range = self.nodes[node.position()].range.clone();
        let removed = &mask.positions[mask.within(&range)];
        range.filter(|place| removed.binary_search(place).is_err()).map(|place| {
            let place = place as usize;
            (self.sorted[place], self.weight[place + 1] - self.weight[place])
        })
    }

    fn sequence(&self, place: u32) -> &[Token] {
        let place = place as usize;
        &self.tokens[self.starts[place] as usize..self.starts[place + 1] as usize]
    }
}

impl Mask {
    /// Which of the mask's own entries fall into a range of sorted positions.
    fn within(&self, range: &Range<u32>) -> Range<usize> {
        let start = self.positions.partition_point(|&place| place < range.start);
        let end = self.positions.partition_point(|&place| place < range.end);
        start..end
    }
}

fn narrow(value: usize) -> u32 {
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
            found.extend(trie.leaves(node, mask).map(|(item, _)| item));
        } else {
            assert_eq!(below, trie.remaining(node, mask));
            assert_eq!(weight, trie.weight(node, mask));
            for child in children {
                walk(trie, mask, child, found);
            }
        }
    }

    #[test]
    fn a_title_that_begins_another_ends_in_its_own_leaf() {
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
    fn equal_titles_share_a_leaf_and_stay_two_items() {
        let trie = Trie::new(&[vec![5], vec![7], vec![5]], &[3, 0, 1], END);
        let mask = Mask::default();
        let leaf = trie.children(NodeId::ROOT).next().unwrap();
        assert!(trie.is_leaf(leaf));
        assert_eq!(
            trie.leaves(leaf, &mask).collect::<Vec<_>>(),
            [(ItemIndex(0), 4), (ItemIndex(2), 2)]
        );
        let mask = trie.mask([ItemIndex(0), ItemIndex(0)]);
        assert_eq!(trie.weight(NodeId::ROOT, &mask), 3);
        assert_eq!(trie.leaves(leaf, &mask).collect::<Vec<_>>(), [(ItemIndex(2), 2)]);
    }

    #[test]
    fn an_empty_catalogue_is_a_bare_root() {
        let trie = Trie::new(&[], &[], END);
        assert!(trie.is_leaf(NodeId::ROOT));
        assert_eq!(trie.remaining(NodeId::ROOT, &trie.mask([])), 0);
        assert!(trie.path(NodeId::ROOT).is_empty());
    }

    #[test]
    fn endless_titles_are_cut_and_share_a_leaf() {
        let trie = Trie::new(&[vec![5; 1000], vec![5; 999]], &[0, 0], END);
        assert_eq!(trie.title(ItemIndex(0)).len(), MAX_TITLE_TOKENS);
        let leaf = trie.children(NodeId::ROOT).next().unwrap();
        assert_eq!(trie.leaves(leaf, &Mask::default()).count(), 2);
    }

    proptest! {
        #[test]
        fn every_item_that_remains_is_reached_once(
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
