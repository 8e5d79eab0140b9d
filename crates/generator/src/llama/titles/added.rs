//! The trie of a title engine with the titles of added items.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;

use super::TitleEngine;
use crate::{
    AddedItems,
    added_items::{AddedItem, prior_count},
    branch_scores::UnconditionalScores,
    trie::{Token, Trie},
};

/// Follows the added items of the queries. A change builds the whole trie again, between two lists.
#[derive(Debug)]
pub(super) struct AddedTitles<'m> {
    model: &'m LlamaModel,
    titles: &'m TitleEngine,
    /// The tokens of each added item, and what they were made of.
    tokens: Vec<(Option<Arc<AddedItem>>, Vec<Token>)>,
    revision: u64,
    extended: Option<Arc<ExtendedTrie>>,
}

/// The titles of the catalogue and of the added items.
#[derive(Debug)]
pub(super) struct ExtendedTrie {
    pub(super) trie: Trie,
    pub(super) unconditional: Option<UnconditionalScores>,
}

impl<'m> AddedTitles<'m> {
    pub(super) fn new(model: &'m LlamaModel, titles: &'m TitleEngine) -> Self {
        Self { model, titles, tokens: Vec::new(), revision: 0, extended: None }
    }

    /// The trie with the added items, or a newer one, which has the same items at the same
    /// positions and more; `None` without added items.
    pub(super) fn follow(&mut self, added: Option<&AddedItems>) -> Option<Arc<ExtendedTrie>> {
        let added = added.filter(|added| !added.is_empty())?;
        if self.extended.is_none() || added.revision() > self.revision {
            self.extended = Some(Arc::new(self.extend(added)));
            self.revision = added.revision();
        }
        self.extended.clone()
    }

    fn extend(&mut self, added: &AddedItems) -> ExtendedTrie {
        self.tokens.resize(added.len().max(self.tokens.len()), (None, Vec::new()));
        for (known, item) in self.tokens.iter_mut().zip(added.slots()) {
            let is_same = match (&known.0, item) {
                (Some(known), Some(item)) => Arc::ptr_eq(known, item),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                let tokens = item.map(|item| self.titles.tokens(self.model, &item.item));
                *known = (item.cloned(), tokens.unwrap_or_default());
            }
        }
        let trie = self.titles.trie();
        let titles: Vec<Vec<Token>> = self.tokens.iter().map(|(_, it)| it.clone()).collect();
        let extended = trie.extended(&titles, prior_count(&trie.counts()), self.titles.end());
        let unconditional = self.titles.unconditional();
        let unconditional = unconditional.map(|scores| scores.carried_over(trie, &extended));
        ExtendedTrie { trie: extended, unconditional }
    }
}
