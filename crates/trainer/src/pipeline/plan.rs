//! How long and with which options the models are trained, by the size of the data.

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
        let mut options = words(if self.is_large() {
            "--loss sampled:512 --learning-rate 2e-3 --row-rate 1e-2 --row-decay 0 --dropout 0.4 --average 3 --patience 3"
        } else {
            "--loss full --learning-rate 1e-3 --row-rate 2e-3 --dropout 0.3 --average 3"
        });
        if let Some(start) = start {
            for (name, path) in [("--start", start.small_model()), ("--start-data", start.data())] {
                options.extend([name.to_owned(), path.to_string_lossy().into_owned()]);
            }
        }
        options.extend(self.shared());
        options
    }

    /// Options of `tandem train llm`.
    pub(super) fn language_model(&self, start: Option<&Release>) -> Vec<String> {
        let mut options = words(if self.is_large() {
            "--loss sampled:1024 --dims 128 --blocks 1 --heads 2 --feed-forward 128 --learning-rate 1e-3 --row-rate 3e-3 --row-decay 0 --dropout 0.5 --patience 3"
        } else {
            "--loss full --learning-rate 1e-3 --row-rate 2e-3 --dropout 0.3"
        });
        match start {
            Some(start) => options.extend([
                "--start".to_owned(),
                start.language_model().to_string_lossy().into_owned(),
            ]),
            None => options.push("--co-occurrence".to_owned()),
        }
        options.extend(words("--untied --row-std 0.1 --average 3"));
        options.extend(self.shared());
        options
    }

    fn shared(&self) -> Vec<String> {
        let batch = (self.interactions / STEPS).next_power_of_two().clamp(64, 512);
        let warm_up = (self.interactions / batch).clamp(10, 100);
        let Self { minutes, .. } = self;
        words(&format!(
            "--minutes {minutes} --checkpoint-minutes 1 --batch {batch} --warm-up {warm_up} \
             --validation-users {VALIDATION_USERS}"
        ))
    }

    fn is_large(&self) -> bool {
        self.items > FULL_SOFTMAX_ITEMS
    }
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
        }
    }
}
