//! The probability distribution over the children of a trie node: a product of experts.
//!
//! An untuned language model knows little about what people choose. Popularity knows nothing
//! about this visitor. At each node of the trie both distributions are multiplied and
//! renormalised (product of experts, Hinton 2002, over the branches of the trie):
//!
//! ```text
//! p(child | node) ∝ p_lm(child | prompt, node)^lm
//!                 / p_lm(child | no history, node)^unconditional
//!                 · prior(child)^prior
//! ```
//!
//! - `p_lm(child | …)` is the model's probability of the first token of the child's edge,
//!   normalised over the children that the query's mask does not remove. A node with one such
//!   child gives it probability 1 and is never evaluated.
//! - The division by the unconditional probability applies only if [`UnconditionalScores`]
//!   are given. It removes the model's preference for the words themselves.
//! - `prior(child)` is the sum of `count + 1` over the remaining items below the child. With
//!   [signals](crate::ranking_signals), counts, texts and the small model are part of the prior: see
//!   the title engine's `companion`.
//! - Items that share a leaf (equal titles) split its probability in proportion to their prior.
//!
//! The log-probability of an item is the sum of `ln p` along its path. The probabilities sum
//! to 1 over the remaining items. They are *not* the model's probabilities of the titles as
//! texts, because every choice is made among the titles of the catalogue only.

use std::collections::HashMap;

use crate::trie::{NodeId, Token, Trie};

/// Exponents of the product of experts.
///
/// The default was chosen on validation targets of MovieLens-100k (200 users, their 10 newest
/// items, seen items removed, SmolLM2-135M-Instruct in `Q4_0`; the example `tune` repeats it).
/// No target was trained on. The standard error of HR@50 is .03, so the differences between
/// the middle rows are within chance.
///
/// | `lm` | `prior` | `unconditional` | HR@50 | HR@100 | median rank | `ln p` of the target |
/// |---|---|---|---|---|---|---|
/// | 1 | 0 | 0 (the model alone) | .060 | .090 | 642 | -9.117 |
/// | 0.2 | 1 | 0 | .165 | .295 | 235 | -6.948 |
/// | 0 | 1 | 0 (popularity alone) | .200 | .340 | 205 | -6.699 |
/// | 0.1 | 1 | 0.1 | .225 | .355 | 181 | -6.690 |
/// | **0.2** | **1** | **0.2** | .210 | .365 | 170 | -6.696 |
/// | 0.3 | 1 | 0.3 | .195 | .335 | 198 | -6.717 |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertWeights {
    /// Exponent of the language model given the history.
    pub lm: f64,
    /// Exponent of popularity.
    pub prior: f64,
    /// Exponent of the language model without a history, which divides. Only used together
    /// with [`UnconditionalScores`].
    pub unconditional: f64,
}

impl Default for ExpertWeights {
    /// Weights for an untuned model, from the table above. A model trained on titles deserves
    /// a larger `lm`.
    fn default() -> Self {
        Self { lm: 0.2, prior: 1.0, unconditional: 0.2 }
    }
}

/// The model's scores without a history: for each trie node the log-probability (nats) of
/// its edge among its siblings, averaged over all measurements. A node without measurements
/// ignores the model and uses popularity alone.
#[derive(Clone, Debug)]
pub struct UnconditionalScores {
    sums: Vec<f32>,
    measurements: Vec<f32>,
}

impl UnconditionalScores {
    /// Scores without any measurement.
    #[must_use]
    pub fn new(trie: &Trie) -> Self {
        Self { sums: vec![0.0; trie.nodes()], measurements: vec![0.0; trie.nodes()] }
    }

    /// Adds a measurement: the model's `logits` after `node`, `[vocabulary]`.
    pub fn add(&mut self, trie: &Trie, node: NodeId, logits: &[f32]) {
        let scores: Vec<f64> =
            trie.children(node).map(|child| first_token_logit(trie, logits, child)).collect();
        let norm = log_sum_exp(&scores);
        for (child, score) in trie.children(node).zip(scores) {
            self.sums[child.position()] += (score - norm) as f32;
            self.measurements[child.position()] += 1.0;
        }
    }

    /// The scores of the nodes of another trie: those of the same edges, of which the first token
    /// counts. A node beside measured ones gets the mean of its siblings, so that the model has no
    /// preference for its words.
    #[must_use]
    pub fn carried_over(&self, trie: &Trie, to: &Trie) -> Self {
        let measured: HashMap<&[Token], f32> = trie
            .all_nodes()
            .filter_map(|node| Some((trie.key(node), self.mean(node)? as f32)))
            .collect();
        let mut carried = Self::new(to);
        for parent in to.all_nodes() {
            let found: Vec<Option<f32>> =
                to.children(parent).map(|node| measured.get(to.key(node)).copied()).collect();
            let known = found.iter().flatten().count();
            if known == 0 {
                continue;
            }
            let mean = found.iter().flatten().sum::<f32>() / known as f32;
            for (node, score) in to.children(parent).zip(found) {
                carried.sums[node.position()] = score.unwrap_or(mean);
                carried.measurements[node.position()] = 1.0;
            }
        }
        carried
    }

    fn mean(&self, node: NodeId) -> Option<f64> {
        let count = self.measurements[node.position()];
        (count > 0.0).then(|| f64::from(self.sums[node.position()] / count))
    }
}

/// `ln p(child | node)` in nats for each of `children`: the children of one node that have
/// remaining items.
///
/// `prior` returns the prior of a child, that is, of the remaining items below it. `logit` returns
/// the language model's score of a child's first token, up to a constant (nats). Without it, the
/// prior alone decides.
#[must_use]
pub fn branch_logprobs(
    prior: &dyn Fn(NodeId) -> f64,
    weights: &ExpertWeights,
    unconditional: Option<&UnconditionalScores>,
    children: &[NodeId],
    logit: Option<&dyn Fn(NodeId) -> f64>,
) -> Vec<f64> {
    let mut scores: Vec<f64> = children
        .iter()
        .map(|&child| {
            let prior = weights.prior * prior(child).ln();
            let Some(logit) = logit else { return prior };
            // Siblings are either all measured or not measured at all.
            let mean = unconditional.map_or(Some(0.0), |scores| scores.mean(child));
            let Some(mean) = mean else { return prior };
            prior + weights.lm * logit(child) - weights.unconditional * mean
        })
        .collect();
    let norm = log_sum_exp(&scores);
    for score in &mut scores {
        *score -= norm;
    }
    scores
}

/// The logit of the first token of a child's edge.
#[must_use]
pub fn first_token_logit(trie: &Trie, logits: &[f32], child: NodeId) -> f64 {
    f64::from(logits[trie.first_token(child) as usize])
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + values.iter().map(|value| (value - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::Mask;

    /// Items with first tokens 1, 2, 3 and counts 0, 1, 7: weights 1, 2, 8.
    fn trie() -> Trie {
        Trie::new(&[vec![1], vec![2], vec![3]], &[0, 1, 7], 0)
    }

    fn probabilities(
        weights: ExpertWeights,
        logits: Option<&[f32]>,
        unconditional: Option<&UnconditionalScores>,
    ) -> Vec<f64> {
        let trie = trie();
        let children: Vec<NodeId> = trie.children(NodeId::ROOT).collect();
        let of_child = |child| first_token_logit(&trie, logits.unwrap_or_default(), child);
        let of_child: Option<&dyn Fn(NodeId) -> f64> = logits.map(|_| &of_child as _);
        let prior = |child| trie.weight(child, &Mask::default()) as f64;
        branch_logprobs(&prior, &weights, unconditional, &children, of_child)
            .into_iter()
            .map(f64::exp)
            .collect()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    const EQUAL: ExpertWeights = ExpertWeights { lm: 1.0, prior: 1.0, unconditional: 1.0 };

    #[test]
    fn without_logits_the_probabilities_are_proportional_to_the_counts() {
        let found = probabilities(EQUAL, None, None);
        assert_close(&found, &[1.0 / 11.0, 2.0 / 11.0, 8.0 / 11.0]);
    }

    #[test]
    fn the_experts_are_multiplied() {
        // The model: 4 : 2 : 1. A constant added to all logits changes nothing.
        let logits = [0.0, 4_f32.ln() + 9.0, 2_f32.ln() + 9.0, 9.0];
        let found = probabilities(EQUAL, Some(&logits), None);
        assert_close(&found, &[4.0 / 16.0, 4.0 / 16.0, 8.0 / 16.0]);
        // The square root of the model, 2 : sqrt 2 : 1, without a prior.
        let weights = ExpertWeights { lm: 0.5, prior: 0.0, unconditional: 0.0 };
        let sum = 3.0 + 2_f64.sqrt();
        let found = probabilities(weights, Some(&logits), None);
        assert_close(&found, &[2.0 / sum, 2_f64.sqrt() / sum, 1.0 / sum]);
    }

    #[test]
    fn equal_conditional_and_unconditional_scores_cancel() {
        let logits = [0.0, 4_f32.ln(), 2_f32.ln(), 0.0];
        let mut unconditional = UnconditionalScores::new(&trie());
        unconditional.add(&trie(), NodeId::ROOT, &logits);
        unconditional.add(&trie(), NodeId::ROOT, &logits);
        let found = probabilities(EQUAL, Some(&logits), Some(&unconditional));
        assert_close(&found, &[1.0 / 11.0, 2.0 / 11.0, 8.0 / 11.0]);
    }

    #[test]
    fn scores_are_carried_to_the_same_edges_of_a_larger_trie() {
        let small = Trie::new(&[vec![1, 5], vec![2, 5], vec![2, 6]], &[0; 3], 0);
        let mut scores = UnconditionalScores::new(&small);
        let logits = [0.0, 3_f32.ln(), 0.0, 0.0, 0.0, 0.0, 0.0];
        scores.add(&small, NodeId::ROOT, &logits);
        // One more first token, and a split of the edge of the first title.
        let large = small.extended(&[vec![3], vec![1, 6]], 0, 0);
        let carried = scores.carried_over(&small, &large);
        let children: Vec<NodeId> = large.children(NodeId::ROOT).collect();
        let means: Vec<f64> =
            children.iter().map(|child| carried.mean(*child).unwrap().exp()).collect();
        assert_close(&means, &[0.75, 0.25, (0.75_f64 * 0.25).sqrt()]);
        let below = |at: usize| large.children(children[at]).next().unwrap();
        assert_eq!((carried.mean(below(0)), carried.mean(below(1))), (None, None));
    }

    #[test]
    fn nodes_without_unconditional_scores_ignore_the_model() {
        let logits = [0.0, 4_f32.ln(), 2_f32.ln(), 0.0];
        let unmeasured = UnconditionalScores::new(&trie());
        let found = probabilities(EQUAL, Some(&logits), Some(&unmeasured));
        assert_close(&found, &[1.0 / 11.0, 2.0 / 11.0, 8.0 / 11.0]);
    }
}
