use std::{cmp::Ordering, collections::BinaryHeap};

use super::{
    config::Search,
    source::{Branch, LogitsSource, Step},
    top_k::TopK,
};
use crate::{
    GeneratorError, Ranked,
    branch_scores::{branch_logprobs, first_token_logit},
    trie::{Mask, NodeId},
};

/// A node whose children have no probabilities yet.
#[derive(Clone, Debug)]
pub(super) struct OpenNode {
    logprob: f64,
    node: NodeId,
    /// The nearest evaluated ancestor, as a position in [`SearchState::evaluated`].
    parent: Option<usize>,
}

impl PartialEq for OpenNode {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for OpenNode {}
impl PartialOrd for OpenNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for OpenNode {
    fn cmp(&self, other: &Self) -> Ordering {
        self.logprob.total_cmp(&other.logprob).then_with(|| other.node.cmp(&self.node))
    }
}

/// A node that the model has evaluated.
struct EvaluatedNode {
    node: NodeId,
    logprob: f64,
    parent: Option<usize>,
    /// The branch that stores its state; `None` once evicted.
    branch: Option<Branch>,
    /// Number of children that are still open.
    open_children: usize,
}

/// An [`OpenNode`] that is part of the next batch.
pub(super) struct ScheduledNode {
    open: OpenNode,
    from: Branch,
    into: Branch,
    /// Number of its tokens that `from` already stores.
    cached_depth: usize,
}

/// The mutable state of one search.
pub(super) struct SearchState<'a> {
    search: &'a Search<'a>,
    mask: &'a Mask,
    queue: BinaryHeap<OpenNode>,
    evaluated: Vec<EvaluatedNode>,
    free: Vec<Branch>,
    /// Evicted branches that the source has not released yet.
    evicted: Vec<Branch>,
    /// Tokens of all stored branches, shared prefixes counted once per branch.
    cached_tokens: usize,
    best: TopK,
    tokens: usize,
}

impl<'a> SearchState<'a> {
    pub(super) fn new(search: &'a Search<'a>, mask: &'a Mask, k: usize) -> Self {
        let mut state = Self {
            search,
            mask,
            queue: BinaryHeap::new(),
            evaluated: Vec::new(),
            free: (1..=search.limits.branches).rev().collect(),
            evicted: Vec::new(),
            cached_tokens: 0,
            best: TopK::new(k),
            tokens: 0,
        };
        if k > 0 && search.trie.remaining(NodeId::ROOT, mask) > 0 {
            state.add(0.0, NodeId::ROOT, None);
        }
        state
    }

    /// The items found, best first, and the number of tokens evaluated.
    pub(super) fn finish(self) -> (Vec<Ranked>, usize) {
        (self.best.into_ranked(), self.tokens)
    }

    /// Adds a node of known probability. A node with one remaining child is replaced by that
    /// child. A node without a choice left goes to the results, any other into the queue.
    fn add(&mut self, logprob: f64, mut node: NodeId, parent: Option<usize>) {
        let (trie, mask) = (self.search.trie, self.mask);
        if trie.remaining(node, mask) > 1 {
            loop {
                let mut children =
                    trie.children(node).filter(|&child| trie.remaining(child, mask) > 0);
                match (children.next(), children.next()) {
                    (Some(only), None) => node = only,
                    (None, _) => break,
                    _ => {
                        if self.best.admits(logprob) {
                            if let Some(parent) = parent {
                                self.evaluated[parent].open_children += 1;
                            }
                            self.queue.push(OpenNode { logprob, node, parent });
                        }
                        return;
                    }
                }
            }
        }
        let total = self.search.prior(node, mask);
        for (item, popularity) in trie.items_below(node, mask) {
            let weight = match self.search.prior {
                Some(weights) => weights.of_item(trie, item),
                None => popularity as f64,
            };
            self.best.push(item, logprob + (weight / total).ln());
        }
    }

    /// The most probable open node, or `None` if no open node can improve the result.
    pub(super) fn pop_open_node(&mut self) -> Option<OpenNode> {
        let open = self.queue.pop()?;
        if let Some(parent) = open.parent {
            self.evaluated[parent].open_children -= 1;
        }
        // The queue is sorted: if this node cannot enter the top k, none can.
        self.best.admits(open.logprob).then_some(open)
    }

    /// Takes the most probable open nodes that fit one batch and the token budget.
    pub(super) fn schedule_batch(&mut self) -> Vec<ScheduledNode> {
        let limits = self.search.limits;
        let (mut batch, mut batch_tokens): (Vec<ScheduledNode>, usize) = (Vec::new(), 0);
        while batch.len() < limits.width {
            let Some(open) = self.queue.peek() else { break };
            if !self.best.admits(open.logprob) {
                break;
            }
            let depth = self.search.trie.depth(open.node);
            // The root costs nothing: the prompt has been read already.
            let (from, cached_depth) = self.nearest_cached(open.parent);
            let cost = depth - cached_depth;
            if batch_tokens + cost > limits.batch_tokens
                || self.tokens + batch_tokens + cost > limits.token_budget
            {
                break;
            }
            let into = if cost == 0 {
                0
            } else {
                match self.allocate_branch(depth, from, &batch) {
                    Some(branch) => branch,
                    None => break,
                }
            };
            batch_tokens += cost;
            let Some(open) = self.queue.pop() else { break };
            batch.push(ScheduledNode { open, from, into, cached_depth });
        }
        batch
    }

    /// The branch of the nearest cached node at or above an evaluated node, and its depth.
    fn nearest_cached(&self, mut at: Option<usize>) -> (Branch, usize) {
        while let Some(index) = at {
            let node = &self.evaluated[index];
            if let Some(branch) = node.branch {
                return (branch, self.search.trie.depth(node.node));
            }
            at = node.parent;
        }
        (0, 0)
    }

    /// Allocates a branch of `depth` tokens. Evicts the least probable branches if needed,
    /// but never one that this batch continues.
    fn allocate_branch(
        &mut self,
        depth: usize,
        from: Branch,
        batch: &[ScheduledNode],
    ) -> Option<Branch> {
        while self.free.is_empty() || self.cached_tokens + depth > self.search.limits.cached_tokens
        {
            let pinned = |branch| branch == from || batch.iter().any(|node| node.from == branch);
            let (_, worst) = self
                .evaluated
                .iter()
                .enumerate()
                .filter(|(_, node)| node.branch.is_some_and(|branch| !pinned(branch)))
                .map(|(index, node)| (node.logprob, index))
                .min_by(|a, b| a.0.total_cmp(&b.0))?;
            let node = &mut self.evaluated[worst];
            if let Some(branch) = node.branch.take() {
                self.free.push(branch);
                self.evicted.push(branch);
            }
            self.cached_tokens -= self.search.trie.depth(node.node);
        }
        self.cached_tokens += depth;
        self.free.pop()
    }

    /// Evaluates a batch and adds the children of its nodes.
    pub(super) fn evaluate(
        &mut self,
        batch: Vec<ScheduledNode>,
        source: &mut dyn LogitsSource,
        observe: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<(), GeneratorError> {
        let trie = self.search.trie;
        for branch in self.evicted.drain(..) {
            source.release(branch);
        }
        let (at_prompt, nodes): (Vec<ScheduledNode>, Vec<ScheduledNode>) =
            batch.into_iter().partition(|node| node.into == 0);
        for scheduled in at_prompt {
            let logits = source.prompt()?;
            observe(scheduled.open.node, logits);
            self.expand(&scheduled.open, None, Some(logits))?;
        }
        if nodes.is_empty() {
            return Ok(());
        }
        let steps: Vec<Step<'_>> = nodes
            .iter()
            .map(|scheduled| Step {
                from: scheduled.from,
                tokens: &trie.path(scheduled.open.node)[scheduled.cached_depth..],
                into: scheduled.into,
            })
            .collect();
        self.tokens += steps.iter().map(|step| step.tokens.len()).sum::<usize>();
        let first = self.evaluated.len();
        for scheduled in &nodes {
            self.evaluated.push(EvaluatedNode {
                node: scheduled.open.node,
                logprob: scheduled.open.logprob,
                parent: scheduled.open.parent,
                branch: Some(scheduled.into),
                open_children: 0,
            });
        }
        source.advance(&steps, &mut |index, logits| {
            let open = &nodes[index].open;
            observe(open.node, logits);
            if let Some(parent) = open.parent {
                self.evaluated[parent].open_children -= 1;
            }
            self.expand(open, Some(first + index), Some(logits))
        })?;
        let parents = nodes.iter().filter_map(|scheduled| scheduled.open.parent);
        for index in parents.chain(first..first + nodes.len()) {
            let node = &mut self.evaluated[index];
            if node.open_children == 0
                && let Some(branch) = node.branch.take()
            {
                self.cached_tokens -= trie.depth(node.node);
                self.free.push(branch);
                source.release(branch);
            }
        }
        Ok(())
    }

    /// Splits the probability of a node among its children and adds them. `evaluated` is the
    /// node's position in [`SearchState::evaluated`].
    pub(super) fn expand(
        &mut self,
        open: &OpenNode,
        evaluated: Option<usize>,
        logits: Option<&[f32]>,
    ) -> Result<(), GeneratorError> {
        let Search { trie, weights, unconditional, .. } = *self.search;
        let children: Vec<NodeId> = trie
            .children(open.node)
            .filter(|&child| trie.remaining(child, self.mask) > 0)
            .collect();
        let of_child = |child| first_token_logit(trie, logits.unwrap_or_default(), child);
        let of_child: Option<&dyn Fn(NodeId) -> f64> = logits.map(|_| &of_child as _);
        let prior = |child| self.search.prior(child, self.mask);
        let logprobs = branch_logprobs(&prior, weights, unconditional, &children, of_child);
        if logprobs.iter().any(|logprob| !logprob.is_finite()) {
            return Err(GeneratorError::NotFinite);
        }
        for (child, logprob) in children.into_iter().zip(logprobs) {
            self.add(open.logprob + logprob, child, evaluated);
        }
        Ok(())
    }
}
