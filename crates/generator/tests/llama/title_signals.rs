//! Signals beside a model of titles.

use std::sync::Arc;

use tandem_dataset::counts::{CountOptions, CountTable};
use tandem_generator::{
    Generation, LoadOptions, Model, Query,
    branch_scores::ExpertWeights,
    ranking_signals::{RankingSignals, SignalWeights},
};
use tandem_protocol::Ranking;

use crate::support::{ask, catalogue, items, load, options};

const ITEMS: u32 = 40;

/// Item `i + 1` is chosen after item `i`.
fn counts() -> CountTable {
    let mut counts = CountTable::new(ITEMS as usize, CountOptions::default());
    for item in 1..ITEMS {
        for time in 0..5 {
            counts.add(&items([item - 1]), items([item])[0], time);
        }
    }
    counts
}

/// `lm`: exponent of the language model.
fn model(counts_weight: f32, lm: f64) -> Model {
    let titles: Vec<String> = (0..ITEMS).map(|i| format!("Film {}", i * 7 % ITEMS)).collect();
    let weights = SignalWeights {
        language_model: 1.0,
        counts: counts_weight,
        text: 0.0,
        small_model: 0.0,
        temperature: 1.0,
    };
    let signals = Arc::new(RankingSignals::new(weights, None, Some(counts())));
    let weights = ExpertWeights { lm, ..ExpertWeights::default() };
    let options = LoadOptions { weights, ..options() };
    load(3, &catalogue(&titles, &[]), &options).with_signals(signals).unwrap()
}

fn list(model: &Model, history: &[u32]) -> Generation {
    let mut generator = model.generator().unwrap();
    ask(&mut *generator, model.catalogue(), &items(history.iter().copied()), &[], 10)
}

#[test]
fn counts_near_the_history_raise_titles() {
    let model = model(5.0, 0.2);
    for history in [[3_u32], [20]] {
        assert_eq!(list(&model, &history).candidates[0].item.0, history[0] + 1);
    }
    // Nothing is counted near an empty history.
    let generation = list(&model, &[]);
    assert_eq!(generation.ranking, Ranking::Popularity);
}

#[test]
fn without_other_signals_the_prior_is_a_power_of_popularity() {
    // Counts of weight 0 leave popularity, of which the prior is then exp(z). The language model
    // of weight 0 says nothing.
    let model = model(0.0, 0.0);
    let found = list(&model, &[3]);
    let count = |item: usize| model.catalogue().items()[item].count;
    let by_count: Vec<u32> =
        found.candidates.iter().map(|ranked| count(ranked.item.position())).collect();
    assert!(by_count.is_sorted_by(|a, b| a >= b), "{by_count:?}");
    // Counts are 0 to 4, eight items each.
    let deviation = {
        let logs = [0.0_f32, 1.0, 2.0, 3.0, 4.0].map(f32::ln_1p);
        let mean = logs.iter().sum::<f32>() / 5.0;
        (logs.iter().map(|log| (log - mean).powi(2)).sum::<f32>() / 5.0).sqrt()
    };
    let logprob = |count: f32| count.ln_1p() / deviation;
    let best = &found.candidates;
    let difference = best[0].logprob - best[9].logprob;
    assert!((difference - (logprob(4.0) - logprob(3.0))).abs() < 1e-3, "{difference}");
}

#[test]
fn the_parts_of_an_explanation_add_up() {
    let model = model(2.0, 0.2);
    let mut generator = model.generator().unwrap();
    let history = items([3, 8]);
    let query = Query { history: &history, exclude: &[], only: None, added: None, k: 10 };
    let explained = generator.explain(&query).unwrap();
    assert_eq!(explained.candidates, generator.generate(&query).unwrap().candidates);
    assert_eq!(explained.explanations.len(), 10);
    for (candidate, why) in explained.candidates.iter().zip(&explained.explanations) {
        let parts = why.language_model.unwrap() + why.counts.unwrap();
        assert!((parts - why.score).abs() < 1e-4, "{why:?}");
        assert!((why.score - candidate.logprob - (38.0_f32).ln()).abs() < 1e-4);
    }
    // Item 9 follows item 8, item 30 follows neither.
    let of = |item: u32| {
        let at = explained.candidates.iter().position(|it| it.item.0 == item)?;
        explained.explanations[at].counts
    };
    assert!(of(9).unwrap() > of(30).unwrap_or(0.0));
}
