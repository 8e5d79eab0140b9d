use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use serde::{Serialize, Serializer};
use tandem_training::{Objective, TrainingConfig, fit::FitConfig};

use super::compute_device::ComputeDevice;

/// Options of every training. Those that the weights depend on are serialised: a training
/// that was interrupted goes on only under the same.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct FitOptions {
    /// At most so many passes over the data.
    #[arg(long, default_value_t = 200)]
    #[serde(skip)]
    pub(crate) epochs: u32,
    /// At most so many minutes; the best epoch until then is kept.
    #[arg(long, default_value_t = 3.0)]
    #[serde(skip)]
    pub(crate) minutes: f64,
    /// Stop after so many epochs without a better validation NDCG@10.
    #[arg(long, default_value_t = 10)]
    #[serde(skip)]
    pub(crate) patience: u32,
    /// Newest items of a history that are read.
    #[arg(long, default_value_t = 50)]
    pub(crate) max_length: usize,
    /// The loss: `full` softmax, `sampled:N` softmax over N items a batch, or `bce:N`,
    /// binary cross-entropy with N negatives a position; the model's usual one if absent.
    #[arg(long)]
    pub(crate) loss: Option<Loss>,
    /// Step size of the optimiser.
    #[arg(long, default_value_t = 1e-3)]
    pub(crate) learning_rate: f64,
    /// Step size of the item rows; `learning_rate` if absent. With a sampled loss a row is
    /// moved in few steps only, and may go further in each.
    #[arg(long)]
    pub(crate) row_rate: Option<f64>,
    /// Steps over which the step sizes grow from zero.
    #[arg(long, default_value_t = 100)]
    pub(crate) warm_up: u32,
    /// Share of activations dropped in training.
    #[arg(long, default_value_t = 0.2)]
    pub(crate) dropout: f64,
    /// Weight decay of the network.
    #[arg(long, default_value_t = 0.01)]
    pub(crate) weight_decay: f32,
    /// Weight decay of the item rows.
    #[arg(long, default_value_t = 0.01)]
    pub(crate) row_decay: f32,
    /// Validate, and keep, a moving average of the weights over about so many epochs; 0
    /// keeps the weights themselves.
    #[arg(long, default_value_t = 0)]
    pub(crate) average: u32,
    /// Items that are predicted in a step, at most; of lists, each counts as `max_length`.
    #[arg(long, default_value_t = 1024)]
    pub(crate) batch: usize,
    /// Newest items of each user that are not trained on; the first of them is the
    /// validation target. More than 2 for the session protocol.
    #[arg(long, default_value_t = 2)]
    pub(crate) hold_out: usize,
    /// Refit, once everything is chosen: train on all but each user's last item for exactly
    /// so many epochs and keep the last. Nothing is validated, for nothing is left for it.
    #[arg(long, value_name = "EPOCHS", conflicts_with_all = ["hold_out", "epochs", "patience"])]
    pub(crate) refit: Option<u32>,
    /// Validate on so many users, drawn by `--seed`, rather than on all: ranking a large
    /// catalogue for everyone takes longer than training.
    #[arg(long)]
    pub(crate) validation_users: Option<usize>,
    /// Seed of weights, order and dropout.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// What computes.
    #[arg(long, value_enum, default_value_t = ComputeDevice::Cpu)]
    #[serde(skip)]
    pub(crate) device: ComputeDevice,
    /// Write a line of JSON an epoch.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) log: Option<PathBuf>,
    /// Draw loss and validation NDCG@10 over the epochs (an .svg file).
    #[arg(long)]
    #[serde(skip)]
    pub(crate) plot: Option<PathBuf>,
    /// Start over, even if a checkpoint of an interrupted training is there.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) fresh: bool,
    /// Write a checkpoint after every epoch and, within a long one, every so many minutes.
    #[arg(long, default_value_t = 5.0)]
    #[serde(skip)]
    pub(crate) checkpoint_minutes: f64,
}

impl FitOptions {
    /// The loss that was asked for, or the full softmax.
    pub(crate) fn loss(&self) -> Loss {
        self.loss.unwrap_or(Loss(Objective::FullSoftmax))
    }

    /// Settings of the training loop.
    pub(crate) fn fit_config(&self) -> FitConfig {
        FitConfig {
            epochs: self.epochs,
            time_limit: Duration::from_secs_f64(self.minutes.max(0.0) * 60.0),
            patience: self.patience,
            max_length: self.max_length,
            batch: self.batch,
            learning_rate: self.learning_rate,
            row_rate: self.row_rate,
            warm_up: self.warm_up,
            average: self.average,
            hold_out: self.hold_out,
            refit: self.refit,
            validation_users: self.validation_users,
            seed: self.seed,
            fresh: self.fresh,
            checkpoint_interval: Duration::from_secs_f64(self.checkpoint_minutes.max(0.0) * 60.0),
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

/// An [`Objective`] as it is written on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss(pub(crate) Objective);

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected `full`, `sampled:N` or `bce:N`, found `{text}`");
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

    #[test]
    fn losses_are_read_as_they_are_written() {
        for text in ["full", "sampled:256", "bce:4"] {
            assert_eq!(text.parse::<Loss>().unwrap().to_string(), text);
        }
        for text in ["", "sampled", "sampled:0", "bce:x", "hinge:3"] {
            let error = text.parse::<Loss>().unwrap_err();
            assert!(error.contains("expected `full`"), "{error}");
        }
    }
}
