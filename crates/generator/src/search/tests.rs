use std::collections::HashMap;

use proptest::prelude::*;
use tandem_dataset::ItemIndex;

use super::*;
use crate::{
    branch_scores::ExpertWeights,
    trie::{Token, Trie},
};

const END: Token = 0;
const VOCABULARY: usize = 6;

/// A fake language model: the logits are a hash of all tokens read so far. It checks that the
/// search respects its limits.
struct HashModel {
    branches: HashMap<Branch, Vec<Token>>,
    logits: Vec<f32>,
    limits: SearchLimits,
}

fn logits_after(path: &[Token]) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for &token in path {
        state = (state ^ u64::from(token + 1)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    (0..VOCABULARY as u64)
        .map(|token| {
            let mixed = (state ^ token).wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 40;
            mixed as f32 / (1 << 22) as f32
        })
        .collect()
}

impl HashModel {
    fn new(limits: SearchLimits) -> Self {
        Self { branches: HashMap::from([(0, vec![])]), logits: vec![], limits }
    }
}

impl LogitsSource for HashModel {
    fn prompt(&mut self) -> Result<&[f32], GeneratorError> {
        self.logits = logits_after(&[]);
        Ok(&self.logits)
    }

    fn advance(
        &mut self,
        steps: &[Step<'_>],
        read: &mut ReadLogits<'_>,
    ) -> Result<(), GeneratorError> {
        assert!(steps.len() <= self.limits.width);
        assert!(steps.iter().map(|s| s.tokens.len()).sum::<usize>() <= self.limits.batch_tokens);
        for step in steps {
            assert!(!step.tokens.is_empty() && step.into >= 1);
            assert!(step.into <= self.limits.branches);
            let path = [&self.branches[&step.from], step.tokens].concat();
            self.branches.insert(step.into, path);
        }
        let cached: usize = self.branches.values().map(Vec::len).sum();
        assert!(self.branches.len() <= self.limits.branches + 1);
        assert!(cached <= self.limits.cached_tokens);
        steps
            .iter()
            .enumerate()
            .try_for_each(|(index, step)| read(index, &logits_after(&self.branches[&step.into])))
    }

    fn release(&mut self, branch: Branch) {
        assert!(self.branches.remove(&branch).is_some(), "released a branch that is not stored");
    }
}

const AMPLE: SearchLimits = SearchLimits {
    width: 8,
    branches: 200,
    cached_tokens: 10_000,
    batch_tokens: 512,
    token_budget: usize::MAX,
};

/// Reference: every item's log-probability by its definition.
fn exhaustive(trie: &Trie, mask: &Mask, weights: &ExpertWeights) -> Vec<Ranked> {
    fn walk(
        (trie, mask, weights): (&Trie, &Mask, &ExpertWeights),
        node: NodeId,
        logprob: f64,
        out: &mut Vec<Ranked>,
    ) {
        let children: Vec<NodeId> =
            trie.children(node).filter(|&child| trie.remaining(child, mask) > 0).collect();
        if children.is_empty() {
            let total = trie.weight(node, mask) as f64;
            out.extend(trie.items_below(node, mask).map(|(item, weight)| Ranked {
                item,
                logprob: (logprob + (weight as f64 / total).ln()) as f32,
            }));
            return;
        }
        let logits = logits_after(trie.path(node));
        let shares: Vec<f64> = children
            .iter()
            .map(|&child| {
                (f64::from(logits[trie.first_token(child) as usize]) * weights.lm).exp()
                    * (trie.weight(child, mask) as f64).powf(weights.prior)
            })
            .collect();
        let sum: f64 = shares.iter().sum();
        for (child, share) in children.into_iter().zip(shares) {
            walk((trie, mask, weights), child, logprob + (share / sum).ln(), out);
        }
    }
    let mut out = Vec::new();
    if trie.remaining(NodeId::ROOT, mask) > 0 {
        walk((trie, mask, weights), NodeId::ROOT, 0.0, &mut out);
    }
    out.sort_by(|a, b| b.logprob.total_cmp(&a.logprob).then(a.item.cmp(&b.item)));
    out
}

fn run(trie: &Trie, mask: &Mask, k: usize, limits: SearchLimits) -> SearchResult {
    let weights = ExpertWeights { lm: 0.7, prior: 0.9, unconditional: 0.0 };
    Search { trie, weights: &weights, prior: None, unconditional: None, limits }
        .run(mask, k, &mut HashModel::new(limits), &mut |_, _| {})
        .unwrap()
}

fn sum(candidates: &[Ranked]) -> f64 {
    candidates.iter().map(|ranked| f64::from(ranked.logprob).exp()).sum()
}

#[test]
fn a_single_item_has_probability_one_without_decoding() {
    let trie = Trie::new(&[vec![1, 2, 3]], &[0], END);
    let found = run(&trie, &Mask::default(), 50, AMPLE);
    assert_eq!(found.candidates, [Ranked { item: ItemIndex(0), logprob: 0.0 }]);
    assert_eq!((found.tokens, found.exact), (0, true));
}

#[test]
fn no_remaining_item_gives_an_empty_list() {
    let trie = Trie::new(&[vec![1], vec![2]], &[0, 0], END);
    assert!(run(&trie, &trie.mask([ItemIndex(0), ItemIndex(1)]), 5, AMPLE).candidates.is_empty());
    assert!(run(&trie, &Mask::default(), 0, AMPLE).candidates.is_empty());
    assert!(run(&Trie::new(&[], &[], END), &Mask::default(), 5, AMPLE).candidates.is_empty());
}

#[test]
fn items_with_equal_titles_split_the_probability_by_count() {
    let trie = Trie::new(&[vec![1], vec![1], vec![1]], &[3, 0, 3], END);
    let found = run(&trie, &Mask::default(), 3, AMPLE);
    let order: Vec<u32> = found.candidates.iter().map(|ranked| ranked.item.0).collect();
    assert_eq!(order, [0, 2, 1], "ties by item");
    assert!((f64::from(found.candidates[2].logprob) - (1.0_f64 / 9.0).ln()).abs() < 1e-6);
}

#[test]
fn nan_logits_are_an_error() {
    struct Broken(Vec<f32>);
    impl LogitsSource for Broken {
        fn prompt(&mut self) -> Result<&[f32], GeneratorError> {
            Ok(&self.0)
        }
        fn advance(
            &mut self,
            _: &[Step<'_>],
            _: &mut ReadLogits<'_>,
        ) -> Result<(), GeneratorError> {
            unreachable!("the search fails at the prompt")
        }
        fn release(&mut self, _: Branch) {}
    }
    let trie = Trie::new(&[vec![1], vec![2]], &[0, 0], END);
    let search = Search {
        trie: &trie,
        weights: &ExpertWeights::default(),
        prior: None,
        unconditional: None,
        limits: AMPLE,
    };
    let result =
        search.run(&Mask::default(), 1, &mut Broken(vec![f32::NAN; VOCABULARY]), &mut |_, _| {});
    assert!(matches!(result, Err(GeneratorError::NotFinite)));
}

fn catalogues() -> impl Strategy<Value = (Vec<Vec<Token>>, Vec<u32>)> {
    let title = prop::collection::vec(0..VOCABULARY as u32, 0..7);
    prop::collection::vec((title, 0..50_u32), 1..60).prop_map(|items| items.into_iter().unzip())
}

proptest! {
    #[test]
    fn a_prior_of_the_query_replaces_the_counts(
        (titles, counts) in catalogues(), removed in prop::collection::vec(0..60_usize, 0..5), k in 1..20_usize,
    ) {
        let weights = ExpertWeights { lm: 0.7, prior: 0.9, unconditional: 0.0 };
        let trie = Trie::new(&titles, &counts, END);
        let removed = removed.into_iter().filter(|item| *item < titles.len());
        let mask = trie.mask(removed.map(|item| ItemIndex(item as u32)));
        let expected = run(&trie, &mask, k, AMPLE);
        // Other counts, and a prior that is ten times that of the counts above.
        let others = Trie::new(&titles, &vec![3; titles.len()], END);
        let tenfold: Vec<f64> = counts.iter().map(|count| 10.0 * f64::from(count + 1)).collect();
        let prior = others.item_weights(&mask, &tenfold);
        let search = Search {
            trie: &others, weights: &weights, prior: Some(&prior), unconditional: None, limits: AMPLE,
        };
        let found = search.run(&mask, k, &mut HashModel::new(AMPLE), &mut |_, _| {}).unwrap();
        prop_assert_eq!(found.candidates.len(), expected.candidates.len());
        for (found, expected) in found.candidates.iter().zip(&expected.candidates) {
            prop_assert!((found.logprob - expected.logprob).abs() < 1e-5);
        }
    }

    #[test]
    fn the_search_finds_the_exact_top(
        (titles, counts) in catalogues(),
        removed in prop::collection::vec(0..1000_usize, 0..20),
        k in 1..70_usize,
        width in 1..9_usize,
        branches in 9..30_usize,
    ) {
        let trie = Trie::new(&titles, &counts, END);
        let mask = trie.mask(removed.iter().map(|r| ItemIndex((r % titles.len()) as u32)));
        // Few branches force the search to evict some and to evaluate their tokens again.
        let limits = SearchLimits { width, branches, cached_tokens: 100, ..AMPLE };
        let found = run(&trie, &mask, k, limits);
        let weights = ExpertWeights { lm: 0.7, prior: 0.9, unconditional: 0.0 };
        let expected = exhaustive(&trie, &mask, &weights);
        prop_assert!(found.exact);
        prop_assert_eq!(found.candidates.len(), k.min(expected.len()));
        for (found, expected) in found.candidates.iter().zip(&expected) {
            prop_assert!((found.logprob - expected.logprob).abs() < 1e-4);
        }
        let by_item: HashMap<_, _> = expected.iter().map(|r| (r.item, r.logprob)).collect();
        let mut seen = std::collections::HashSet::new();
        for ranked in &found.candidates {
            prop_assert!(seen.insert(ranked.item), "distinct");
            let exact = by_item.get(&ranked.item);
            prop_assert!(exact.is_some_and(|exact| (exact - ranked.logprob).abs() < 1e-4));
        }
    }

    #[test]
    fn the_probabilities_sum_to_one_for_every_budget(
        (titles, counts) in catalogues(),
        removed in prop::collection::vec(0..1000_usize, 0..20),
        token_budget in 0..100_usize,
    ) {
        let trie = Trie::new(&titles, &counts, END);
        let mask = trie.mask(removed.iter().map(|r| ItemIndex((r % titles.len()) as u32)));
        let remaining = trie.remaining(NodeId::ROOT, &mask);
        let limits = SearchLimits { token_budget, ..AMPLE };
        let found = run(&trie, &mask, titles.len(), limits);
        prop_assert!(found.tokens <= token_budget);
        prop_assert_eq!(found.candidates.len(), remaining);
        if remaining > 0 {
            prop_assert!((sum(&found.candidates) - 1.0).abs() < 1e-4);
        }
    }
}
