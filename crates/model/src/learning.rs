//! One step of learning on the device: the loss of a click, its gradient, and the step.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ModelError, PersonalDelta, RowKey, Scorer, StepUndo, UserState,
    personal::StepSizes,
    preference::{PreferenceExample, PreferenceStep},
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

    /// Whether there is anything to learn beside the preference.
    fn learns_rows(&self) -> bool {
        self.row_rate > 0.0 || (self.rank > 0 && self.adapter_rate > 0.0)
    }
}

/// A click to learn from: what it was chosen from.
#[derive(Clone, Debug)]
pub struct LearningExample<K: RowKey> {
    /// The items it was chosen from, distinct.
    pub keys: Vec<K>,
    /// Their rows of the shared table, `[keys, dims]`, without any delta.
    pub rows: Vec<f32>,
    /// Position in `keys` of the item that was clicked.
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
    /// Takes one step on `delta` for `example`, a click of the visitor whom `user` describes
    /// as of before it: listwise softmax cross-entropy of the clicked item among the others.
    /// First the rows of the example and the adapter, then, on the scores that are left, the
    /// preference.
    ///
    /// The network is not differentiated: with the user's state given, a score is a product of
    /// vectors, and its gradient a line of algebra. A model whose scores are no such product
    /// (DIN) learns the preference alone.
    ///
    /// The shared weights do not change, and a step that would leave a value that is not
    /// finite is not taken. Returned is also what takes the step back.
    ///
    /// # Errors
    /// [`ModelError::Length`] for a malformed example, [`ModelError::NotFinite`] for a loss or
    /// gradient that is no number, [`ModelError::Device`] if the device fails.
    pub async fn learn<K: RowKey>(
        &self,
        delta: &mut PersonalDelta<K>,
        user: &UserState,
        example: &LearningExample<K>,
        config: &LearningConfig,
    ) -> Result<(LearningOutcome, StepUndo<K>), ModelError> {
        self.check_example(example)?;
        let rows = self.effective(delta, example);
        let mut scored = self.preference_example(delta, user, rows.clone(), example.target).await?;
        let loss_before = finite(scored.loss(&delta.preference), "loss of a click")?;
        let mut stepped = delta.part(&example.keys);
        stepped.count_step();
        if let Some(embedding) = user.embedding().filter(|_| config.learns_rows()) {
            let logit_gradients = scored.logit_gradients(&delta.preference);
            let mut gradient = delta.gradient(embedding, &rows, &logit_gradients);
            finite(gradient.norm(), "gradient of a click")?;
            gradient.shorten(config.max_norm);
            let (rows, adapter) = (config.row_rate, config.adapter_rate);
            let sizes = StepSizes { rows, adapter, decay: config.decay };
            stepped.descend(&example.keys, &gradient, &sizes);
            let rows = self.effective(&stepped, example);
            scored = self.preference_example(&stepped, user, rows, example.target).await?;
        }
        let scored = Arc::new(scored);
        let step = PreferenceStep {
            rate: config.preference_rate,
            forgetting: config.forgetting,
            replay: config.replay,
        };
        stepped.prefer(Arc::clone(&scored), step);
        let loss_after = finite(scored.loss(&stepped.preference), "loss after a learning step")?;
        Ok((LearningOutcome { loss_before, loss_after }, delta.replace(stepped)))
    }

    fn check_example<K: RowKey>(&self, example: &LearningExample<K>) -> Result<(), ModelError> {
        let (keys, dims) = (example.keys.len(), self.config().dims);
        for (what, expected, found) in [
            ("rows of an example", keys * dims, example.rows.len()),
            ("items of an example", keys.max(example.target + 1), keys),
        ] {
            if found != expected {
                return Err(ModelError::Length { what, expected, found });
            }
        }
        Ok(())
    }

    /// The example's rows with their deltas, `[keys, dims]`.
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

    /// Loss of the example under `delta`, in nats.
    ///
    /// # Errors
    /// As [`learn`](Self::learn).
    pub async fn loss<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        user: &UserState,
        example: &LearningExample<K>,
    ) -> Result<f32, ModelError> {
        self.check_example(example)?;
        let rows = self.effective(delta, example);
        let scored = self.preference_example(delta, user, rows, example.target).await?;
        Ok(scored.loss(&delta.preference))
    }

    /// An example of effective `rows` `[keys, dims]` under `delta`, but for its preference.
    async fn preference_example<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        user: &UserState,
        mut rows: Vec<f32>,
        target: usize,
    ) -> Result<PreferenceExample, ModelError> {
        delta.adapt(&mut rows);
        let scores = self.score_for(user, &rows).await?;
        Ok(PreferenceExample { scores, rows, target })
    }
}

fn finite(value: f32, what: &str) -> Result<f32, ModelError> {
    if value.is_finite() { Ok(value) } else { Err(ModelError::NotFinite { what: what.into() }) }
}
