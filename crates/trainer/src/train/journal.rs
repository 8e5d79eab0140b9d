use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tandem_evaluation::plot::{self, LineChart, Panel, Series};

use super::options::FitOptions;
use crate::write_atomically;

/// How an epoch went.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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

/// The first of the best epochs.
pub(super) fn best(epochs: &[Epoch]) -> Option<Epoch> {
    epochs
        .iter()
        .copied()
        .reduce(|best, epoch| if epoch.ndcg10 > best.ndcg10 { epoch } else { best })
}

/// What is told of a training while it goes on: on the terminal, as JSON and as a picture.
pub(super) struct Journal {
    log: Option<File>,
    plot: Option<PathBuf>,
}

impl Journal {
    /// A journal that holds the epochs of an earlier run already, as if it had never ended.
    pub(super) fn open(options: &FitOptions, earlier: &[Epoch]) -> Result<Self> {
        let open = |path: &PathBuf| File::create(path).with_context(|| cannot_write(path));
        let log = options.log.as_ref().map(open).transpose()?;
        let mut journal = Self { log, plot: options.plot.clone() };
        for epoch in earlier {
            journal.line(epoch)?;
        }
        Ok(journal)
    }

    /// Adds the newest of the epochs.
    pub(super) fn add(&mut self, epochs: &[Epoch], left: Duration) -> Result<()> {
        let Some(epoch) = epochs.last() else { return Ok(()) };
        let improved = best(epochs).is_some_and(|best| best.number == epoch.number);
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
        self.line(epoch)?;
        if let Some(path) = &self.plot {
            write_atomically(path, picture(epochs).as_bytes())
                .with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    fn line(&mut self, epoch: &Epoch) -> Result<()> {
        if let Some(log) = &mut self.log {
            writeln!(log, "{}", serde_json::to_string(epoch)?)?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Training loss above validation NDCG@10, over the epochs.
fn picture(epochs: &[Epoch]) -> String {
    let series = |name: &str, value: fn(&Epoch) -> f64| Series {
        name: name.to_owned(),
        points: epochs.iter().map(|epoch| (f64::from(epoch.number), value(epoch))).collect(),
    };
    let chart = |title: &str, y: &str, series| {
        Panel::Lines(LineChart {
            title: title.to_owned(),
            x: "epoch".to_owned(),
            y: y.to_owned(),
            series,
            percent_x: false,
        })
    };
    let mut validation = vec![series("validation", |epoch| epoch.ndcg10)];
    if let Some(best) = best(epochs) {
        validation.push(Series {
            name: format!("best: epoch {}", best.number),
            points: vec![(f64::from(best.number), best.ndcg10)],
        });
    }
    plot::svg(&[
        chart("Training loss", "nats a position", vec![series("training", |epoch| epoch.loss)]),
        chart("Validation NDCG@10", "whole catalogue, history removed", validation),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_epochs_the_first_is_the_best() {
        let epoch = |number, ndcg10| Epoch {
            number,
            loss: 1.0,
            ndcg10,
            hr10: 0.0,
            seconds: 1.0,
            positions_per_second: 1.0,
        };
        let epochs = [epoch(1, 0.1), epoch(2, 0.3), epoch(3, 0.3), epoch(4, 0.2)];
        assert_eq!(best(&epochs).map(|best| best.number), Some(2));
        assert!(best(&[]).is_none());
        assert!(picture(&epochs).contains("best: epoch 2"));
    }
}
