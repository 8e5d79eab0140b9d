//! Recall of the exact top 20 and top 50 by a search with a token budget, and its cost.
//!
//! The catalogue is the most popular `--titles` items. For each user the search runs once
//! without a budget, which scores all titles exactly, and once per budget, interleaved, so
//! that all budgets run under the same machine load. Histories are the user's newest items
//! before the validation target.
//!
//! `recall --gguf FILE --data DIR [--titles 1000] [--users 30] [--history 10]
//! [--budgets 0,64,128,256,512,1024] [--lm 0.2] [--prior 1.0] [--unconditional 0.2] [--width 16]
//! [--threads N]`

use std::{collections::HashSet, path::Path, sync::Arc};

use tandem_dataset::{Catalogue, Dataset, ItemIndex};
use tandem_generator::{
    Generation, Generator, LoadOptions, Model, Query, branch_scores::ExpertWeights,
    llama::passive_threads,
};

/// The history of each user, oldest first.
type Histories = Vec<Vec<ItemIndex>>;

/// Number of candidates per list.
const K: usize = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    passive_threads()?;
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let exponent =
        |name: &str, default: f64| value(name).map_or(Ok(default), |text| text.parse::<f64>());
    let (titles, users) = (number("--titles", 1000)?, number("--users", 30)?);
    let length = number("--history", 10)?;
    let budgets: Vec<usize> = value("--budgets")
        .unwrap_or_else(|| "0,64,128,256,512,1024".to_owned())
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let defaults = LoadOptions::default();
    let weights = ExpertWeights {
        lm: exponent("--lm", defaults.weights.lm)?,
        prior: exponent("--prior", defaults.weights.prior)?,
        unconditional: exponent("--unconditional", defaults.weights.unconditional)?,
    };
    let unconditional_histories =
        if weights.unconditional > 0.0 { defaults.unconditional_histories } else { 0 };
    let options = LoadOptions {
        weights,
        threads: number("--threads", defaults.threads)?,
        width: number("--width", defaults.width)?,
        unconditional_histories,
        ..defaults
    };
    let dataset = Dataset::load(Path::new(&value("--data").ok_or("--data is missing")?))?;
    let (catalogue, histories) = most_popular(&dataset, titles, users, length)?;
    let gguf = value("--gguf").ok_or("--gguf is missing")?;
    let model = Model::load(Path::new(&gguf), Arc::new(catalogue), &options)?;
    let mut generator = model.titles()?;

    let mut rows: Vec<Row> = std::iter::once(usize::MAX)
        .chain(budgets)
        .map(|budget| Row { budget, ..Row::default() })
        .collect();
    for history in &histories {
        let query = Query { history, exclude: &[], only: None, added: None, k: K };
        let mut exact: Vec<ItemIndex> = Vec::new();
        for row in &mut rows {
            generator.set_token_budget(row.budget);
            let list = generator.generate(&query)?;
            let items = list.candidates.iter().map(|ranked| ranked.item).collect();
            if row.budget == usize::MAX {
                exact = items;
                row.add(&list, &exact, &exact);
            } else {
                row.add(&list, &items, &exact);
            }
        }
    }
    println!("budget | recall@20 recall@50 | tokens | search ms (median) prompt ms (median)");
    for row in &mut rows {
        row.print(histories.len());
    }
    Ok(())
}

/// Totals of one budget over all users.
#[derive(Default)]
struct Row {
    budget: usize,
    of_20: usize,
    of_50: usize,
    tokens: usize,
    search_ms: Vec<f64>,
    prompt_ms: Vec<f64>,
}

impl Row {
    fn add(&mut self, list: &Generation, found: &[ItemIndex], exact: &[ItemIndex]) {
        let common = |k: usize| {
            let exact: HashSet<_> = exact.iter().take(k).collect();
            found.iter().take(k).filter(|item| exact.contains(item)).count()
        };
        self.of_20 += common(20);
        self.of_50 += common(50);
        self.tokens += list.decoded_tokens;
        self.search_ms.push(list.decode_ms);
        // Later searches find the prompt in the cache.
        if self.budget == usize::MAX {
            self.prompt_ms.push(list.prompt_ms);
        }
    }

    fn print(&mut self, users: usize) {
        let budget =
            if self.budget == usize::MAX { "exact".to_owned() } else { self.budget.to_string() };
        let share = |found: usize, k: usize| found as f64 / (users * k) as f64;
        println!(
            "{budget:>6} | {:.3} {:.3} | {} | {:.0} {:.0}",
            share(self.of_20, 20),
            share(self.of_50, 50),
            self.tokens / users,
            median(&mut self.search_ms),
            median(&mut self.prompt_ms),
        );
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The catalogue of the most popular titles, and the histories restricted to it.
fn most_popular(
    dataset: &Dataset,
    titles: usize,
    users: usize,
    length: usize,
) -> Result<(Catalogue, Histories), Box<dyn std::error::Error>> {
    let mut order: Vec<usize> = (0..dataset.catalogue.len()).collect();
    let items = dataset.catalogue.items();
    order.sort_by_key(|&at| (std::cmp::Reverse(items[at].count), at));
    order.truncate(titles);
    order.sort_unstable();
    let catalogue = Catalogue::new(order.iter().map(|&at| items[at].clone()).collect())?;
    let new_index = |item: &ItemIndex| {
        let position = order.binary_search(&item.position()).ok()?;
        u32::try_from(position).ok().map(ItemIndex)
    };
    let usable: Histories = dataset
        .sequences
        .iter()
        .filter_map(|sequence| sequence.split().validation)
        .map(|held| {
            let mut newest: Vec<ItemIndex> = Vec::new();
            for item in held.history.iter().rev().filter_map(new_index) {
                if newest.len() < length && !newest.contains(&item) {
                    newest.push(item);
                }
            }
            newest.reverse();
            newest
        })
        .filter(|history| history.len() == length)
        .collect();
    let step = (usable.len() / users.max(1)).max(1);
    Ok((catalogue, usable.into_iter().step_by(step).take(users).collect()))
}
