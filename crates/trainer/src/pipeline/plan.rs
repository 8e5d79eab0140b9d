//! How long and with which options the models are trained, by the size of the data.

use std::path::Path;

use tandem_dataset::Dataset;

use super::Release;

/// Training time by default: six minutes for each 100,000 interactions, within these limits.
const MINUTES_PER_INTERACTION: f64 = 6.0 / 100_000.0;
const MIN_MINUTES: f64 = 0.4;
const MAX_MINUTES: f64 = 60.0;

/// Largest catalogue that is trained with the full softmax, whose cost grows with it.
const FULL_SOFTMAX_ITEMS: usize = 5_000;
/// Steps that an epoch should have: with fewer, small data is trained for too few steps.
const STEPS: usize = 32;
/// Epochs on all interactions, and the share of the learning rates there.
const REFIT_EPOCHS: u32 = 2;
const REFIT_RATE: f64 = 0.5;
/// Users that an epoch is validated on.
const VALIDATION_USERS: usize = 2_000;

/// The training of both models. The language model's options are those of the benchmarks in
/// `docs/quality.md`: the one for small catalogues and the one for large ones.
#[derive(Debug)]
pub(super) struct Plan {
    /// Minutes of each model.
    minutes: f64,
    items: usize,
    interactions: usize,
}

impl Plan {
    /// `minutes` are those of both models together.
    pub(super) fn new(dataset: &Dataset, minutes: Option<f64>) -> Self {
        let interactions = dataset.interactions();
        let usual = (interactions as f64 * MINUTES_PER_INTERACTION).clamp(MIN_MINUTES, MAX_MINUTES);
        let minutes = minutes.unwrap_or(usual) / 2.0;
        Self { minutes, items: dataset.catalogue.len(), interactions }
    }

    /// Options of `tandem train srm`.
    pub(super) fn small_model(&self, start: Option<&Release>) -> Vec<String> {
        let mut options = self.small_model_method(1.0);
        if let Some(start) = start {
            let model = start.measured_small_model();
            options.extend(from_files(&[("--start", &model), ("--start-data", &start.data())]));
        }
        options.extend(self.until_best());
        options
    }

    /// Options of `tandem train llm`.
    pub(super) fn language_model(&self, start: Option<&Release>) -> Vec<String> {
        let mut options = self.language_model_method(1.0);
        match start {
            Some(start) => {
                options.extend(from_files(&[("--start", &start.measured_language_model())]));
            }
            None => options.push("--co-occurrence".to_owned()),
        }
        options.extend(self.until_best());
        options
    }

    /// Options of `tandem train srm` that continue from `model` on all interactions.
    pub(super) fn refit_small_model(&self, model: &Path) -> Vec<String> {
        let mut options = self.small_model_method(REFIT_RATE);
        options.extend(from_files(&[("--start", model)]));
        options.extend(refit());
        options
    }

    /// Options of `tandem train llm` that continue from `model` on all interactions.
    pub(super) fn refit_language_model(&self, model: &Path) -> Vec<String> {
        let mut options = self.language_model_method(REFIT_RATE);
        options.extend(from_files(&[("--start", model)]));
        options.extend(refit());
        options
    }

    /// Loss, regularisation and learning rates, the latter times `rate`.
    fn small_model_method(&self, rate: f64) -> Vec<String> {
        let (method, network, rows) = if self.is_large() {
            ("--loss sampled:512 --row-decay 0 --dropout 0.4", 2e-3, 1e-2)
        } else {
            ("--loss full --dropout 0.3", 1e-3, 2e-3)
        };
        self.with_rates(method, network * rate, rows * rate)
    }

    /// As [`small_model_method`](Self::small_model_method), with the sizes of a new model.
    fn language_model_method(&self, rate: f64) -> Vec<String> {
        let (method, network, rows) = if self.is_large() {
            (
                "--loss sampled:1024 --dims 128 --blocks 1 --heads 2 --feed-forward 128 --row-decay 0 --dropout 0.5 --untied --row-std 0.1",
                1e-3,
                3e-3,
            )
        } else {
            ("--loss full --dropout 0.3 --untied --row-std 0.1", 1e-3, 2e-3)
        };
        self.with_rates(method, network * rate, rows * rate)
    }

    fn with_rates(&self, method: &str, network: f64, rows: f64) -> Vec<String> {
        let batch = (self.interactions / STEPS).next_power_of_two().clamp(64, 512);
        let warm_up = (self.interactions / batch).clamp(10, 100);
        words(&format!(
            "{method} --learning-rate {network} --row-rate {rows} --average 3 --batch {batch} \
             --warm-up {warm_up} --checkpoint-minutes 1"
        ))
    }

    /// Trains until the time or the patience runs out.
    fn until_best(&self) -> Vec<String> {
        let patience = if self.is_large() { 3 } else { 10 };
        words(&format!(
            "--minutes {} --patience {patience} --validation-users {VALIDATION_USERS}",
            self.minutes
        ))
    }

    fn is_large(&self) -> bool {
        self.items > FULL_SOFTMAX_ITEMS
    }
}

fn refit() -> Vec<String> {
    words(&format!("--refit {REFIT_EPOCHS} --everything"))
}

/// Options that name files, whose names may contain blanks.
fn from_files(options: &[(&str, &Path)]) -> Vec<String> {
    let option =
        |(name, path): &(&str, &Path)| [(*name).to_owned(), path.to_string_lossy().into_owned()];
    options.iter().flat_map(option).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        train::{llm::TrainLlm, srm::TrainSrm},
        values::parse,
    };

    use super::*;

    #[test]
    fn minutes_grow_with_the_log_within_limits() {
        let plan = |interactions: usize, minutes: Option<f64>| {
            let items = vec![tandem_dataset::Item::untitled("a".into())];
            let sequence = tandem_dataset::Sequence {
                user: "u".into(),
                items: vec![tandem_dataset::ItemIndex(0); interactions],
                times: None,
            };
            let catalogue = tandem_dataset::Catalogue::new(items).unwrap();
            let dataset = Dataset::new("d", catalogue, vec![sequence], None).unwrap();
            2.0 * Plan::new(&dataset, minutes).minutes
        };
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(near(plan(3_000, None), 0.4));
        assert!(near(plan(100_000, None), 6.0));
        assert!(near(plan(2_000_000, None), 60.0));
        assert!(near(plan(3_000, Some(0.1)), 0.1));
    }

    #[test]
    fn the_options_are_those_of_the_commands() {
        for items in [500, 20_000] {
            let plan = Plan { minutes: 1.0, items, interactions: 10 * items };
            let files = ["--data", "d", "--out", "o"].map(str::to_owned);
            let with_files = |options: Vec<String>| options.into_iter().chain(files.clone());
            parse::<TrainSrm>(with_files(plan.small_model(None))).unwrap();
            parse::<TrainLlm>(with_files(plan.language_model(None))).unwrap();
            let start = Release::at("shop/releases/0123456789abcdef".into());
            parse::<TrainSrm>(with_files(plan.small_model(Some(&start)))).unwrap();
            parse::<TrainLlm>(with_files(plan.language_model(Some(&start)))).unwrap();
            let model = Path::new("a model");
            parse::<TrainSrm>(with_files(plan.refit_small_model(model))).unwrap();
            parse::<TrainLlm>(with_files(plan.refit_language_model(model))).unwrap();
        }
    }
}
