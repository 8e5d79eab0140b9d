//! One step of learning on the device: the loss of a click, its gradient, and the step.

use burn::{
    Tensor,
    tensor::{TensorData, activation},
};
use serde::{Deserialize, Serialize};

use crate::{
    ModelError, PersonalDelta, RowKey, Scorer,
    personal::{Gradient, StepSizes},
    preference::{Lesson, Pace},
    scorer::{indices, read},
};

/// How a device learns from a click.
///
/// Plain gradient descent, on purpose: with one example a step, a method that normalises
/// gradients (Adam) moves each of the fifty negatives as far as the item that was clicked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearningConfig {
    /// Rank of the adapter; 0 learns row deltas only.
    pub rank: usize,
    /// Step size of the row deltas.
    pub row_rate: f32,
    /// Step size of the adapter.
    pub adapter_rate: f32,
    /// Pull of what was learnt towards zero, a share of it per unit of step size: what keeps
    /// the delta from drifting away from the shared weights.
    pub decay: f32,
    /// Longest gradient (Euclidean norm over all parts) that is followed in full; a longer
    /// one is shortened to it, so that one surprising click cannot throw the delta off.
    pub max_norm: f32,
    /// Candidates of the list that serve as negatives, from the top.
    pub negatives: usize,
    /// Step size of the preference: about by how much a click that surprised raises the
    /// score of its own item (a logit). 0 learns none.
    pub preference_rate: f32,
    /// Share of the preference that is forgotten at each click, 0 to 1.
    pub forgetting: f32,
    /// Clicks that a step of the preference is taken on, the newest included.
    pub replay: usize,
}

/// More clicks than this are not gone over again: each is kept with its rows.
const MAX_REPLAY: usize = 64;

impl Default for LearningConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            row_rate: 0.02,
            adapter_rate: 1.0,
            decay: 0.05,
            max_norm: 1.0,
            negatives: 50,
            preference_rate: 0.5,
            forgetting: 0.2,
            replay: 3,
        }
    }
}

impl LearningConfig {
    /// Refuses settings that make no sense; call it on what a manifest brings.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the setting.
    pub fn validate(&self) -> Result<(), ModelError> {
        let sizes = [
            ("row_rate", self.row_rate, f32::MAX),
            ("adapter_rate", self.adapter_rate, f32::MAX),
            ("decay", self.decay, f32::MAX),
            // Infinite for no limit.
            ("max_norm", self.max_norm, f32::INFINITY),
            ("preference_rate", self.preference_rate, f32::MAX),
            ("forgetting", self.forgetting, 1.0),
        ];
        for (name, value, most) in sizes {
            // Refuses what is no number as well.
            if !(0.0..=most).contains(&value) {
                return Err(ModelError::Config(format!(
                    "`learning.{name}` is {value}; it must be 0 to {most}"
                )));
            }
        }
        if self.replay > MAX_REPLAY {
            return Err(ModelError::Config(format!(
                "`learning.replay` is {}; it must be 0 to {MAX_REPLAY}",
                self.replay
            )));
        }
        Ok(())
    }

    /// Whether there is anything to learn by gradients through the network.
    fn learns_rows(&self) -> bool {
        self.row_rate > 0.0 || (self.rank > 0 && self.adapter_rate > 0.0)
    }
}

/// A click to learn from, over the distinct items it involves.
#[derive(Clone, Debug)]
pub struct LearningExample<K: RowKey> {
    /// The distinct items of history and candidates.
    pub keys: Vec<K>,
    /// Their rows of the shared table, `[keys, dims]`, without any delta.
    pub rows: Vec<f32>,
    /// The history before the click, oldest first, as positions in `keys`; not empty. Of
    /// more than the model's `max_length` the newest are read.
    pub history: Vec<usize>,
    /// What the click was chosen from, as positions in `keys`, distinct.
    pub candidates: Vec<usize>,
    /// Position in `candidates` of the item that was clicked.
    pub target: usize,
}

/// What a learning step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningOutcome {
    /// Loss of the example before the step, in nats.
    pub loss_before: f32,
    /// Loss of the same example after it.
    pub loss_after: f32,
}

impl Scorer {
    /// Takes one step on `delta` for `example`: listwise softmax cross-entropy of the
    /// clicked item among the candidates. First by the gradient through the network, for the
    /// rows of the batch and the adapter only; then, on the scores that are left, of the
    /// preference, which is arithmetic on the candidates' rows and no work of the network.
    ///
    /// The shared weights do not change, and a step that would leave a value that is not
    /// finite is not taken.
    ///
    /// # Errors
    /// [`ModelError::Length`] or [`ModelError::Empty`] for a malformed example,
    /// [`ModelError::NotFinite`] for a loss or gradient that is no number,
    /// [`ModelError::Device`] if the device fails.
    pub async fn learn<K: RowKey>(
        &self,
        delta: &mut PersonalDelta<K>,
        example: &LearningExample<K>,
        config: &LearningConfig,
    ) -> Result<LearningOutcome, ModelError> {
        self.check_example(example)?;
        let mut stepped = delta.clone();
        let mut loss_before = None;
        if config.learns_rows() {
            let (loss, mut gradient) = self.gradient(delta, example).await?;
            gradient.shorten(config.max_norm);
            let (rows, adapter) = (config.row_rate, config.adapter_rate);
            let sizes = StepSizes { rows, adapter, decay: config.decay };
            stepped.descend(&example.keys, &gradient, &sizes);
            loss_before = Some(loss);
        }
        stepped.count_step();
        let lesson = self.lesson(&stepped, example).await?;
        let loss_under = |delta: &PersonalDelta<K>, lesson: &Lesson| {
            softmax_cross_entropy(&lesson.scores_under(&delta.preference), lesson.target)
        };
        let loss_before = loss_before.unwrap_or_else(|| loss_under(delta, &lesson));
        if !loss_before.is_finite() {
            return Err(ModelError::NotFinite { what: "loss of a click".into() });
        }
        let pace = Pace {
            rate: config.preference_rate,
            forgetting: config.forgetting,
            replay: config.replay,
        };
        stepped.prefer(lesson.clone(), pace);
        let loss_after = loss_under(&stepped, &lesson);
        if !loss_after.is_finite() {
            return Err(ModelError::NotFinite { what: "loss after a learning step".into() });
        }
        *delta = stepped;
        Ok(LearningOutcome { loss_before, loss_after })
    }

    fn check_example<K: RowKey>(&self, example: &LearningExample<K>) -> Result<(), ModelError> {
        let expected = example.keys.len() * self.config().dims;
        if example.rows.len() != expected {
            let found = example.rows.len();
            return Err(ModelError::Length { what: "rows of an example", expected, found });
        }
        if example.history.is_empty() {
            return Err(ModelError::Empty("the history of an example"));
        }
        if example.target >= example.candidates.len() {
            return Err(ModelError::Length {
                what: "candidates of an example",
                expected: example.target + 1,
                found: example.candidates.len(),
            });
        }
        let positions = example.history.iter().chain(&example.candidates);
        match positions.max() {
            Some(&largest) if largest >= example.keys.len() => Err(ModelError::Length {
                what: "keys of an example",
                expected: largest + 1,
                found: example.keys.len(),
            }),
            _ => Ok(()),
        }
    }

    /// Rows with their deltas, `[keys, dims]`.
    fn effective<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        example: &LearningExample<K>,
    ) -> Vec<f32> {
        let mut rows = example.rows.clone();
        for (key, row) in example.keys.iter().zip(rows.chunks_exact_mut(self.config().dims)) {
            delta.apply_row(key, row);
        }
        rows
    }

    fn read_history<'a, K: RowKey>(&self, example: &'a LearningExample<K>) -> &'a [usize] {
        &example.history[example.history.len().saturating_sub(self.config().max_length)..]
    }

    /// Loss of the example under `delta`, in nats.
    ///
    /// # Errors
    /// As [`learn`](Self::learn).
    pub async fn loss<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        example: &LearningExample<K>,
    ) -> Result<f32, ModelError> {
        self.check_example(example)?;
        let lesson = self.lesson(delta, example).await?;
        Ok(softmax_cross_entropy(&lesson.scores_under(&delta.preference), lesson.target))
    }

    /// The example's candidates under `delta`, but for its preference.
    async fn lesson<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        example: &LearningExample<K>,
    ) -> Result<Lesson, ModelError> {
        let dims = self.config().dims;
        let rows = self.effective(delta, example);
        let gather = |positions: &[usize]| -> Vec<f32> {
            positions.iter().flat_map(|&at| &rows[at * dims..(at + 1) * dims]).copied().collect()
        };
        let history = gather(self.read_history(example));
        let mut candidates = gather(&example.candidates);
        for row in candidates.chunks_exact_mut(dims) {
            delta.adapt(row);
        }
        let scores = self.score(&history, &candidates).await?;
        Ok(Lesson { scores, rows: candidates, target: example.target })
    }

    /// Loss and gradient. The graph starts at the *effective* rows: the gradient of a row is
    /// that of its delta, and the table itself never enters the graph.
    async fn gradient<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        example: &LearningExample<K>,
    ) -> Result<(f32, Gradient), ModelError> {
        let device = self.device().clone().autodiff();
        let (dims, rank, keys) = (self.config().dims, delta.rank(), example.keys.len());
        let leaf = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, shape), &device).require_grad()
        };
        let positions = |positions: &[usize]| {
            let values: Vec<u32> = positions.iter().map(|&at| at as u32).collect();
            indices(&values, &device)
        };

        let rows = leaf(self.effective(delta, example), [keys, dims]);
        let history = rows.clone().select(0, positions(self.read_history(example)));
        let candidates = rows.clone().select(0, positions(&example.candidates)); // [candidates, dims]
        let adapter = (rank > 0).then(|| {
            (leaf(delta.down.clone(), [dims, rank]), leaf(delta.up.clone(), [rank, dims]))
        });
        let candidates = match &adapter {
            Some((down, up)) => {
                candidates.clone() + candidates.matmul(down.clone()).matmul(up.clone())
            }
            None => candidates,
        };

        let count = example.candidates.len();
        let vector = &delta.preference.vector;
        let leaning = (!vector.is_empty()).then(|| {
            let vector = TensorData::new(vector.clone(), [dims, 1]);
            candidates.clone().matmul(Tensor::from_data(vector, &device)).reshape([1, count])
        });
        let scores = self.frozen.score(history.unsqueeze::<3>(), candidates.unsqueeze::<3>()); // [1, candidates]
        let scores = match leaning {
            Some(leaning) => scores + leaning,
            None => scores,
        };
        let target = example.target;
        let loss =
            activation::log_softmax(scores, 1).slice([0..1, target..target + 1]).neg().reshape([1]);
        let gradients = loss.backward();

        // One read for everything: on a GPU each read is a round trip.
        let missing = || ModelError::Device("no gradient was recorded".into());
        let flat = |tensor: &Tensor<2>| -> Result<Tensor<1>, ModelError> {
            let gradient = tensor.grad(&gradients).ok_or_else(missing)?;
            let count = gradient.shape().num_elements();
            Ok(gradient.reshape([count]))
        };
        let mut parts = vec![loss.inner(), flat(&rows)?];
        if let Some((down, up)) = &adapter {
            parts.extend([flat(down)?, flat(up)?]);
        }
        let values = read(Tensor::cat(parts, 0)).await?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { what: "loss or gradient of a click".into() });
        }
        let (loss, values) = values.split_at(1);
        let (rows, values) = values.split_at(keys * dims);
        let (down, up) = values.split_at(dims * rank);
        Ok((loss[0], Gradient { rows: rows.to_vec(), down: down.to_vec(), up: up.to_vec() }))
    }
}

/// `−ln softmax(scores)[target]`.
fn softmax_cross_entropy(scores: &[f32], target: usize) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|score| (score - largest).exp()).sum();
    sum.ln() + largest - scores[target]
}
