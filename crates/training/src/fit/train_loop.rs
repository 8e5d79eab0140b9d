use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};
use tandem_evaluation::History;

use super::{
    Epoch, FitConfig, FitEvent, FitJob, TrainingData, best_epoch,
    data::TrainingBatch,
    resume::{Progress, ResumeFile},
    validation::{validate, validation_targets},
};
use crate::{Rates, SequenceModel, Trainer, TrainingError};

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
            None => Some(validate(trainer, &targets, History::of(job.dataset))?),
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
