use crate::{
    branch_scores::{ExpertWeights, UnconditionalScores},
    trie::{ItemWeights, Mask, NodeId, Trie},
};

/// Resource limits of a search.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// Maximum number of nodes evaluated in one batch.
    pub width: usize,
    /// Maximum number of branches kept by the [`LogitsSource`](super::LogitsSource), without
    /// the prompt.
    pub branches: usize,
    /// Maximum number of tokens kept in all branches together, without the prompt.
    pub cached_tokens: usize,
    /// Maximum number of tokens in one batch; at least the longest title.
    pub batch_tokens: usize,
    /// Maximum number of tokens evaluated in one search. When it is spent, popularity alone
    /// splits the nodes that are still open.
    pub token_budget: usize,
}

/// A search over one trie: its whole configuration except the model and the query.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The titles of the catalogue.
    pub trie: &'a Trie,
    /// Exponents of the branch distribution.
    pub weights: &'a ExpertWeights,
    /// The prior of each item for this query; `None` for popularity.
    pub prior: Option<&'a ItemWeights>,
    /// The model's scores without a history, if they are divided out.
    pub unconditional: Option<&'a UnconditionalScores>,
    /// Resource limits.
    pub limits: SearchLimits,
}

impl Search<'_> {
    /// The prior of the remaining items below a node.
    pub(super) fn prior(&self, node: NodeId, mask: &Mask) -> f64 {
        match self.prior {
            Some(weights) => weights.below(self.trie, node),
            None => self.trie.weight(node, mask) as f64,
        }
    }
}
