//! Items that were added to the shop after the models were trained.
//!
//! No model has a token or a row for them. Each engine uses what it can: the title engine adds
//! their titles to its trie, and the item-token engine scores them by their texts
//! ([`AddedText`]).

use std::{borrow::Cow, sync::Arc};

use tandem_dataset::{Catalogue, Item, ItemIndex};

/// Which known items stand for an added one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeighbourOptions {
    /// Number of known items, those with the most similar texts.
    pub number: usize,
    /// Difference of two cosines at which the farther item has `1/e` of the weight of the nearer
    /// one.
    pub scale: f32,
    /// How far the score of an added item is from the mean of all items, as a multiple of the
    /// distance of the mean of its neighbours. A mean varies less than its parts: with 1, hardly an
    /// added item would have a score far above the mean.
    pub spread: f32,
}

impl Default for NeighbourOptions {
    fn default() -> Self {
        // Chosen on validation targets of Beauty (docs/quality.md). The mean of the ten nearest
        // others of a known item varies 1/1.4 as much as its own score.
        Self { number: 10, scale: 0.05, spread: 1.5 }
    }
}

/// Number of added items that are copied when one of them changes while lists use the earlier ones.
const CHUNK: usize = 512;

type Slot = Option<Arc<AddedItem>>;

/// Items that are not in the catalogue of the models.
///
/// Their positions follow those of the catalogue: the first one has the position
/// `catalogue.len()`. A position is never used for another item, so a longer list extends a
/// shorter one. Cloning copies one pointer for every 512 items.
#[derive(Clone, Debug, Default)]
pub struct AddedItems {
    revision: u64,
    /// Number of items of the catalogue.
    known: usize,
    /// All but the last have `CHUNK` items.
    chunks: Vec<Arc<Vec<Slot>>>,
    /// Number of items in all chunks.
    len: usize,
    /// Number of items with a text.
    texts: usize,
}

/// An item that is not in the catalogue of the models.
#[derive(Clone, Debug, PartialEq)]
pub struct AddedItem {
    /// Id, title and the other fields; its number of interactions is not used.
    pub item: Item,
    /// What its text says; `None` without a text or an embedding model.
    pub text: Option<AddedText>,
}

/// The text of an added item, in the terms of a [`TextTable`](crate::ranking_signals::TextTable).
#[derive(Clone, Debug, PartialEq)]
pub struct AddedText {
    /// The text vector of length 1, padded as the rows of the table are.
    pub(crate) row: Vec<f32>,
    /// The known items with the most similar texts, most similar first, with weights that sum to
    /// 1.
    pub(crate) neighbours: Vec<(ItemIndex, f32)>,
    /// See [`NeighbourOptions::spread`].
    pub(crate) spread: f32,
}

impl AddedText {
    /// The known items with the most similar texts, most similar first, with weights that sum to
    /// 1.
    #[must_use]
    pub fn neighbours(&self) -> &[(ItemIndex, f32)] {
        &self.neighbours
    }

    /// How far a value that is estimated by the neighbours is from the mean of all items; see
    /// [`NeighbourOptions::spread`].
    #[must_use]
    pub fn spread(&self) -> f32 {
        self.spread
    }

    /// The text vector of length 1, padded as the rows of the table are.
    pub(crate) fn row(&self) -> &[f32] {
        &self.row
    }

    /// The value that the neighbours' `values`, `[items]` or longer with the mean `mean`, make
    /// probable.
    fn estimate(&self, values: &[f32], mean: f32) -> f32 {
        mean + self.spread * (self.mean_of(values) - mean)
    }

    /// The weighted mean of the neighbours' `values`, `[items]` or longer.
    pub(crate) fn mean_of(&self, values: &[f32]) -> f32 {
        self.neighbours.iter().map(|(item, weight)| weight * values[item.position()]).sum()
    }
}

impl AddedItems {
    /// No items beside those of a catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self { known: catalogue.len(), ..Self::default() }
    }

    /// Adds a position, whose item may come later. Returns the position.
    pub fn push(&mut self) -> ItemIndex {
        self.revision += 1;
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            Arc::make_mut(chunk).push(None);
        }
        self.len += 1;
        ItemIndex((self.positions() - 1) as u32)
    }

    /// Replaces the item at a position; `None` if there is none any more. Does nothing for a
    /// position that was not added.
    pub fn set(&mut self, position: ItemIndex, item: Option<Arc<AddedItem>>) {
        let Some(at) = position.position().checked_sub(self.known) else { return };
        let Some(chunk) = self.chunks.get_mut(at / CHUNK) else { return };
        if let Some(slot) = Arc::make_mut(chunk).get_mut(at % CHUNK) {
            self.revision += 1;
            let text =
                |slot: &Slot| usize::from(slot.as_ref().is_some_and(|item| item.text.is_some()));
            self.texts = self.texts + text(&item) - text(slot);
            *slot = item;
        }
    }

    /// Number of changes so far.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Number of added positions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no added positions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of positions, those of the catalogue included.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.known + self.len
    }

    /// The item at a position; `None` for items of the catalogue and for positions without an
    /// item.
    #[must_use]
    pub fn get(&self, position: ItemIndex) -> Option<&AddedItem> {
        let at = position.position().checked_sub(self.known)?;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)?.as_deref()
    }

    /// The text of the item at a position; `None` as in [`get`](Self::get).
    #[must_use]
    pub fn text(&self, position: ItemIndex) -> Option<&AddedText> {
        self.get(position)?.text.as_ref()
    }

    /// Number of items with a text.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.texts
    }

    /// Whether an item has a text. Without one, an engine that scores added items by their texts
    /// can leave them all aside.
    #[must_use]
    pub fn have_texts(&self) -> bool {
        self.texts > 0
    }

    /// The items that are known, in the order of their positions.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.slots().flatten().map(|added| &added.item)
    }

    /// The items in the order of their positions.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Option<&Arc<AddedItem>>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(Option::as_ref)
    }

    /// The items that have a text, with their positions.
    pub(crate) fn with_text(&self) -> impl Iterator<Item = (ItemIndex, &AddedText)> {
        let positions = (self.known as u32..).map(ItemIndex);
        positions.zip(self.slots()).filter_map(|(at, item)| Some((at, item?.text.as_ref()?)))
    }

    /// Positions of the items that have no text.
    pub(crate) fn without_text(&self) -> impl Iterator<Item = ItemIndex> {
        self.empty(|item| item.text.is_none())
    }

    /// Positions without an item.
    #[cfg(any(test, feature = "llama"))]
    pub(crate) fn without_item(&self) -> impl Iterator<Item = ItemIndex> {
        self.empty(|_| false)
    }

    fn empty(&self, or: impl Fn(&AddedItem) -> bool) -> impl Iterator<Item = ItemIndex> {
        (self.known as u32..).map(ItemIndex).zip(self.slots()).filter_map(
            move |(position, item)| item.is_none_or(|item| or(item)).then_some(position),
        )
    }

    /// Appends to `values` `[known items]` what each added item's neighbours make probable; 0 for
    /// items without text.
    pub(crate) fn extend_by_neighbours(&self, values: &mut Vec<f32>) {
        let sum: f64 = values[..self.known].iter().map(|value| f64::from(*value)).sum();
        let mean = (sum / self.known.max(1) as f64) as f32;
        for slot in self.slots() {
            let text = slot.and_then(|item| item.text.as_ref());
            values.push(text.map_or(0.0, |text| text.estimate(&values[..self.known], mean)));
        }
    }

    /// Adds to the values of added items, `[positions]`, `factor` times the weighted mean of their
    /// neighbours' values.
    pub(crate) fn add_of_neighbours(&self, values: &mut [f32], factor: f32) {
        let (known, added) = values.split_at_mut(self.known);
        for (value, slot) in added.iter_mut().zip(self.slots()) {
            let text = slot.and_then(|item| item.text.as_ref());
            *value += factor * text.map_or(0.0, |text| text.mean_of(known));
        }
    }
}

/// A history for a model that knows the items of the catalogue only: the known item with the most
/// similar text stands in for an added one. Added items without a text, and repeated items, are
/// left out.
#[must_use]
pub fn readable<'h>(
    history: &'h [ItemIndex],
    added: Option<&AddedItems>,
    known: usize,
) -> Cow<'h, [ItemIndex]> {
    if history.iter().all(|item| item.position() < known) {
        return Cow::Borrowed(history);
    }
    let mut read: Vec<ItemIndex> = Vec::with_capacity(history.len());
    for (at, &item) in history.iter().enumerate() {
        let stands_in = match added {
            _ if item.position() < known => Some(item),
            Some(added) => added
                .text(item)
                .and_then(|text| text.neighbours.first())
                .map(|(nearest, _)| *nearest)
                .filter(|nearest| !history[at + 1..].contains(nearest)),
            None => None,
        };
        if let Some(item) = stands_in {
            read.retain(|earlier| *earlier != item);
            read.push(item);
        }
    }
    Cow::Owned(read)
}

/// The prior number of interactions of an added item: the median of the catalogue. That nobody has
/// chosen it says nothing about it.
#[must_use]
pub fn prior_count(counts: &[u32]) -> u32 {
    let mut counts = counts.to_vec();
    let middle = counts.len() / 2;
    if counts.is_empty() { 0 } else { *counts.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(items: usize) -> Catalogue {
        let ids = (0..items).map(|at| format!("i{at}"));
        Catalogue::new(ids.map(|id| Item::untitled(id.as_str().into())).collect()).unwrap()
    }

    fn item(id: &str, neighbours: &[(u32, f32)]) -> Arc<AddedItem> {
        let neighbours = neighbours.iter().map(|&(item, weight)| (ItemIndex(item), weight));
        let neighbours = neighbours.collect();
        let text = AddedText { row: vec![1.0], neighbours, spread: 1.5 };
        Arc::new(AddedItem { item: Item::untitled(id.into()), text: Some(text) })
    }

    #[test]
    fn positions_follow_the_catalogue_and_stay() {
        let mut added = AddedItems::new(&catalogue(3));
        let (first, second) = (added.push(), added.push());
        assert_eq!((first, second, added.positions()), (ItemIndex(3), ItemIndex(4), 5));
        let revision = added.revision();
        added.set(second, Some(item("new", &[(0, 0.75), (2, 0.25)])));
        assert!(added.revision() > revision);
        assert_eq!(added.get(second).unwrap().item.id.as_str(), "new");
        assert_eq!(added.get(first), None);
        assert_eq!(added.get(ItemIndex(0)), None);
        assert_eq!(added.without_text().collect::<Vec<_>>(), [first]);
        assert!(added.have_texts());
        let mut values = vec![1.0, 9.0, 5.0];
        added.extend_by_neighbours(&mut values);
        // The mean of all is 5, that of the neighbours 2.
        assert_eq!(values, [1.0, 9.0, 5.0, 0.0, 5.0 + 1.5 * (2.0 - 5.0)]);
        added.set(second, None);
        assert_eq!(added.without_item().collect::<Vec<_>>(), [first, second]);
        assert!(!added.have_texts());
        // A position that was not added.
        added.set(ItemIndex(9), Some(item("other", &[])));
        assert_eq!(added.len(), 2);
    }

    #[test]
    fn a_change_leaves_what_lists_use_as_it_is() {
        let mut added = AddedItems::new(&catalogue(3));
        let count = 2 * CHUNK + 7;
        let positions: Vec<ItemIndex> = (0..count).map(|_| added.push()).collect();
        assert_eq!((added.len(), positions[count - 1].position()), (count, 3 + count - 1));
        let used = added.clone();
        for at in [0, CHUNK - 1, CHUNK, count - 1] {
            added.set(positions[at], Some(item(&format!("new{at}"), &[])));
        }
        let found = positions.iter().filter_map(|at| Some(added.get(*at)?.item.id.to_string()));
        let last = format!("new{}", count - 1);
        let expected = ["new0", "new511", "new512", &last].map(str::to_owned);
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let ids = added.items().map(|item| item.id.to_string());
        assert_eq!(ids.collect::<Vec<_>>(), expected);
        assert_eq!(added.without_item().count(), count - 4);
        assert!(used.items().next().is_none() && used.len() == count);
    }

    #[test]
    fn the_most_similar_known_item_stands_in_for_an_added_one() {
        let mut added = AddedItems::new(&catalogue(3));
        let (like_2, unknown) = (added.push(), added.push());
        added.set(like_2, Some(item("new", &[(2, 0.9), (1, 0.1)])));
        let read = |history: &[ItemIndex]| readable(history, Some(&added), 3).into_owned();
        let of = |items: &[u32]| items.iter().copied().map(ItemIndex).collect::<Vec<_>>();
        assert_eq!(read(&[ItemIndex(0), like_2]), of(&[0, 2]));
        assert_eq!(read(&[like_2, ItemIndex(2), unknown]), of(&[2]), "once, and as new as it is");
        assert_eq!(read(&[ItemIndex(2), ItemIndex(1), like_2]), of(&[1, 2]));
        assert_eq!(read(&[unknown]), of(&[]));
        assert!(matches!(readable(&of(&[0, 1]), None, 3), Cow::Borrowed(_)));
    }

    #[test]
    fn the_prior_is_the_median() {
        assert_eq!(prior_count(&[9, 1, 4]), 4);
        assert_eq!(prior_count(&[]), 0);
    }
}
