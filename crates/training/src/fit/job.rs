use std::{path::Path, time::Duration};

use tandem_dataset::Dataset;

use super::{Epoch, FitConfig, TrainingData};

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

/// Progress of [`fit`](super::fit).
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
