//! The loop that both models are trained by.

use std::{
    fmt, fs,
    io::Write as _,
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng};
use serde::Serialize;
use tandem_dataset::{Dataset, Held, ItemIndex, Sequence};
use tandem_evaluation::Metrics;
use tandem_model::training::{
    Encoder, Objective, Rates, Trainer, TrainingConfig, batches, windows,
};

use crate::failure::BadInput;

/// Options of every training.
#[derive(Args, Debug)]
pub(crate) struct FitOptions {
    /// At most so many passes over the data.
    #[arg(long, default_value_t = 200)]
    pub(crate) epochs: u32,
    /// At most so many minutes; the best epoch until then is kept.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) minutes: f64,
    /// Stop after so many epochs without a better validation NDCG@10.
    #[arg(long, default_value_t = 10)]
    pub(crate) patience: u32,
    /// Newest items of a history that are read.
    #[arg(long, default_value_t = 50)]
    pub(crate) max_length: usize,
    /// The loss: `full` softmax, `sampled:N` softmax over N items a batch, or `bce:N`,
    /// binary cross-entropy with N negatives a position.
    #[arg(long, default_value_t = Loss(Objective::FullSoftmax))]
    pub(crate) loss: Loss,
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
    /// Windows of at most `max_length` items a step.
    #[arg(long, default_value_t = 32)]
    pub(crate) batch: usize,
    /// Newest items of each user that are not trained on; the first of them is the
    /// validation target. More than 2 for the session protocol.
    #[arg(long, default_value_t = 2)]
    pub(crate) hold_out: usize,
    /// Seed of weights, order and dropout.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Append a line of JSON an epoch.
    #[arg(long)]
    pub(crate) log: Option<PathBuf>,
}

impl FitOptions {
    /// What of the options concerns the steps themselves.
    pub(crate) fn training(&self) -> TrainingConfig {
        TrainingConfig {
            objective: self.loss.0,
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

/// How an epoch went.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Epoch {
    /// From 1.
    #[serde(rename = "epoch")]
    pub(crate) number: u32,
    /// Mean over steps, in nats a position.
    pub(crate) loss: f64,
    /// Of the validation targets.
    pub(crate) ndcg10: f64,
    pub(crate) hr10: f64,
    /// Seconds, without validation.
    pub(crate) seconds: f64,
    /// Positions that were predicted, a second.
    pub(crate) positions_per_second: f64,
}

/// Trains until the options say stop. `keep` is called after every epoch that is the best
/// so far on the validation targets; the best is returned.
pub(crate) fn fit<E: Encoder>(
    trainer: &mut Trainer<E>,
    dataset: &Dataset,
    options: &FitOptions,
    mut keep: impl FnMut(&Trainer<E>, &Epoch) -> Result<()>,
) -> Result<Epoch> {
    let train: Vec<Vec<u32>> = dataset
        .sequences
        .iter()
        .map(|sequence| trained_on(sequence, options).iter().map(|item| item.0).collect())
        .collect();
    if train.iter().all(|items| items.len() < 2) {
        let text = format!("{}: no user has two items to train on; import more data", dataset.name);
        return Err(BadInput(text).into());
    }
    let held = validation_targets(dataset, options)?;
    let mut log = open_log(options)?;

    let started = Instant::now();
    let budget = Duration::from_secs_f64(options.minutes.max(0.0) * 60.0);
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut steps = 0;
    let mut best: Option<Epoch> = None;
    for number in 1..=options.epochs {
        let epoch_started = Instant::now();
        let (loss, positions) = train_epoch(trainer, &train, options, &mut steps, &mut rng)?;
        let seconds = epoch_started.elapsed().as_secs_f64();
        let (hr10, ndcg10) = validate(trainer, &held)?;
        let positions_per_second = positions as f64 / seconds;
        let epoch = Epoch { number, loss, ndcg10, hr10, seconds, positions_per_second };
        let improved = best.is_none_or(|best| ndcg10 > best.ndcg10);
        if improved {
            keep(trainer, &epoch)?;
            best = Some(epoch);
        }
        let left = budget.saturating_sub(started.elapsed());
        report(&epoch, improved, left);
        if let Some(log) = &mut log {
            writeln!(log, "{}", serde_json::to_string(&epoch)?)?;
        }
        let stale = best.map_or(0, |best| number - best.number);
        // An epoch that would end after the time is not begun.
        if stale >= options.patience || left < epoch_started.elapsed() {
            break;
        }
    }
    best.ok_or_else(|| BadInput("--epochs 0 trains nothing; give at least 1".into()).into())
}

fn report(epoch: &Epoch, improved: bool, left: Duration) {
    eprintln!(
        "epoch {:>3}  loss {:.4}  validation NDCG@10 {:.4}  HR@10 {:.4}{}  {:.1} s  at most {:.0} s left",
        epoch.number,
        epoch.loss,
        epoch.ndcg10,
        epoch.hr10,
        if improved { " *" } else { "  " },
        epoch.seconds,
        left.as_secs_f64(),
    );
}

fn open_log(options: &FitOptions) -> Result<Option<fs::File>> {
    let open = |path: &PathBuf| {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))
    };
    options.log.as_ref().map(open).transpose()
}

/// One pass over all users; returns the mean loss a step and the positions predicted.
fn train_epoch<E: Encoder>(
    trainer: &mut Trainer<E>,
    train: &[Vec<u32>],
    options: &FitOptions,
    steps: &mut u32,
    rng: &mut StdRng,
) -> Result<(f64, usize)> {
    let cut: Vec<&[u32]> =
        train.iter().flat_map(|items| windows(items, options.max_length, rng)).collect();
    let positions = cut.iter().map(|window| window.len() - 1).sum();
    let batches = batches(cut, options.batch, rng);
    let bar = ProgressBar::new(batches.len() as u64)
        .with_style(ProgressStyle::with_template("  {bar:30} {pos}/{len} steps, {eta} left")?);
    let mut sum = 0.0;
    for batch in &batches {
        *steps += 1;
        let warm = (f64::from(*steps) / f64::from(options.warm_up.max(1))).min(1.0);
        let rates = Rates {
            encoder: options.learning_rate * warm,
            rows: options.row_rate.unwrap_or(options.learning_rate) * warm,
        };
        sum += f64::from(trainer.step(batch, rates)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((sum / batches.len().max(1) as f64, positions))
}

/// The items that are trained on: none of a user who has too few for what is held out.
fn trained_on<'a>(sequence: &'a Sequence, options: &FitOptions) -> &'a [ItemIndex] {
    &sequence.items[..sequence.items.len().saturating_sub(options.hold_out)]
}

/// The first item of each user that is not trained on.
fn validation_targets<'a>(dataset: &'a Dataset, options: &FitOptions) -> Result<Vec<Held<'a>>> {
    let held = dataset.sequences.iter().filter_map(|sequence| {
        let history = trained_on(sequence, options);
        let target = *sequence.items.get(history.len())?;
        (!history.is_empty()).then_some(Held { history, target })
    });
    let mut held: Vec<Held<'a>> = held.collect();
    // Histories of one length are scored together without padding.
    held.sort_by_key(|held| held.history.len());
    if held.is_empty() {
        let text = "no user has more items than are held out; import more data".to_owned();
        return Err(BadInput(text).into());
    }
    Ok(held)
}

/// HR@10 and NDCG@10 over the whole catalogue, the history removed (protocol `standard`).
fn validate<E: Encoder>(trainer: &Trainer<E>, held: &[Held<'_>]) -> Result<(f64, f64)> {
    let mut ranks = Vec::with_capacity(held.len());
    for batch in held.chunks(128) {
        let histories: Vec<Vec<u32>> =
            batch.iter().map(|held| held.history.iter().map(|item| item.0).collect()).collect();
        let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        for (held, scores) in batch.iter().zip(trainer.score(&histories)?) {
            ranks.push(tandem_evaluation::rank_of(held.target, &scores, held.history));
        }
    }
    let metrics = Metrics::of(&ranks);
    let at = metrics.at(10).context("the metrics have no cut-off 10")?;
    Ok((at.hr, at.ndcg))
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
