//! Fits the exponents of [`ExpertWeights`] on validation targets.
//!
//! `tune --gguf FILE --data DIR [--users 200] [--history 10] [--unconditional 2]
//! [--preamble TEXT] [--item-prefix TEXT] [--no-years]`
//!
//! For a sample of users the model evaluates the whole trie once; every combination of
//! exponents is then scored from these logits. The target is each user's last but one item,
//! the history is everything before it, seen items are removed. Test targets are not used.

use std::{collections::HashMap, path::Path, sync::Arc, time::Instant};

use tandem_dataset::{Dataset, HeldOutTarget, ItemIndex};
use tandem_generator::{
    LoadOptions, Model,
    branch_scores::{ExpertWeights, UnconditionalScores, branch_logprobs, first_token_logit},
    llama::passive_threads,
    trie::{Mask, NodeId, Trie},
};

type Logits = HashMap<NodeId, Vec<f32>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    passive_threads()?;
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let (users, length) = (number("--users", 200)?, number("--history", 10)?);
    let unconditional_histories = number("--unconditional", 2)?;
    let mut options =
        LoadOptions { prompt_tokens: 1024, unconditional_histories: 0, ..LoadOptions::default() };
    options.include_years = !arguments.iter().any(|a| a == "--no-years");
    options.item_prefix = value("--item-prefix").unwrap_or(options.item_prefix);
    options.preamble =
        value("--preamble").map_or(options.preamble, |text| text.replace("\\n", "\n"));
    let dataset = Dataset::load(Path::new(&value("--data").ok_or("--data is missing")?))?;
    let catalogue = Arc::new(dataset.catalogue);
    let gguf = value("--gguf").ok_or("--gguf is missing")?;
    let model = Model::load(Path::new(&gguf), catalogue.clone(), &options)?;
    let mut generator = model.titles()?;
    let trie = generator.trie();

    let usable: Vec<_> = dataset.sequences.iter().filter(|s| s.items.len() >= 5).collect();
    let step = (usable.len() / users).max(1);
    let mut cases = Vec::new();
    let start = Instant::now();
    for sequence in usable.iter().step_by(step).take(users) {
        let Some(HeldOutTarget { history: seen, target }) = sequence.split().validation else {
            continue;
        };
        if seen.contains(&target) {
            continue;
        }
        let history = &seen[seen.len().saturating_sub(length)..];
        let (logits, tokens) = record_logits(&mut generator, history)?;
        if cases.is_empty() {
            eprintln!("{} nodes, {tokens} tokens per user", logits.len());
        }
        cases.push((logits, trie.mask(seen.iter().copied()), target));
    }
    eprintln!("{} users in {:.0} s", cases.len(), start.elapsed().as_secs_f64());

    let mut scores = UnconditionalScores::new(trie);
    for logits in synthetic_histories(trie, unconditional_histories)
        .iter()
        .map(|history| record_logits(&mut generator, history))
        .collect::<Result<Vec<_>, _>>()?
    {
        for (&node, children) in &logits.0 {
            scores.add(trie, node, &to_vocabulary(trie, node, children));
        }
    }
    println!("lm prior unconditional | HR@10 HR@50 HR@100 NDCG@10 median-rank nats");
    for lm in [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0] {
        for prior in [0.0, 0.6, 0.8, 1.0] {
            for unconditional in [0.0, 0.5, 0.75, 1.0] {
                if unconditional > 0.0 && (lm == 0.0 || unconditional_histories == 0) {
                    continue;
                }
                let weights = ExpertWeights { lm, prior, unconditional: lm * unconditional };
                let ranks: Vec<(usize, f64)> = cases
                    .iter()
                    .map(|(logits, mask, target)| {
                        let scores = (unconditional_histories > 0).then_some(&scores);
                        rank_of_target(trie, logits, mask, &weights, scores, *target)
                    })
                    .collect();
                report(&weights, &ranks);
            }
        }
    }
    Ok(())
}

fn report(weights: &ExpertWeights, targets: &[(usize, f64)]) {
    let n = targets.len() as f64;
    let mut ranks: Vec<usize> = targets.iter().map(|&(rank, _)| rank).collect();
    ranks.sort_unstable();
    let hits = |k: usize| ranks.partition_point(|&rank| rank < k) as f64 / n;
    let gain: f64 =
        ranks.iter().filter(|&&rank| rank < 10).map(|&rank| 1.0 / (rank as f64 + 2.0).log2()).sum();
    let nats = targets.iter().map(|(_, logprob)| logprob).sum::<f64>() / n;
    let ExpertWeights { lm, prior, unconditional } = weights;
    let (ten, fifty, hundred) = (hits(10), hits(50), hits(100));
    let (ndcg, median) = (gain / n, ranks[ranks.len() / 2]);
    println!(
        "{lm:.2} {prior:.2} {unconditional:.3} | {ten:.4} {fifty:.4} {hundred:.4} {ndcg:.4} {median} {nats:.4}"
    );
}

/// The rank of the target among the remaining items, from 0, and its log-probability (nats).
fn rank_of_target(
    trie: &Trie,
    logits: &Logits,
    mask: &Mask,
    weights: &ExpertWeights,
    unconditional: Option<&UnconditionalScores>,
    target: ItemIndex,
) -> (usize, f64) {
    let mut scores = Vec::new();
    let mut stack = vec![(NodeId::ROOT, 0.0)];
    while let Some((node, logprob)) = stack.pop() {
        let children: Vec<NodeId> =
            trie.children(node).filter(|&child| trie.remaining(child, mask) > 0).collect();
        if children.is_empty() {
            let total = trie.weight(node, mask) as f64;
            scores.extend(
                trie.items_below(node, mask)
                    .map(|(item, weight)| (item, logprob + (weight as f64 / total).ln())),
            );
            continue;
        }
        let known: HashMap<NodeId, f32> = match logits.get(&node) {
            Some(scores) => trie.children(node).zip(scores.iter().copied()).collect(),
            None => HashMap::new(),
        };
        let of_child = |child| known.get(&child).map_or(0.0, |&score| f64::from(score));
        let prior = |child| trie.weight(child, mask) as f64;
        let branches = branch_logprobs(&prior, weights, unconditional, &children, Some(&of_child));
        stack.extend(children.into_iter().zip(branches).map(|(c, branch)| (c, logprob + branch)));
    }
    let own = scores.iter().find(|(item, _)| *item == target).map_or(f64::MIN, |(_, s)| *s);
    let better = |&&(item, score): &&(ItemIndex, f64)| score > own || score >= own && item < target;
    (scores.iter().filter(better).count(), own)
}

/// The logits of the children of every evaluated node, and the number of tokens evaluated.
fn record_logits(
    generator: &mut tandem_generator::llama::TitleGenerator<'_>,
    history: &[ItemIndex],
) -> Result<(Logits, usize), Box<dyn std::error::Error>> {
    let trie = generator.trie();
    let mut logits = Logits::new();
    let found = generator.observe(history, usize::MAX, &mut |node, row| {
        let children =
            trie.children(node).map(|child| first_token_logit(trie, row, child) as f32).collect();
        logits.insert(node, children);
    })?;
    Ok((logits, found.tokens))
}

/// Places the logits of children at their tokens' positions in the vocabulary.
fn to_vocabulary(trie: &Trie, node: NodeId, scores: &[f32]) -> Vec<f32> {
    let children: Vec<NodeId> = trie.children(node).collect();
    let width = children.iter().map(|&c| trie.first_token(c) as usize + 1).max().unwrap_or(0);
    let mut row = vec![0.0; width];
    for (child, score) in children.into_iter().zip(scores) {
        row[trie.first_token(child) as usize] = *score;
    }
    row
}

/// Synthetic histories: the most popular items, distributed round-robin.
fn synthetic_histories(trie: &Trie, histories: usize) -> Vec<Vec<ItemIndex>> {
    let mut items: Vec<(ItemIndex, u64)> =
        trie.items_below(NodeId::ROOT, &Mask::default()).collect();
    items.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    (0..histories)
        .map(|first| {
            items
                .iter()
                .take(8 * histories)
                .skip(first)
                .step_by(histories)
                .map(|(i, _)| *i)
                .collect()
        })
        .collect()
}
