//! Best-first search for the most probable items.
//!
//! The probability of a node bounds that of every item below it. So the search keeps all
//! nodes that are not decided yet in one queue, evaluates the most probable ones together
//! (one batch of the language model), and stops when `k` items are found that none of the
//! rest can beat. Unlike a beam of fixed width it loses nothing: within its
//! [`Limits::tokens`] the answer *is* the exact top `k` of the distribution of
//! [`experts`](crate::experts). Once that budget is spent, popularity alone splits what is
//! still open, which keeps the sum of probabilities at 1 and the time bounded.

mod best;

use std::{cmp::Ordering, collections::BinaryHeap};

use self::best::Best;
use crate::{
    GeneratorError, Ranked,
    experts::{Baseline, Experts, logit, split},
    trie::{Mask, NodeId, Token, Trie},
};

/// A continuation of the prompt that a [`LogitsSource`] remembers; 0 is the prompt itself.
pub type Branch = usize;

/// One continuation to evaluate.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// What it continues.
    pub from: Branch,
    /// The tokens, at least one.
    pub tokens: &'a [Token],
    /// The name it is remembered by; what had this name before is forgotten.
    pub into: Branch,
}

/// Takes the logits of a step, named by its position.
pub type ReadLogits<'a> = dyn FnMut(usize, &[f32]) -> Result<(), GeneratorError> + 'a;

/// Something that scores the next token: a language model with the prompt already read.
pub trait LogitsSource {
    /// The unnormalised log-probabilities (nats) of the token after the prompt, one per
    /// token of the vocabulary.
    ///
    /// # Errors
    /// If the model fails.
    fn prompt(&mut self) -> Result<&[f32], GeneratorError>;

    /// Evaluates the steps together and hands `read` the logits after each one's last
    /// token, with the step's position. No step continues another of the same call.
    ///
    /// # Errors
    /// If the model fails, or from `read`.
    fn advance(
        &mut self,
        steps: &[Step<'_>],
        read: &mut ReadLogits<'_>,
    ) -> Result<(), GeneratorError>;

    /// Forgets a branch; those that continue it stay.
    fn release(&mut self, branch: Branch);
}

/// What a search may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes evaluated together.
    pub width: usize,
    /// Branches remembered at a time, beside the prompt.
    pub branches: usize,
    /// Tokens that branches may hold together, beside the prompt.
    pub held: usize,
    /// Tokens of one [`LogitsSource::advance`]; at least the longest title.
    pub batch: usize,
    /// Tokens evaluated in all; what is open then is split by popularity.
    pub tokens: usize,
}

/// What was found, best first, and what it took.
#[derive(Clone, Debug)]
pub struct Found {
    /// Items with their log-probabilities in nats, ties by
    /// [`ItemIndex`](tandem_dataset::ItemIndex).
    pub candidates: Vec<Ranked>,
    /// Tokens evaluated.
    pub tokens: usize,
    /// Whether the budget sufficed, that is, the list is the exact top `k`.
    pub exact: bool,
}

/// A search over one tree: everything but the model and the query.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The catalogue's titles.
    pub trie: &'a Trie,
    /// Exponents of the distribution.
    pub experts: &'a Experts,
    /// What the model says without a history, if that is to be taken out.
    pub baseline: Option<&'a Baseline>,
    /// What may be used.
    pub limits: Limits,
}

impl Search<'_> {
    /// Finds the `k` most probable items that the mask leaves. `observe` is shown the
    /// logits after every node that is evaluated.
    ///
    /// # Errors
    /// If the source fails or its scores are not finite.
    pub fn run(
        &self,
        mask: &Mask,
        k: usize,
        source: &mut dyn LogitsSource,
        observe: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<Found, GeneratorError> {
        let mut state = State::new(self, mask, k);
        if k > 0 && self.trie.remaining(NodeId::ROOT, mask) > 0 {
            state.enter(0.0, NodeId::ROOT, None);
        }
        let mut exact = true;
        loop {
            let round = state.choose();
            if round.is_empty() {
                match state.next_undecided() {
                    // Popularity decides what the budget does not reach.
                    Some(open) => {
                        exact = false;
                        state.expand(&open, None, None)?;
                    }
                    None => break,
                }
            }
            state.evaluate(round, source, observe)?;
        }
        Ok(Found { candidates: state.found.into_ranked(), tokens: state.tokens, exact })
    }
}

/// A node whose children are not known yet.
#[derive(Clone, Debug)]
struct Open {
    logprob: f64,
    node: NodeId,
    /// The nearest evaluated node above, as a position in [`State::evaluated`].
    parent: Option<usize>,
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Open {}
impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        self.logprob.total_cmp(&other.logprob).then_with(|| other.node.cmp(&self.node))
    }
}

/// A node the model has evaluated.
struct Evaluated {
    node: NodeId,
    logprob: f64,
    parent: Option<usize>,
    /// Where the source remembers it; `None` once given up.
    branch: Option<Branch>,
    /// Children still open.
    waiting: usize,
}

/// An [`Open`] node on its way through the model.
struct Chosen {
    open: Open,
    from: Branch,
    into: Branch,
    /// Depth of the tokens that `from` already holds.
    held: usize,
}

struct State<'a> {
    search: &'a Search<'a>,
    mask: &'a Mask,
    queue: BinaryHeap<Open>,
    evaluated: Vec<Evaluated>,
    free: Vec<Branch>,
    /// Branches given up that the source has not been told of yet.
    given_up: Vec<Branch>,
    /// Tokens of all branches held, counted as if none were shared.
    held: usize,
    found: Best,
    tokens: usize,
}

impl<'a> State<'a> {
    fn new(search: &'a Search<'a>, mask: &'a Mask, k: usize) -> Self {
        Self {
            search,
            mask,
            queue: BinaryHeap::new(),
            evaluated: Vec::new(),
            free: (1..=search.limits.branches).rev().collect(),
            given_up: Vec::new(),
            held: 0,
            found: Best::new(k),
            tokens: 0,
        }
    }

    /// Takes up a node of known probability: items if nothing is left to decide, else
    /// into the queue. Nodes with one child that has items left are passed through.
    fn enter(&mut self, logprob: f64, mut node: NodeId, parent: Option<usize>) {
        let (trie, mask) = (self.search.trie, self.mask);
        if trie.remaining(node, mask) > 1 {
            loop {
                let mut children =
                    trie.children(node).filter(|&child| trie.remaining(child, mask) > 0);
                match (children.next(), children.next()) {
                    (Some(only), None) => node = only,
                    (None, _) => break,
                    _ => {
                        if self.found.admits(logprob) {
                            if let Some(parent) = parent {
                                self.evaluated[parent].waiting += 1;
                            }
                            self.queue.push(Open { logprob, node, parent });
                        }
                        return;
                    }
                }
            }
        }
        let total = trie.weight(node, mask) as f64;
        for (item, weight) in trie.leaves(node, mask) {
            self.found.offer(item, logprob + (weight as f64 / total).ln());
        }
    }

    fn next_undecided(&mut self) -> Option<Open> {
        let open = self.queue.pop()?;
        if let Some(parent) = open.parent {
            self.evaluated[parent].waiting -= 1;
        }
        // The queue is ordered: if this one is out of reach, so are all.
        self.found.admits(open.logprob).then_some(open)
    }

    /// The most probable nodes that fit one batch and the budget.
    fn choose(&mut self) -> Vec<Chosen> {
        let limits = self.search.limits;
        let (mut round, mut batch): (Vec<Chosen>, usize) = (Vec::new(), 0);
        while round.len() < limits.width {
            let Some(open) = self.queue.peek() else { break };
            if !self.found.admits(open.logprob) {
                break;
            }
            let depth = self.search.trie.depth(open.node);
            // The root is the prompt, which is already read.
            let (from, held) = self.nearest_held(open.parent);
            let cost = depth - held;
            if batch + cost > limits.batch || self.tokens + batch + cost > limits.tokens {
                break;
            }
            let into = if cost == 0 {
                0
            } else {
                match self.take_branch(depth, from, &round) {
                    Some(branch) => branch,
                    None => break,
                }
            };
            batch += cost;
            let Some(open) = self.queue.pop() else { break };
            round.push(Chosen { open, from, into, held });
        }
        round
    }

    /// The nearest branch at or above an evaluated node, and the depth it holds.
    fn nearest_held(&self, mut at: Option<usize>) -> (Branch, usize) {
        while let Some(index) = at {
            let node = &self.evaluated[index];
            if let Some(branch) = node.branch {
                return (branch, self.search.trie.depth(node.node));
            }
            at = node.parent;
        }
        (0, 0)
    }

    /// A name for a branch of `depth` tokens, giving up the least probable ones if needed;
    /// never one that this round continues.
    fn take_branch(&mut self, depth: usize, from: Branch, round: &[Chosen]) -> Option<Branch> {
        while self.free.is_empty() || self.held + depth > self.search.limits.held {
            let pinned = |branch| branch == from || round.iter().any(|c| c.from == branch);
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
                self.given_up.push(branch);
            }
            self.held -= self.search.trie.depth(node.node);
        }
        self.held += depth;
        self.free.pop()
    }

    fn evaluate(
        &mut self,
        round: Vec<Chosen>,
        source: &mut dyn LogitsSource,
        observe: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<(), GeneratorError> {
        let trie = self.search.trie;
        for branch in self.given_up.drain(..) {
            source.release(branch);
        }
        let (at_prompt, steps): (Vec<Chosen>, Vec<Chosen>) =
            round.into_iter().partition(|chosen| chosen.into == 0);
        for chosen in at_prompt {
            let logits = source.prompt()?;
            observe(chosen.open.node, logits);
            self.expand(&chosen.open, None, Some(logits))?;
        }
        if steps.is_empty() {
            return Ok(());
        }
        let batch: Vec<Step<'_>> = steps
            .iter()
            .map(|chosen| Step {
                from: chosen.from,
                tokens: &trie.path(chosen.open.node)[chosen.held..],
                into: chosen.into,
            })
            .collect();
        self.tokens += batch.iter().map(|step| step.tokens.len()).sum::<usize>();
        let first = self.evaluated.len();
        for chosen in &steps {
            self.evaluated.push(Evaluated {
                node: chosen.open.node,
                logprob: chosen.open.logprob,
                parent: chosen.open.parent,
                branch: Some(chosen.into),
                waiting: 0,
            });
        }
        source.advance(&batch, &mut |index, logits| {
            let open = &steps[index].open;
            observe(open.node, logits);
            if let Some(parent) = open.parent {
                self.evaluated[parent].waiting -= 1;
            }
            self.expand(open, Some(first + index), Some(logits))
        })?;
        let parents = steps.iter().filter_map(|chosen| chosen.open.parent);
        for index in parents.chain(first..first + steps.len()) {
            let node = &mut self.evaluated[index];
            if node.waiting == 0
                && let Some(branch) = node.branch.take()
            {
                self.held -= trie.depth(node.node);
                self.free.push(branch);
                source.release(branch);
            }
        }
        Ok(())
    }

    /// Splits a node's probability among its children.
    fn expand(
        &mut self,
        open: &Open,
        at: Option<usize>,
        logits: Option<&[f32]>,
    ) -> Result<(), GeneratorError> {
        let Search { trie, experts, baseline, .. } = *self.search;
        let children: Vec<NodeId> = trie
            .children(open.node)
            .filter(|&child| trie.remaining(child, self.mask) > 0)
            .collect();
        let of_child = |child| logit(trie, logits.unwrap_or_default(), child);
        let of_child: Option<&dyn Fn(NodeId) -> f64> = logits.map(|_| &of_child as _);
        let shares = split(trie, self.mask, experts, baseline, &children, of_child);
        if shares.iter().any(|share| !share.is_finite()) {
            return Err(GeneratorError::NotFinite);
        }
        for (child, share) in children.into_iter().zip(shares) {
            self.enter(open.logprob + share, child, at);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
