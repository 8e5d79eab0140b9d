//! Best-first search for the most probable items.
//!
//! The probability of a node is an upper bound for every item below it. The search keeps all
//! open nodes in one priority queue, evaluates the most probable ones in one batch of the
//! language model, and stops when no open node can beat the `k` items found so far. In
//! contrast to a beam search of fixed width, nothing is pruned: within
//! [`SearchLimits::token_budget`] the result *is* the exact top `k` of the distribution in
//! [`branch_scores`](crate::branch_scores). When the budget is spent, popularity alone splits
//! the nodes that are still open, so the probabilities still sum to 1 and the time is bounded.

mod config;
mod source;
mod state;
mod top_k;

use self::state::SearchState;
use crate::{
    GeneratorError, Ranked,
    trie::{Mask, NodeId},
};

pub use config::{Search, SearchLimits};
pub use source::{Branch, LogitsSource, ReadLogits, Step};

/// The items that a search found, best first, and its cost.
#[derive(Clone, Debug)]
pub struct SearchResult {
    /// Items with their log-probabilities (nats), ties by
    /// [`ItemIndex`](tandem_dataset::ItemIndex).
    pub candidates: Vec<Ranked>,
    /// Number of tokens evaluated.
    pub tokens: usize,
    /// True if the budget sufficed, so that the list is the exact top `k`.
    pub exact: bool,
}

impl Search<'_> {
    /// Finds the `k` most probable items that the mask does not remove. `observe` receives
    /// every evaluated node with the logits after it, `[vocabulary]`.
    ///
    /// # Errors
    /// If the source fails or its logits are not finite.
    pub fn run(
        &self,
        mask: &Mask,
        k: usize,
        source: &mut dyn LogitsSource,
        observe: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<SearchResult, GeneratorError> {
        let mut state = SearchState::new(self, mask, k);
        let mut exact = true;
        loop {
            let batch = state.schedule_batch();
            if batch.is_empty() {
                match state.pop_open_node() {
                    // The budget is spent: popularity alone splits this node.
                    Some(open) => {
                        exact = false;
                        state.expand(&open, None, None)?;
                    }
                    None => break,
                }
            }
            state.evaluate(batch, source, observe)?;
        }
        let (candidates, tokens) = state.finish();
        Ok(SearchResult { candidates, tokens, exact })
    }
}

#[cfg(test)]
mod tests;
