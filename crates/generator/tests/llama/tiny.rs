//! The title engine on tiny models with random weights.

use std::collections::HashMap;

use tandem_dataset::ItemIndex;
use tandem_generator::{
    GeneratorError, LoadOptions, Query, Ranked,
    branch_scores::{ExpertWeights, branch_logprobs, first_token_logit},
    search::LogitsSource,
    trie::NodeId,
};
use tandem_protocol::Ranking;

use crate::support::{ask, assert_same, catalogue, items, load, options};

/// Titles with edge cases: empty, duplicate, prefixes, control characters, very long.
fn awkward() -> Vec<String> {
    let mut titles: Vec<String> = [
        "Star Wars",
        "Star Wars: Episode II",
        "Star",
        "Usual Suspects, The",
        "The Usual Suspects",
        "",
        "   ",
        "猫の恩返し",
        "Amélie 🎬",
        "</s><s>",
        "line\nbreak",
        "nul\0byte",
        "Star",
        "\u{202e}gnol",
    ]
    .map(str::to_owned)
    .into();
    titles.push("long ".repeat(1000));
    titles.push(format!("{}!", "long ".repeat(1000)));
    titles.extend((0..40).map(|i| format!("Film {} of {}", i * 7 % 40, i % 3)));
    titles
}

#[test]
fn lists_are_valid_for_edge_case_titles_histories_and_k() {
    let catalogue = catalogue(&awkward(), &[]);
    let all = catalogue.len() as u32;
    let model = load(1, &catalogue, &options());
    let mut generator = model.generator().unwrap();
    for (history, exclude, k) in [
        (items([3]), items([]), 50),
        (items([14, 15, 5]), items([0, 1, 2]), 10),
        (items([7, 8, 9, 10, 11, 12, 13]), items([7, 7, 8]), 1),
        (items([0]), items([]), 0),
        (items([0]), items([]), 10_000),
        (items([4]), items(0..all), 50),
        (items(0..all), items([]), 50),
        (items(0..all - 1), items([]), 50),
    ] {
        let generation = ask(generator.as_mut(), &catalogue, &history, &exclude, k);
        assert_eq!(generation.ranking, Ranking::LanguageModel);
    }
}

#[test]
fn an_empty_history_is_ranked_by_popularity() {
    let catalogue = catalogue(&["a", "b", "c"], &[1, 6, 2]);
    let model = load(1, &catalogue, &options());
    let mut generator = model.generator().unwrap();
    let generation = ask(generator.as_mut(), &catalogue, &[], &items([2]), 5);
    assert_eq!(generation.ranking, Ranking::Popularity);
    assert_eq!((generation.prompt_tokens, generation.decoded_tokens), (0, 0));
    let order: Vec<u32> = generation.candidates.iter().map(|ranked| ranked.item.0).collect();
    assert_eq!(order, [1, 0]);
    assert!((generation.candidates[0].logprob - (7.0_f32 / 9.0).ln()).abs() < 1e-6);
}

#[test]
fn catalogues_with_one_item_and_with_none_are_supported() {
    let one = catalogue(&["Alone"], &[]);
    let model = load(1, &one, &options());
    let mut generator = model.generator().unwrap();
    assert!(ask(generator.as_mut(), &one, &items([0]), &[], 5).candidates.is_empty());
    assert_eq!(ask(generator.as_mut(), &one, &[], &[], 5).candidates[0].logprob, 0.0);
    let none = catalogue::<&str>(&[], &[]);
    let model = load(1, &none, &options());
    assert!(ask(model.generator().unwrap().as_mut(), &none, &[], &[], 5).candidates.is_empty());
}

#[test]
fn an_unknown_item_is_an_error_and_the_generator_stays_usable() {
    let catalogue = catalogue(&["a", "b", "c"], &[]);
    let model = load(1, &catalogue, &options());
    let mut generator = model.generator().unwrap();
    for (history, exclude) in [(items([3]), items([])), (items([0]), items([9]))] {
        let error = generator
            .generate(&Query {
                history: &history,
                exclude: &exclude,
                only: None,
                added: None,
                k: 1,
            })
            .unwrap_err();
        assert!(matches!(error, GeneratorError::UnknownItem { items: 3, .. }), "{error}");
    }
    ask(generator.as_mut(), &catalogue, &items([0]), &[], 2);
}

#[test]
fn the_newest_items_of_a_history_of_ten_thousand_are_read() {
    let titles: Vec<String> = (0..10_100).map(|i| format!("Title number {i}")).collect();
    let catalogue = catalogue(&titles, &[]);
    let model = load(2, &catalogue, &options());
    let mut generator = model.generator().unwrap();
    let history = items(0..10_000);
    let long = ask(generator.as_mut(), &catalogue, &history, &[], 50);
    assert!(long.truncated > 9_900 && long.truncated < 10_000);
    assert!(long.prompt_tokens <= 512);
    // Items that are not read affect the list only by being excluded from it.
    let read = &history[long.truncated..];
    let short = ask(generator.as_mut(), &catalogue, read, &history[..long.truncated], 50);
    assert_eq!(short.truncated, 0);
    assert_same(&long, &short);
}

#[test]
fn a_query_gives_the_same_list_after_any_earlier_queries() {
    let catalogue = catalogue(&awkward(), &[]);
    let model = load(3, &catalogue, &options());
    let (mut one, mut other) = (model.generator().unwrap(), model.generator().unwrap());
    let history = items([20, 30, 40]);
    let first = ask(one.as_mut(), &catalogue, &history, &[], 20);
    for history in [items([20, 30]), items([1]), items(20..50), items([20, 30, 40, 50])] {
        ask(one.as_mut(), &catalogue, &history, &[], 20);
    }
    let again = ask(one.as_mut(), &catalogue, &history, &[], 20);
    assert!(again.prompt_tokens < first.prompt_tokens, "the common prefix is cached");
    assert_same(&first, &again);
    assert_same(&first, &ask(other.as_mut(), &catalogue, &history, &[], 20));
}

#[test]
fn generators_of_one_model_run_concurrently() {
    let catalogue = catalogue(&awkward(), &[]);
    let model = load(4, &catalogue, &options());
    let history = items([17, 18]);
    let lists: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut generator = model.generator().unwrap();
                    ask(generator.as_mut(), &catalogue, &history, &[], 20)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_same(&lists[0], &lists[1]);
}

/// Reference: every item's log-probability by its definition. Each node is evaluated alone,
/// from the start of the prompt.
fn exhaustive(
    model: &tandem_generator::Model,
    weights: &ExpertWeights,
    history: &[ItemIndex],
) -> Vec<Ranked> {
    let generator = model.titles().unwrap();
    let mut evaluator = model.evaluator().unwrap();
    let (trie, prompt) = (generator.trie(), generator.prompt(history).unwrap());
    let mask = trie.mask(history.iter().copied());
    let (mut stack, mut ranked) = (vec![(NodeId::ROOT, 0.0)], Vec::new());
    while let Some((node, logprob)) = stack.pop() {
        let children: Vec<NodeId> =
            trie.children(node).filter(|&child| trie.remaining(child, &mask) > 0).collect();
        if children.is_empty() {
            let total = trie.weight(node, &mask) as f64;
            ranked.extend(trie.items_below(node, &mask).map(|(item, weight)| Ranked {
                item,
                logprob: (logprob + (weight as f64 / total).ln()) as f32,
            }));
            continue;
        }
        evaluator.read(&[prompt.tokens.as_slice(), trie.path(node)].concat()).unwrap();
        let logits = evaluator.prompt().unwrap();
        let of_child = |child| first_token_logit(trie, logits, child);
        let prior = |child| trie.weight(child, &mask) as f64;
        let shares = branch_logprobs(&prior, weights, None, &children, Some(&of_child));
        stack.extend(children.into_iter().zip(shares).map(|(c, share)| (c, logprob + share)));
    }
    ranked.sort_by(|a, b| b.logprob.total_cmp(&a.logprob).then(a.item.cmp(&b.item)));
    ranked
}

#[test]
fn the_search_finds_the_exact_top_k() {
    let catalogue = catalogue(&awkward(), &[]);
    for seed in 0..4 {
        let options = LoadOptions {
            decode_tokens: usize::MAX,
            width: 5,
            weights: ExpertWeights { lm: 0.8, prior: 0.6, unconditional: 0.0 },
            ..options()
        };
        let model = load(seed, &catalogue, &options);
        let mut generator = model.generator().unwrap();
        let history = items([16, 40, 3]);
        let exact = exhaustive(&model, &options.weights, &history);
        let sum: f64 = exact.iter().map(|ranked| f64::from(ranked.logprob).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-4);
        let exact: HashMap<_, _> = exact.iter().take(20).map(|r| (r.item, r.logprob)).collect();
        let found = ask(generator.as_mut(), &catalogue, &history, &[], 20).candidates;
        let recalled: Vec<&Ranked> =
            found.iter().filter(|ranked| exact.contains_key(&ranked.item)).collect();
        assert!(recalled.len() >= 19, "{} of 20", recalled.len());
        for ranked in recalled {
            assert!((ranked.logprob - exact[&ranked.item]).abs() < 1e-3);
        }
    }
}

#[test]
fn the_list_depends_on_the_history_its_order_and_the_model() {
    let catalogue = catalogue(&awkward(), &[]);
    let order = |seed, history: &[u32]| {
        let model = load(seed, &catalogue, &options());
        let mut generator = model.generator().unwrap();
        let history = items(history.iter().copied());
        let list = ask(generator.as_mut(), &catalogue, &history, &[], 30);
        list.candidates.iter().map(|ranked| ranked.item).collect::<Vec<_>>()
    };
    assert_ne!(order(1, &[20]), order(2, &[20]));
    assert_ne!(order(1, &[20, 21]), order(1, &[21, 20]));
}

#[test]
fn without_a_token_budget_popularity_alone_ranks() {
    let catalogue = catalogue(&awkward(), &[]);
    let model = load(1, &catalogue, &LoadOptions { decode_tokens: 0, ..options() });
    let mut generator = model.generator().unwrap();
    let list = ask(generator.as_mut(), &catalogue, &items([3]), &[], 1000);
    assert_eq!(list.decoded_tokens, 0);
    let sum: f64 = list.candidates.iter().map(|r| f64::from(r.logprob).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
}

#[test]
fn unconditional_scores_keep_the_distribution_normalised() {
    let catalogue = catalogue(&awkward(), &[]);
    let weights = ExpertWeights { lm: 1.0, prior: 1.0, unconditional: 1.0 };
    let options = LoadOptions { unconditional_histories: 2, weights, ..options() };
    let model = load(1, &catalogue, &options);
    let mut generator = model.generator().unwrap();
    let list = ask(generator.as_mut(), &catalogue, &items([3]), &[], 1000);
    let sum: f64 = list.candidates.iter().map(|r| f64::from(r.logprob).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
}

#[test]
fn titles_of_the_history_are_candidates_where_they_are_repeated() {
    let catalogue = catalogue(&["Milk", "Bread", "Eggs"], &[]);
    let model = load(1, &catalogue, &LoadOptions { repeats: true, ..options() });
    let mut generator = model.generator().unwrap();
    let (history, exclude) = (items([0]), items([2]));
    let found = generator
        .generate(&Query { history: &history, exclude: &exclude, only: None, added: None, k: 5 })
        .unwrap();
    let mut found: Vec<u32> = found.candidates.iter().map(|ranked| ranked.item.0).collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1]);
}
