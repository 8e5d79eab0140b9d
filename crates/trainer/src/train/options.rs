use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};
use tandem_training::{Objective, TrainingConfig, fit::FitConfig};

use super::compute_device::ComputeDevice;
use crate::values::{self, ADVANCED, BASIC, FILES, RESEARCH};

/// Options of both trainings. Those that the weights depend on are serialised: an interrupted
/// training resumes only with the same values.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct FitOptions {
    /// What the other options are if they are not given.
    #[arg(long, value_enum, default_value_t = Recipe::Quick, help_heading = BASIC)]
    pub(crate) recipe: Recipe,
    /// Maximum number of epochs.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = values::positive_u32)]
    #[arg(help_heading = BASIC)]
    #[serde(skip)]
    pub(crate) epochs: u32,
    /// Time limit in minutes; the best epoch so far is kept.
    #[arg(long, default_value_t = 3.0, value_parser = values::minutes, help_heading = BASIC)]
    #[arg(default_value_if("recipe", "best", "600"))]
    #[serde(skip)]
    pub(crate) minutes: f64,
    /// Maximum history length in items.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    pub(crate) max_length: usize,
    /// Newest items of each user held out from training; the first is the validation target.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    pub(crate) hold_out: usize,
    /// Compute device.
    #[arg(long, value_enum, default_value_t = ComputeDevice::Cpu, help_heading = BASIC)]
    #[serde(skip)]
    pub(crate) device: ComputeDevice,
    /// Random seed of weights, batch order and dropout.
    #[arg(long, value_name = "N", default_value_t = 7, help_heading = BASIC)]
    pub(crate) seed: u64,
    /// Early stopping: epochs without a better validation NDCG@10.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::positive_u32)]
    #[arg(help_heading = ADVANCED)]
    #[serde(skip)]
    pub(crate) patience: u32,
    /// Loss: `full` softmax, `sampled:N` softmax with N negatives per batch, or `bce:N`, binary
    /// cross-entropy with N negatives per position [default: full; DIN sampled:32].
    #[arg(long, help_heading = ADVANCED)]
    pub(crate) loss: Option<Loss>,
    /// Learning rate of the network.
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = values::above_zero)]
    #[arg(help_heading = ADVANCED)]
    pub(crate) learning_rate: f64,
    /// Learning rate of the item rows [default: --learning-rate].
    #[arg(long, value_name = "RATE", value_parser = values::above_zero, help_heading = ADVANCED)]
    #[arg(default_value_if("recipe", "best", "2e-3"))]
    pub(crate) row_rate: Option<f64>,
    /// Learning-rate warm-up in steps.
    #[arg(long, value_name = "STEPS", default_value_t = 100, help_heading = ADVANCED)]
    pub(crate) warm_up: u32,
    /// Dropout probability.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = values::share)]
    #[arg(help_heading = ADVANCED, default_value_if("recipe", "best", "0.5"))]
    pub(crate) dropout: f64,
    /// Weight decay of the network.
    #[arg(long, value_name = "RATE", default_value_t = 0.01)]
    #[arg(value_parser = values::zero_or_more_f32, help_heading = ADVANCED)]
    pub(crate) weight_decay: f32,
    /// Weight decay of the item rows.
    #[arg(long, value_name = "RATE", default_value_t = 0.01)]
    #[arg(value_parser = values::zero_or_more_f32, help_heading = ADVANCED)]
    #[arg(default_value_if("recipe", "best", "0"))]
    pub(crate) row_decay: f32,
    /// Span of the moving average of the weights in epochs; 0 for none.
    #[arg(long, value_name = "EPOCHS", default_value_t = 0, help_heading = ADVANCED)]
    #[arg(default_value_if("recipe", "best", "3"))]
    pub(crate) average: u32,
    /// Maximum number of inputs per step, padding included.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED, default_value_if("recipe", "best", "2048"))]
    pub(crate) batch: usize,
    /// Number of users to validate on, sampled by --seed [default: all].
    #[arg(long, value_name = "N", value_parser = values::positive, help_heading = ADVANCED)]
    pub(crate) validation_users: Option<usize>,
    /// Text vectors of `tandem embed`; a learnt projection of them is added to the item rows.
    #[arg(long, value_name = "FILE", help_heading = BASIC)]
    pub(crate) text: Option<PathBuf>,
    /// Share of the rows of a step that are their text part alone, so that it learns to stand in
    /// for new items.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, requires = "text")]
    #[arg(value_parser = values::share, help_heading = ADVANCED)]
    pub(crate) text_alone: f64,
    /// Discard the checkpoint of an interrupted training.
    #[arg(long, help_heading = ADVANCED)]
    #[serde(skip)]
    pub(crate) fresh: bool,
    /// Minutes between checkpoints within an epoch; one is also written after each epoch.
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0, value_parser = values::minutes)]
    #[arg(help_heading = ADVANCED)]
    #[serde(skip)]
    pub(crate) checkpoint_minutes: f64,
    /// Train for exactly this number of epochs on all but each user's last item, without
    /// validation.
    #[arg(long, value_name = "EPOCHS", conflicts_with_all = ["hold_out", "epochs", "patience"])]
    #[arg(value_parser = values::positive_u32, help_heading = RESEARCH)]
    pub(crate) refit: Option<u32>,
    /// With --refit: train on each user's last item as well. No interaction is left to measure
    /// the model on.
    #[arg(long, requires = "refit", help_heading = RESEARCH)]
    pub(crate) everything: bool,
    /// Log file, one line of JSON per epoch.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    #[serde(skip)]
    pub(crate) log: Option<PathBuf>,
    /// Chart of loss and validation NDCG@10 by epoch (.svg).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    #[serde(skip)]
    pub(crate) plot: Option<PathBuf>,
    /// How the progress is shown.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) display: Display,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recipe {
    /// Some minutes.
    #[default]
    Quick,
    /// The best that was found on Beauty's validation targets (docs/quality.md); trains until
    /// validation does not rise any more.
    Best,
}

/// How the progress of a training is shown on the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Display {
    /// A line for each epoch.
    #[default]
    Epochs,
    /// One bar over the time limit.
    OneBar,
}

impl FitOptions {
    /// The loss given, or the full softmax.
    pub(crate) fn loss(&self) -> Loss {
        self.loss.unwrap_or(Loss(Objective::FullSoftmax))
    }

    /// Settings of the training loop.
    pub(crate) fn fit_config(&self) -> FitConfig {
        FitConfig {
            epochs: self.epochs,
            time_limit: Duration::from_secs_f64(self.minutes * 60.0),
            patience: self.patience,
            max_length: self.max_length,
            batch: self.batch,
            learning_rate: self.learning_rate,
            row_rate: self.row_rate,
            warm_up: self.warm_up,
            average: self.average,
            hold_out: match self.refit {
                Some(_) if self.everything => 0,
                Some(_) => 1,
                None => self.hold_out,
            },
            refit: self.refit,
            validation_users: self.validation_users,
            seed: self.seed,
            fresh: self.fresh,
            checkpoint_interval: Duration::from_secs_f64(self.checkpoint_minutes * 60.0),
        }
    }

    /// Settings of the optimisers and the loss.
    pub(crate) fn training(&self) -> TrainingConfig {
        TrainingConfig {
            objective: self.loss().0,
            weight_decay: self.weight_decay,
            row_decay: self.row_decay,
            seed: self.seed,
            ..TrainingConfig::default()
        }
    }
}

/// The command-line form of an [`Objective`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss(pub(crate) Objective);

/// A text that names no loss.
#[derive(Debug, thiserror::Error)]
#[error("expected `full`, `sampled:N` or `bce:N` with N of at least 1, found `{0}`")]
pub(crate) struct LossError(String);

impl FromStr for Loss {
    type Err = LossError;

    fn from_str(text: &str) -> Result<Self, LossError> {
        let wrong = || LossError(text.to_owned());
        if text == "full" {
            return Ok(Self(Objective::FullSoftmax));
        }
        let (kind, count) = text.split_once(':').ok_or_else(wrong)?;
        let negatives = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        match kind {
            "sampled" => Ok(Self(Objective::SampledSoftmax { negatives })),
            "bce" => Ok(Self(Objective::BinaryCrossEntropy { negatives })),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Objective::FullSoftmax => f.write_str("full"),
            Objective::SampledSoftmax { negatives } => write!(f, "sampled:{negatives}"),
            Objective::BinaryCrossEntropy { negatives } => write!(f, "bce:{negatives}"),
        }
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "llama")]
    use crate::{
        train::{llm::TrainLlm, srm::TrainSrm},
        values::parse,
    };

    #[cfg(feature = "llama")]
    #[test]
    fn a_recipe_sets_what_is_not_given() {
        const FILES: [&str; 4] = ["--data", "d", "--out", "o"];
        let best = ["--recipe", "best", "--dropout", "0.4"];
        let small: TrainSrm = parse([&FILES[..], &best].concat()).unwrap();
        let FitOptions { batch, row_rate, dropout, average, .. } = small.fit;
        assert_eq!((batch, row_rate, dropout, average), (2048, Some(2e-3), 0.4, 3));
        assert_eq!(small.fit.loss().to_string(), "full");
        let language: TrainLlm = parse([&FILES[..], &best].concat()).unwrap();
        let FitOptions { batch, row_rate, dropout, average, .. } = language.fit;
        assert_eq!((batch, row_rate, dropout, average), (2048, Some(2e-3), 0.4, 3));
        assert_eq!(language.fit.loss().to_string(), "sampled:1024");
        let quick: TrainLlm = parse(FILES).unwrap();
        assert_eq!((quick.fit.batch, quick.fit.row_rate, quick.fit.minutes), (1024, None, 3.0));
        let other: TrainLlm =
            parse([&FILES[..], &best, &["--batch", "64", "--loss", "full"]].concat()).unwrap();
        assert_eq!((other.fit.batch, other.fit.loss().to_string()), (64, "full".to_owned()));
    }

    #[test]
    fn losses_round_trip_through_text() {
        for text in ["full", "sampled:256", "bce:4"] {
            assert_eq!(text.parse::<Loss>().unwrap().to_string(), text);
        }
        for text in ["", "sampled", "sampled:0", "bce:x", "hinge:3"] {
            let error = text.parse::<Loss>().unwrap_err().to_string();
            assert!(error.contains("expected `full`"), "{error}");
        }
    }

    #[cfg(feature = "llama")]
    #[test]
    fn a_refit_leaves_out_the_last_item_or_nothing() {
        let held_out = |options: &str| {
            let words = format!("--data d --out o {options}");
            let args: crate::train::srm::TrainSrm =
                crate::values::parse(words.split_whitespace()).unwrap();
            args.fit.fit_config().hold_out
        };
        assert_eq!(held_out(""), 2);
        assert_eq!(held_out("--hold-out 3"), 3);
        assert_eq!(held_out("--refit 2"), 1);
        assert_eq!(held_out("--refit 2 --everything"), 0);
    }
}
