use std::{
    fmt,
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
    /// Absent of a refit.
    #[serde(flatten)]
    pub(crate) validation: Option<Validation>,
    /// Seconds, without validation.
    pub(crate) seconds: f64,
    /// Positions that were predicted, a second.
    pub(crate) positions_per_second: f64,
}

/// Figures over the validation targets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Validation {
    pub(crate) ndcg10: f64,
    pub(crate) hr10: f64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.number)?;
        match self.validation {
            Some(Validation { ndcg10, hr10 }) => {
                write!(f, ", validation NDCG@10 {ndcg10:.4}, HR@10 {hr10:.4}")
            }
            None => f.write_str(" of a refit"),
        }
    }
}

/// The first of the best epochs; of those that were not validated, the last.
pub(super) fn best(epochs: &[Epoch]) -> Option<Epoch> {
    let worse = |best: &Epoch, epoch: &Epoch| match (best.validation, epoch.validation) {
        (Some(best), Some(epoch)) => epoch.ndcg10 > best.ndcg10,
        _ => true,
    };
    epochs.iter().copied().reduce(|best, epoch| if worse(&best, &epoch) { epoch } else { best })
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
            "{epoch}{}, loss {:.4}, {:.1} s, at most {:.0} s left",
            if improved && epoch.validation.is_some() { " *" } else { "" },
            epoch.loss,
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
    let series = |name: &str, value: fn(&Epoch) -> Option<f64>| Series {
        name: name.to_owned(),
        points: epochs.iter().filter_map(|it| Some((f64::from(it.number), value(it)?))).collect(),
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
    let ndcg10 = |epoch: &Epoch| epoch.validation.map(|validation| validation.ndcg10);
    let mut validation = vec![series("validation", ndcg10)];
    if let Some((best, height)) = best(epochs).and_then(|best| Some((best, ndcg10(&best)?))) {
        validation.push(Series {
            name: format!("best: epoch {}", best.number),
            points: vec![(f64::from(best.number), height)],
        });
    }
    plot::svg(&[
        chart(
            "Training loss",
            "nats a position",
            vec![series("training", |epoch| Some(epoch.loss))],
        ),
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
            validation: Some(Validation { ndcg10, hr10: 0.0 }),
            seconds: 1.0,
            positions_per_second: 1.0,
        };
        let epochs = [epoch(1, 0.1), epoch(2, 0.3), epoch(3, 0.3), epoch(4, 0.2)];
        assert_eq!(best(&epochs).map(|best| best.number), Some(2));
        assert!(best(&[]).is_none());
        assert!(picture(&epochs).contains("best: epoch 2"));
        let refit = [1, 2].map(|number| Epoch { validation: None, ..epoch(number, 0.0) });
        assert_eq!(best(&refit).map(|best| best.number), Some(2));
        let json = serde_json::to_string(&refit).unwrap();
        assert!(!json.contains("ndcg10"), "{json}");
        assert_eq!(serde_json::from_str::<[Epoch; 2]>(&json).unwrap()[1].validation, None);
    }
}
