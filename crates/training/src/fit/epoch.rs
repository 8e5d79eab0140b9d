use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_evaluation::plot::{self, LineChart, Panel, Series};

/// Figures of one epoch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Epoch {
    /// Number, from 1.
    #[serde(rename = "epoch")]
    pub number: u32,
    /// Mean loss over the steps, in nats per position.
    pub loss: f64,
    /// Absent in a refit.
    #[serde(flatten)]
    pub validation: Option<Validation>,
    /// Training time in seconds, without validation.
    pub seconds: f64,
    /// Predictions per second.
    pub positions_per_second: f64,
}

/// Mean metrics over the validation targets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// NDCG@10.
    pub ndcg10: f64,
    /// Hit rate at 10.
    pub hr10: f64,
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

/// The epoch with the best validation NDCG@10, the first among equals; without validation, the
/// last.
#[must_use]
pub fn best_epoch(epochs: &[Epoch]) -> Option<Epoch> {
    let worse = |best: &Epoch, epoch: &Epoch| match (best.validation, epoch.validation) {
        (Some(best), Some(epoch)) => epoch.ndcg10 > best.ndcg10,
        _ => true,
    };
    epochs.iter().copied().reduce(|best, epoch| if worse(&best, &epoch) { epoch } else { best })
}

/// An SVG chart of training loss and validation NDCG@10 by epoch.
#[must_use]
pub fn epoch_chart(epochs: &[Epoch]) -> String {
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
    if let Some((best, height)) = best_epoch(epochs).and_then(|best| Some((best, ndcg10(&best)?))) {
        validation.push(Series {
            name: format!("best: epoch {}", best.number),
            points: vec![(f64::from(best.number), height)],
        });
    }
    plot::svg(&[
        chart(
            "Training loss",
            "nats per position",
            vec![series("training", |epoch| Some(epoch.loss))],
        ),
        chart("Validation NDCG@10", "whole catalogue, history removed", validation),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_epochs_is_the_best() {
        let epoch = |number, ndcg10| Epoch {
            number,
            loss: 1.0,
            validation: Some(Validation { ndcg10, hr10: 0.0 }),
            seconds: 1.0,
            positions_per_second: 1.0,
        };
        let epochs = [epoch(1, 0.1), epoch(2, 0.3), epoch(3, 0.3), epoch(4, 0.2)];
        assert_eq!(best_epoch(&epochs).map(|best| best.number), Some(2));
        assert!(best_epoch(&[]).is_none());
        assert!(epoch_chart(&epochs).contains("best: epoch 2"));
        let refit = [1, 2].map(|number| Epoch { validation: None, ..epoch(number, 0.0) });
        assert_eq!(best_epoch(&refit).map(|best| best.number), Some(2));
        let json = serde_json::to_string(&refit).unwrap();
        assert!(!json.contains("ndcg10"), "{json}");
        assert_eq!(serde_json::from_str::<[Epoch; 2]>(&json).unwrap()[1].validation, None);
    }
}
