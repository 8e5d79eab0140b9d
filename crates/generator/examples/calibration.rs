//! Calibration and ranking quality of language models, beside popularity and co-occurrence,
//! on the same users.
//!
//! `calibration --data DIR [--gguf FILE]… [--part validation|test] [--users 300] [--threads N]`
//!
//! Every model ranks the whole catalogue without the user's history, as on the server.
//! Columns:
//! - `nats`: mean negative log-probability of the next item.
//! - `scale`: the factor on the log-probabilities (inverse temperature, Guo et al. 2017, §4.2)
//!   that minimises `nats`; 1 means calibrated. `best` is the minimum.
//! - `predicted / observed`: the mean probability mass of the top 1, 10 and 50, and the share
//!   of users whose next item is among them.

use std::{collections::HashSet, path::Path, sync::Arc, time::Instant};

use tandem_dataset::{
    Dataset, HeldOutTarget, ItemIndex,
    counts::{CoOccurrence, Popularity},
};
use tandem_generator::{LoadOptions, Model, Query, llama::passive_threads};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    passive_threads()?;
    let arguments: Vec<String> = std::env::args().collect();
    let values = |name: &str| -> Vec<String> {
        arguments.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].clone()).collect()
    };
    let value = |name: &str| values(name).pop();
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let users = number("--users", 300)?;
    let mut options = LoadOptions::default();
    options.threads = number("--threads", options.threads)?;
    let is_test = match value("--part").as_deref() {
        None | Some("validation") => false,
        Some("test") => true,
        Some(other) => return Err(format!("expected validation or test, found {other}").into()),
    };
    let dataset = Dataset::load(Path::new(&value("--data").ok_or("--data is missing")?))?;
    let items = dataset.catalogue.len();
    let targets: Vec<HeldOutTarget<'_>> = dataset
        .sequences
        .iter()
        .filter_map(|sequence| {
            let split = sequence.split();
            if is_test { split.test } else { split.validation }
        })
        // A repeated item cannot be found, because history items are never recommended.
        .filter(|target| !target.history.contains(&target.target))
        .collect();
    let step = (targets.len() / users.max(1)).max(1);
    let cases: Vec<HeldOutTarget<'_>> = targets.into_iter().step_by(step).take(users).collect();
    println!("{} users, {items} items", cases.len());
    println!(
        "model | HR@10 HR@50 NDCG@10 | nats | scale best | predicted / observed: top 1, 10, 50 | ms"
    );

    let train = || dataset.sequences.iter().map(|sequence| sequence.split().train);
    let popularity = Popularity::fit(items, train());
    let counts: Vec<f32> = popularity.counts().iter().map(|&n| ((n + 1) as f32).ln()).collect();
    report("popularity", &cases, true, |_| Ok(counts.clone()))?;
    let pairs = CoOccurrence::fit(train(), &popularity);
    report("co-occurrence", &cases, false, |history| Ok(pairs.scores(history)))?;
    let catalogue = Arc::new(dataset.catalogue.clone());
    for file in values("--gguf") {
        let model = Model::load(Path::new(&file), Arc::clone(&catalogue), &options)?;
        let mut generator = model.generator()?;
        report(&model.info().name, &cases, true, |history| {
            let history = distinct(history);
            let list = generator.generate(&Query {
                history: &history,
                exclude: &[],
                only: None,
                added: None,
                k: items,
            })?;
            let mut scores = vec![f32::NEG_INFINITY; items];
            for ranked in list.candidates {
                scores[ranked.item.position()] = ranked.logprob;
            }
            Ok(scores)
        })?;
    }
    Ok(())
}

/// Prints one row. `score` returns a score for every item, higher is better. `probabilities`
/// is true if the scores are log-probabilities up to a constant.
fn report(
    name: &str,
    cases: &[HeldOutTarget<'_>],
    probabilities: bool,
    mut score: impl FnMut(&[ItemIndex]) -> Result<Vec<f32>, Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    const TOPS: [usize; 3] = [1, 10, 50];
    let n = cases.len() as f64;
    let mut lists = Vec::with_capacity(cases.len());
    let (mut ranks, mut ms) = (Vec::new(), Vec::new());
    for HeldOutTarget { history, target } in cases {
        let start = Instant::now();
        let scores = score(history)?;
        ms.push(start.elapsed().as_secs_f64() * 1e3);
        let seen: HashSet<_> = history.iter().collect();
        let target_score = scores[target.position()];
        let mut remaining: Vec<(f32, u32)> =
            scores.into_iter().zip(0..).filter(|&(_, at)| !seen.contains(&ItemIndex(at))).collect();
        remaining.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranks.push(remaining.iter().position(|&(_, at)| at == target.0).unwrap_or(usize::MAX));
        lists.push((
            remaining.into_iter().map(|(s, _)| f64::from(s)).collect::<Vec<_>>(),
            f64::from(target_score),
        ));
    }
    let hits = |k: usize| ranks.iter().filter(|&&rank| rank < k).count() as f64 / n;
    let gain = |&rank: &usize| if rank < 10 { 1.0 / (rank as f64 + 2.0).log2() } else { 0.0 };
    let ndcg = ranks.iter().map(gain).sum::<f64>() / n;
    ms.sort_by(f64::total_cmp);
    let ms = ms[ms.len() / 2];
    print!("{name} | {:.4} {:.4} {ndcg:.4} |", hits(10), hits(50));
    if !probabilities {
        println!(" – | – – | – | {ms:.2}");
        return Ok(());
    }
    let nats = |scale: f64| {
        let of = |(list, target): &(Vec<f64>, f64)| log_sum_exp(list, scale) - scale * target;
        lists.iter().map(of).sum::<f64>() / n
    };
    let scale = minimise(nats);
    let predicted = |k: usize| {
        let of = |(list, _): &(Vec<f64>, f64)| {
            let norm = log_sum_exp(list, 1.0);
            list.iter().take(k).map(|score| (score - norm).exp()).sum::<f64>()
        };
        lists.iter().map(of).sum::<f64>() / n
    };
    let tops = TOPS.map(|k| format!("{:.3} / {:.3}", predicted(k), hits(k))).join(", ");
    println!(" {:.4} | {scale:.3} {:.4} | {tops} | {ms:.2}", nats(1.0), nats(scale));
    Ok(())
}

fn log_sum_exp(scores: &[f64], scale: f64) -> f64 {
    let best = scores.first().copied().unwrap_or(0.0) * scale;
    best + scores.iter().map(|score| (score * scale - best).exp()).sum::<f64>().ln()
}

/// The minimiser of a unimodal function between 0.1 and 10 (golden-section search).
fn minimise(value: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.1_f64.ln(), 10_f64.ln());
    for _ in 0..30 {
        let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
        if value(a.exp()) < value(b.exp()) { high = b } else { low = a }
    }
    f64::midpoint(low, high).exp()
}

/// Removes repeated items as the server does: the newest occurrence stays.
fn distinct(items: &[ItemIndex]) -> Vec<ItemIndex> {
    let mut seen = HashSet::new();
    let mut newest: Vec<ItemIndex> =
        items.iter().rev().copied().filter(|item| seen.insert(*item)).collect();
    newest.reverse();
    newest
}
