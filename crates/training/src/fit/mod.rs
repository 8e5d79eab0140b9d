//! The training loop of both models: epochs, validation, early stopping, resuming.

mod data;
mod epoch;
mod resume;
mod validation;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use data::TrainingBatch;
pub use data::TrainingData;
pub use epoch::{Epoch, Validation, best_epoch, epoch_chart};
use rand::{SeedableRng, rngs::StdRng};
use resume::{Progress, ResumeFile};
use tandem_dataset::Dataset;
pub use validation::training_part;
use validation::{validate, validation_targets};

use crate::{Rates, SequenceModel, Trainer, TrainingError};

/// Settings of the training loop.
#[derive(Clone, Debug)]
pub struct FitConfig {
    /// Maximum number of epochs.
    pub epochs: u32,
    /// Time limit; an epoch that would end later is not started, except the first.
    pub time_limit: Duration,
    /// Epochs without a better validation NDCG@10 before training stops.
    pub patience: u32,
    /// Maximum history length in items.
    pub max_length: usize,
    /// Maximum number of predictions per step; each candidate list counts as `max_length`.
    pub batch: usize,
    /// Learning rate of the network.
    pub learning_rate: f64,
    /// Learning rate of the item rows; `learning_rate` if absent.
    pub row_rate: Option<f64>,
    /// Steps of linear learning-rate warm-up.
    pub warm_up: u32,
    /// Span in epochs of the moving average of the weights; 0 for none.
    pub average: u32,
    /// Newest items of each user that are not trained on; the first of them is the validation
    /// target.
    pub hold_out: usize,
    /// Train for exactly this number of epochs on all but each user's last item, without
    /// validation; replaces `epochs`, `patience` and `hold_out`.
    pub refit: Option<u32>,
    /// Number of users to validate on, sampled by `seed`; all if absent.
    pub validation_users: Option<usize>,
    /// Seed of the order of the batches and of the validation users.
    pub seed: u64,
    /// Discard the checkpoint of an interrupted training.
    pub fresh: bool,
    /// Time between checkpoints within an epoch; one is also written after each epoch.
    pub checkpoint_interval: Duration,
}

impl FitConfig {
    /// Newest items of each user that are not trained on.
    #[must_use]
    pub fn held_out(&self) -> usize {
        if self.refit.is_some() { 1 } else { self.hold_out }
    }
}

/// Input and output of a training.
#[derive(Debug)]
pub struct FitJob<'a> {
    /// The whole dataset, held-out part included.
    pub dataset: &'a Dataset,
    /// Settings of the loop.
    pub config: &'a FitConfig,
    /// The examples to train on.
    pub data: TrainingData,
    /// File of the model; the checkpoint of the training is written beside it.
    pub out: &'a Path,
    /// All settings that the weights depend on, as a JSON object. An interrupted training
    /// resumes only if they are equal.
    pub settings: serde_json::Value,
}

/// Progress of [`fit`].
#[derive(Clone, Copy, Debug)]
pub enum FitEvent<'a> {
    /// Training starts, or resumes after these epochs and steps of the next one.
    Started {
        /// Epochs of earlier runs.
        epochs: &'a [Epoch],
        /// Steps of the unfinished epoch.
        steps: usize,
    },
    /// An epoch starts.
    EpochStarted {
        /// Number of steps of the epoch.
        steps: usize,
        /// Steps that an earlier run took.
        done: usize,
    },
    /// A step was taken.
    Step,
    /// An epoch was validated.
    EpochFinished {
        /// All epochs, the newest last.
        epochs: &'a [Epoch],
        /// Time left until the limit.
        remaining: Duration,
    },
}

/// Trains until the epochs, the time or the patience run out; resumes from a checkpoint of the
/// same job if one exists. Returns the best epoch.
///
/// `keep` is called after each epoch that is the best so far on the validation targets, to
/// write the model; `observe` receives the progress.
///
/// # Errors
/// [`TrainingError::Input`] without data to train or validate on, or if the loss diverges;
/// [`TrainingError::Resume`] for a checkpoint of another training; [`TrainingError::Model`] and
/// [`TrainingError::Io`] if the device or the file system fails; errors of `keep` and `observe`.
pub fn fit<M: SequenceModel, E: From<TrainingError>>(
    trainer: &mut Trainer<M>,
    job: &FitJob<'_>,
    mut keep: impl FnMut(&Trainer<M>, &Epoch) -> Result<(), E>,
    mut observe: impl FnMut(FitEvent<'_>) -> Result<(), E>,
) -> Result<Epoch, E> {
    let config = job.config;
    let targets = match config.refit {
        Some(_) => Vec::new(),
        None => validation_targets(job.dataset, config)?,
    };
    let file = ResumeFile::of(job);
    if config.fresh {
        file.remove()?;
    }
    let mut progress = file.resume(trainer)?.unwrap_or_default();
    observe(FitEvent::Started { epochs: &progress.epochs, steps: progress.steps })?;

    let (started, earlier) = (Instant::now(), progress.elapsed);
    let elapsed = || earlier + started.elapsed().as_secs_f64();
    let limit = config.time_limit.as_secs_f64();
    while continues(&progress, config, limit) {
        let epoch_start = Instant::now();
        let epoch = train_epoch(
            trainer,
            &job.data,
            config,
            &mut progress,
            |trainer, progress| {
                progress.elapsed = elapsed();
                file.write(trainer, progress)
            },
            &mut observe,
        )?;
        if config.average > 0 {
            let share = average_share(epoch.number, config.average);
            trainer.average(share).map_err(TrainingError::Model)?;
        }
        let validation = match config.refit {
            Some(_) => None,
            None => Some(validate(trainer, &targets)?),
        };
        let mut epochs = std::mem::take(&mut progress.epochs);
        epochs.push(Epoch { validation, ..epoch });
        if let Some(best) = best_epoch(&epochs).filter(|best| best.number == epoch.number) {
            keep(trainer, &best)?;
        }
        progress = Progress {
            epochs,
            elapsed: elapsed(),
            last: epoch_start.elapsed().as_secs_f64(),
            ..Progress::default()
        };
        file.write(trainer, &progress)?;
        let remaining = Duration::from_secs_f64((limit - progress.elapsed).max(0.0));
        observe(FitEvent::EpochFinished { epochs: &progress.epochs, remaining })?;
    }
    file.remove()?;
    let none = || TrainingError::Input("no epoch was trained; give --epochs 1 or more".into());
    Ok(best_epoch(&progress.epochs).ok_or_else(none)?)
}

/// Whether another epoch, or the rest of an interrupted one, is trained.
fn continues(progress: &Progress, config: &FitConfig, limit: f64) -> bool {
    let number = progress.epochs.len() as u32;
    if let Some(epochs) = config.refit {
        return number < epochs;
    }
    let stale = best_epoch(&progress.epochs).map_or(0, |best| number - best.number);
    let in_time = number == 0 || progress.steps > 0 || progress.elapsed + progress.last <= limit;
    number < config.epochs && stale < config.patience.max(1) && in_time
}

/// Weight of the newest epoch in a moving average that spans `epochs`: decay
/// `(epochs − 1) / (epochs + 1)`, bias-corrected as in Adam (Kingma & Ba 2015, §3), so that the
/// first epoch has weight 1.
fn average_share(number: u32, epochs: u32) -> f32 {
    let decay = f64::from(epochs - 1) / f64::from(epochs + 1);
    ((1.0 - decay) / (1.0 - decay.powf(f64::from(number)))) as f32
}

/// One pass over the data, or the rest of an interrupted one. The order of the batches depends
/// on the seed and the number of the epoch only, so that an epoch can be resumed.
fn train_epoch<M: SequenceModel, E: From<TrainingError>>(
    trainer: &mut Trainer<M>,
    data: &TrainingData,
    config: &FitConfig,
    progress: &mut Progress,
    mut save: impl FnMut(&Trainer<M>, &mut Progress) -> Result<(), TrainingError>,
    observe: &mut impl FnMut(FitEvent<'_>) -> Result<(), E>,
) -> Result<Epoch, E> {
    let number = progress.epochs.len() as u32 + 1;
    let mut rng = StdRng::seed_from_u64(config.seed ^ u64::from(number).rotate_left(32));
    let batches = data.epoch(config, &mut rng);
    let positions: usize = batches.iter().map(TrainingBatch::targets).sum();
    observe(FitEvent::EpochStarted { steps: batches.len(), done: progress.steps })?;
    let (mut saved, earlier) = (Instant::now(), progress.seconds);
    let started = saved;
    for batch in batches.iter().skip(progress.steps) {
        let warm = ((trainer.steps() + 1) as f64 / f64::from(config.warm_up.max(1))).min(1.0);
        let rates = Rates {
            network: config.learning_rate * warm,
            rows: config.row_rate.unwrap_or(config.learning_rate) * warm,
        };
        let loss = batch.step(trainer, rates).map_err(TrainingError::Model)?;
        progress.loss += f64::from(loss);
        progress.steps += 1;
        progress.seconds = earlier + started.elapsed().as_secs_f64();
        if !progress.loss.is_finite() {
            let text = format!(
                "the loss is not finite in epoch {number}: training diverged; lower the learning \
                 rate (--learning-rate)"
            );
            return Err(TrainingError::Input(text).into());
        }
        if saved.elapsed() >= config.checkpoint_interval {
            save(trainer, progress)?;
            saved = Instant::now();
        }
        observe(FitEvent::Step)?;
    }
    Ok(Epoch {
        number,
        loss: progress.loss / batches.len().max(1) as f64,
        validation: None,
        seconds: progress.seconds,
        positions_per_second: positions as f64 / progress.seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moving_average_weights_epochs_by_age() {
        // Over 3 epochs the decay is 1/2: weights 1, 1/2, 1/4 from the newest, over 7/4.
        let mut average = 0.0_f32;
        for (number, value) in [(1, 4.0), (2, 8.0), (3, 2.0)] {
            average += average_share(number, 3) * (value - average);
        }
        assert!((average - (2.0 + 4.0 + 1.0) / 1.75).abs() < 1e-6, "{average}");
        assert!((average_share(9, 1) - 1.0).abs() < 1e-6, "a span of one epoch averages nothing");
    }
}
