//! Progress of a training on the terminal, in the log file and in the chart.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_training::{
    SequenceModel, Trainer,
    fit::{self, Epoch, FitEvent, FitJob, best_epoch, epoch_chart},
};

use super::options::FitOptions;
use crate::write_atomically;

/// [`fit::fit`] with its progress reported as `options` ask.
pub(super) fn fit<M: SequenceModel>(
    trainer: &mut Trainer<M>,
    job: &FitJob<'_>,
    options: &FitOptions,
    keep: impl FnMut(&Trainer<M>, &Epoch) -> Result<()>,
) -> Result<Epoch> {
    let mut report = Report { options, log: None, bar: ProgressBar::hidden() };
    fit::fit(trainer, job, keep, |event| report.observe(event))
}

struct Report<'a> {
    options: &'a FitOptions,
    log: Option<File>,
    bar: ProgressBar,
}

impl Report<'_> {
    fn observe(&mut self, event: FitEvent<'_>) -> Result<()> {
        match event {
            FitEvent::Started { epochs, steps } => self.start(epochs, steps),
            FitEvent::EpochStarted { steps, done } => {
                let template = "  {bar:30} {pos}/{len} steps, {eta} left";
                self.bar = ProgressBar::new(steps as u64)
                    .with_style(ProgressStyle::with_template(template)?)
                    .with_position(done as u64);
                Ok(())
            }
            FitEvent::Step => {
                self.bar.inc(1);
                Ok(())
            }
            FitEvent::EpochFinished { epochs, remaining } => self.add_epoch(epochs, remaining),
        }
    }

    /// Opens the log and writes the epochs of the interrupted run again.
    fn start(&mut self, epochs: &[Epoch], steps: usize) -> Result<()> {
        if !epochs.is_empty() || steps > 0 {
            let done = epochs.len();
            eprintln!("resuming an interrupted training after {done} epochs and {steps} steps");
        }
        let open = |path: &PathBuf| File::create(path).with_context(|| cannot_write(path));
        self.log = self.options.log.as_ref().map(open).transpose()?;
        epochs.iter().try_for_each(|epoch| self.log_line(epoch))
    }

    fn add_epoch(&mut self, epochs: &[Epoch], remaining: Duration) -> Result<()> {
        self.bar.finish_and_clear();
        let Some(epoch) = epochs.last() else { return Ok(()) };
        let improved = best_epoch(epochs).is_some_and(|best| best.number == epoch.number);
        eprintln!(
            "{epoch}{}, loss {:.4}, {:.1} s, at most {:.0} s left",
            if improved && epoch.validation.is_some() { " *" } else { "" },
            epoch.loss,
            epoch.seconds,
            remaining.as_secs_f64(),
        );
        self.log_line(epoch)?;
        if let Some(path) = &self.options.plot {
            write_atomically(path, epoch_chart(epochs).as_bytes())
                .with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    fn log_line(&mut self, epoch: &Epoch) -> Result<()> {
        if let Some(log) = &mut self.log {
            writeln!(log, "{}", serde_json::to_string(epoch)?)?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
