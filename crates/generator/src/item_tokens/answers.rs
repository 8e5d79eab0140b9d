use std::borrow::Cow;

use tandem_dataset::{Catalogue, ItemIndex};
use tandem_protocol::Ranking;

use crate::{
    AddedItems, Generation, GeneratorError, Query, added_items::readable,
    popularity::most_popular_items,
};

/// What all generators of item tokens do alike: the checks of a query, and answers that need no
/// model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers<'m> {
    catalogue: &'m Catalogue,
    max_length: usize,
    repeats: bool,
}

impl<'m> Answers<'m> {
    /// For a model that reads at most `max_length` items.
    pub(crate) fn new(catalogue: &'m Catalogue, max_length: usize) -> Self {
        Self { catalogue, max_length, repeats: false }
    }

    /// Whether items of the history can be candidates.
    pub(crate) fn with_repeats(self, repeats: bool) -> Self {
        Self { repeats, ..self }
    }

    /// Number of items of the catalogue.
    pub(crate) fn items(&self) -> usize {
        self.catalogue.len()
    }

    pub(crate) fn max_length(&self) -> usize {
        self.max_length
    }

    /// Whether items of the history can be candidates.
    pub(crate) fn repeats(&self) -> bool {
        self.repeats
    }

    /// The history as the model reads it.
    pub(crate) fn readable<'q>(&self, query: &Query<'q>) -> Cow<'q, [ItemIndex]> {
        readable(query.history, query.added, self.catalogue.len())
    }

    /// The answer, if it needs no evaluation. `read` is the history as the model reads it.
    pub(crate) fn without_model(
        &self,
        query: &Query<'_>,
        read: &[ItemIndex],
    ) -> Result<Option<Generation>, GeneratorError> {
        let len = query.positions(self.catalogue.len());
        let mut named = query.history.iter().chain(query.exclude);
        if let Some(item) = named.find(|item| item.position() >= len) {
            return Err(GeneratorError::UnknownItem { index: item.0, items: len });
        }
        if !read.is_empty() && query.k > 0 && !query.admits_nothing() {
            return Ok(None);
        }
        let mut generation = self.empty(read);
        if read.is_empty() {
            generation.ranking = Ranking::Popularity;
            let positions = scored(query).map_or(self.catalogue.len(), AddedItems::positions);
            let removed = self.removed(query, positions);
            let added = positions - self.catalogue.len();
            generation.candidates = most_popular_items(self.catalogue, added, removed, query.k);
        }
        Ok(Some(generation))
    }

    /// An answer without candidates.
    pub(crate) fn empty(&self, read: &[ItemIndex]) -> Generation {
        Generation::empty(Ranking::LanguageModel, read.len().saturating_sub(self.max_length))
    }

    /// The items of the scored `positions` that must not be candidates, those without a score
    /// included.
    pub(crate) fn removed<'q>(
        &self,
        query: &'q Query<'q>,
        positions: usize,
    ) -> impl Iterator<Item = ItemIndex> {
        let unscored = scored(query).into_iter().flat_map(AddedItems::without_text);
        let removed = query.removed(self.repeats, positions).chain(unscored);
        removed.filter(move |item| item.position() < positions)
    }
}

/// The added items, if one of them can be scored.
pub(crate) fn scored<'q>(query: &Query<'q>) -> Option<&'q AddedItems> {
    query.added.filter(|added| added.have_texts())
}
