//! Progress of a training on the terminal, in the log file and in the chart.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_training::{
    SequenceModel, Trainer,
    fit::{self, Epoch, FitEvent, FitJob, best_epoch, epoch_chart},
};

use super::options::{Display, FitOptions};
use crate::write_atomically;

/// Shortest time between two lines of progress without a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// [`fit::fit`] with its progress reported as `options` ask.
pub(super) fn fit<M: SequenceModel>(
    trainer: &mut Trainer<M>,
    job: &FitJob<'_>,
    options: &FitOptions,
    keep: impl FnMut(&Trainer<M>, &Epoch) -> Result<()>,
) -> Result<Epoch> {
    let mut report = Report {
        options,
        log: None,
        bar: ProgressBar::hidden(),
        remaining: options.fit_config().time_limit,
        since: Instant::now(),
        noted: None,
    };
    let best = fit::fit(trainer, job, keep, |event| report.observe(event));
    report.bar.finish_and_clear();
    best
}

struct Report<'a> {
    options: &'a FitOptions,
    log: Option<File>,
    bar: ProgressBar,
    /// Time left of the limit at `since`.
    remaining: Duration,
    since: Instant,
    /// When progress was last written as a line, in place of a bar.
    noted: Option<Instant>,
}

impl Report<'_> {
    fn observe(&mut self, event: FitEvent<'_>) -> Result<()> {
        match event {
            FitEvent::Started { epochs, steps } => self.start(epochs, steps),
            FitEvent::EpochStarted { .. } if self.options.display == Display::OneBar => Ok(()),
            FitEvent::EpochStarted { steps, done } => {
                let template = "  {bar:30} {pos}/{len} steps, {eta} left";
                self.bar = ProgressBar::new(steps as u64)
                    .with_style(ProgressStyle::with_template(template)?)
                    .with_position(done as u64);
                Ok(())
            }
            FitEvent::Step => {
                match self.options.display {
                    Display::Epochs => self.bar.inc(1),
                    Display::OneBar => self.bar.set_position(self.seconds()),
                }
                Ok(())
            }
            FitEvent::EpochFinished { epochs, remaining } => self.add_epoch(epochs, remaining),
        }
    }

    /// Opens the log and writes the epochs of the interrupted run again.
    fn start(&mut self, epochs: &[Epoch], steps: usize) -> Result<()> {
        if self.options.display == Display::OneBar {
            let template = "  {bar:30} {msg}";
            self.bar = ProgressBar::new(self.limit().as_secs())
                .with_style(ProgressStyle::with_template(template)?)
                .with_message(format!("at most {} s left", self.limit().as_secs()));
        }
        if !epochs.is_empty() || steps > 0 {
            let done = epochs.len();
            crate::terminal::note(format_args!(
                "resuming an interrupted training after {done} epochs and {steps} steps"
            ));
        }
        let open = |path: &PathBuf| File::create(path).with_context(|| cannot_write(path));
        self.log = self.options.log.as_ref().map(open).transpose()?;
        epochs.iter().try_for_each(|epoch| self.log_line(epoch))
    }

    fn add_epoch(&mut self, epochs: &[Epoch], remaining: Duration) -> Result<()> {
        let (Some(epoch), Some(best)) = (epochs.last(), best_epoch(epochs)) else {
            return Ok(());
        };
        self.remaining = remaining;
        self.since = Instant::now();
        let improved = best.number == epoch.number;
        match self.options.display {
            Display::OneBar => {
                let message = format!(
                    "{} {}, best: {best}; at most {:.0} s left",
                    epoch.number,
                    if epoch.number == 1 { "epoch" } else { "epochs" },
                    remaining.as_secs_f64()
                );
                self.bar.set_position(self.seconds());
                // Without a terminal there is no bar. Whoever reads the lines still sees progress.
                let due = self.noted.is_none_or(|noted| noted.elapsed() >= BETWEEN_LINES);
                if self.bar.is_hidden() && due {
                    crate::terminal::note(format_args!("  {message}"));
                    self.noted = Some(Instant::now());
                }
                self.bar.set_message(message);
            }
            Display::Epochs => {
                self.bar.finish_and_clear();
                crate::terminal::note(format_args!(
                    "{epoch}{}, loss {:.4}, {:.1} s, at most {:.0} s left",
                    if improved && epoch.validation.is_some() { " *" } else { "" },
                    epoch.loss,
                    epoch.seconds,
                    remaining.as_secs_f64(),
                ));
            }
        }
        self.log_line(epoch)?;
        if let Some(path) = &self.options.plot {
            write_atomically(path, epoch_chart(epochs).as_bytes())
                .with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    /// The time limit of the training.
    fn limit(&self) -> Duration {
        self.options.fit_config().time_limit
    }

    /// Seconds of the time limit that have passed, over all runs.
    fn seconds(&self) -> u64 {
        let passed = self.limit().saturating_sub(self.remaining) + self.since.elapsed();
        passed.min(self.limit()).as_secs()
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
