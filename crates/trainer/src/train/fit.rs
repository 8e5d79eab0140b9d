//! The loop that both models are trained by.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng};
use tandem_dataset::Dataset;
use tandem_model::training::{Encoder, Rates, Trainer};

use super::{
    checkpoint::{Checkpoint, Progress},
    journal::{Epoch, Journal, best},
    lessons::{Lesson, Lessons},
    options::FitOptions,
    validation::{targets, validate},
};
use crate::failure::BadInput;

/// What is trained on, how, and where it goes.
pub(crate) struct Job<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) fit: &'a FitOptions,
    pub(crate) lessons: Lessons,
    /// The model's file; the checkpoint stands beside it.
    pub(crate) out: &'a Path,
    /// All options that the weights depend on, by name: an interrupted training goes on only
    /// if they are the same.
    pub(crate) settings: serde_json::Value,
}

/// Trains until the options say stop, from the checkpoint on if there is one. `keep` is
/// called after every epoch that is the best so far on the validation targets; the best is
/// returned.
pub(crate) fn fit<E: Encoder>(
    trainer: &mut Trainer<E>,
    job: &Job<'_>,
    mut keep: impl FnMut(&Trainer<E>, &Epoch) -> Result<()>,
) -> Result<Epoch> {
    let options = job.fit;
    let held = match options.refit {
        Some(_) => Vec::new(),
        None => targets(job.dataset, options)?,
    };
    let checkpoint = Checkpoint::of(job);
    if options.fresh {
        checkpoint.remove()?;
    }
    let mut progress = checkpoint.resume(trainer)?.unwrap_or_default();
    if progress.elapsed > 0.0 {
        let (epochs, steps) = (progress.epochs.len(), progress.steps);
        eprintln!("going on after {epochs} epochs and {steps} steps of an interrupted training");
    }
    let mut journal = Journal::open(options, &progress.epochs)?;

    let (started, earlier) = (Instant::now(), progress.elapsed);
    let elapsed = || earlier + started.elapsed().as_secs_f64();
    let budget = options.minutes.max(0.0) * 60.0;
    while goes_on(&progress, options, budget) {
        let began = Instant::now();
        let epoch =
            train_epoch(trainer, &job.lessons, options, &mut progress, |trainer, progress| {
                progress.elapsed = elapsed();
                checkpoint.write(trainer, progress)
            })?;
        if options.average > 0 {
            trainer.average(share(epoch.number, options.average))?;
        }
        let validation = match options.refit {
            Some(_) => None,
            None => Some(validate(trainer, &held)?),
        };
        let mut epochs = std::mem::take(&mut progress.epochs);
        epochs.push(Epoch { validation, ..epoch });
        if let Some(best) = best(&epochs).filter(|best| best.number == epoch.number) {
            keep(trainer, &best)?;
        }
        progress = Progress {
            epochs,
            elapsed: elapsed(),
            last: began.elapsed().as_secs_f64(),
            ..Progress::default()
        };
        checkpoint.write(trainer, &progress)?;
        let left = Duration::from_secs_f64((budget - progress.elapsed).max(0.0));
        journal.add(&progress.epochs, left)?;
    }
    checkpoint.remove()?;
    let nothing = || BadInput("--epochs 0 trains nothing; give at least 1".into()).into();
    best(&progress.epochs).ok_or_else(nothing)
}

/// Whether there is another epoch, or the rest of one.
fn goes_on(progress: &Progress, options: &FitOptions, budget: f64) -> bool {
    let number = progress.epochs.len() as u32;
    if let Some(epochs) = options.refit {
        return number < epochs;
    }
    let stale = best(&progress.epochs).map_or(0, |best| number - best.number);
    // An epoch that would end after the time is not begun, but for the first.
    let in_time = number == 0 || progress.steps > 0 || progress.elapsed + progress.last <= budget;
    number < options.epochs && stale < options.patience.max(1) && in_time
}

/// Weight of the newest epoch in a moving average that spans `epochs`: with a decay of
/// `(epochs − 1) / (epochs + 1)`, corrected for its start as the moments of Adam are (Kingma
/// & Ba 2015, §3), so that the first weighs 1.
fn share(number: u32, epochs: u32) -> f32 {
    let decay = f64::from(epochs - 1) / f64::from(epochs + 1);
    ((1.0 - decay) / (1.0 - decay.powf(f64::from(number)))) as f32
}

/// One pass over all lessons, or what is left of it. The order is drawn anew for every epoch
/// from the seed and its number, so that a pass can be taken up in the middle.
fn train_epoch<E: Encoder>(
    trainer: &mut Trainer<E>,
    lessons: &Lessons,
    options: &FitOptions,
    progress: &mut Progress,
    mut save: impl FnMut(&Trainer<E>, &mut Progress) -> Result<()>,
) -> Result<Epoch> {
    let number = progress.epochs.len() as u32 + 1;
    let mut rng = StdRng::seed_from_u64(options.seed ^ u64::from(number).rotate_left(32));
    let steps = lessons.epoch(options, &mut rng);
    let positions: usize = steps.iter().map(Lesson::targets).sum();
    let bar = ProgressBar::new(steps.len() as u64)
        .with_style(ProgressStyle::with_template("  {bar:30} {pos}/{len} steps, {eta} left")?)
        .with_position(progress.steps as u64);
    let (mut resumed, earlier) = (Instant::now(), progress.seconds);
    let started = resumed;
    for lesson in steps.iter().skip(progress.steps) {
        let warm = ((trainer.steps() + 1) as f64 / f64::from(options.warm_up.max(1))).min(1.0);
        let rates = Rates {
            encoder: options.learning_rate * warm,
            rows: options.row_rate.unwrap_or(options.learning_rate) * warm,
        };
        progress.loss += f64::from(lesson.teach(trainer, rates)?);
        progress.steps += 1;
        progress.seconds = earlier + started.elapsed().as_secs_f64();
        if !progress.loss.is_finite() {
            let text =
                format!("the loss left the numbers in epoch {number}; try a lower --learning-rate");
            return Err(BadInput(text).into());
        }
        if resumed.elapsed().as_secs_f64() >= options.checkpoint_minutes * 60.0 {
            save(trainer, progress)?;
            resumed = Instant::now();
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Epoch {
        number,
        loss: progress.loss / steps.len().max(1) as f64,
        validation: None,
        seconds: progress.seconds,
        positions_per_second: positions as f64 / progress.seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_weighs_epochs_by_their_age() {
        // Over 3 epochs the decay is 1/2: weights 1, 1/2, 1/4 from the newest, over 7/4.
        let mut average = 0.0_f32;
        for (number, value) in [(1, 4.0), (2, 8.0), (3, 2.0)] {
            average += share(number, 3) * (value - average);
        }
        assert!((average - (2.0 + 4.0 + 1.0) / 1.75).abs() < 1e-6, "{average}");
        assert!((share(9, 1) - 1.0).abs() < 1e-6, "one epoch is no average");
    }
}
