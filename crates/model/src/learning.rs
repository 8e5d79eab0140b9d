//! Learning on the device: the loss of a click, its gradient and one step of gradient descent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ModelError, PersonalDelta, RowKey, Scorer, StepUndo, UserState,
    personal::LearningRates,
    preference::{PreferenceExample, PreferenceStep},
};

/// How a device learns from clicks.
///
/// The optimiser is plain gradient descent. With one example per step, a method that normalises
/// gradients (Adam) would move each of the fifty negatives as far as the clicked item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct LearningConfig {
    /// Rank of the adapter; 0 for none.
    pub rank: usize,
    /// Learning rate of the row deltas.
    pub row_rate: f32,
    /// Learning rate of the adapter.
    pub adapter_rate: f32,
    /// Weight decay of row deltas and adapter: each step multiplies them by
    /// `1 − decay · learning rate`.
    pub decay: f32,
    /// Largest norm of the gradient of row deltas and adapter together; a larger gradient is
    /// scaled down to it.
    pub max_norm: f32,
    /// Number of candidates, from the top of the list, that are used as negatives.
    pub negatives: usize,
    /// Learning rate of the preference, relative to the size of the rows: about how much a
    /// click that the model gave a low probability raises its item's score (logits). 0 for none.
    pub preference_rate: f32,
    /// Decay of the preference: each click multiplies it by `1 − preference_decay`, 0 to 1.
    #[serde(alias = "forgetting")]
    pub preference_decay: f32,
    /// Number of clicks, including the newest, that a step of the preference uses.
    pub replay: usize,
}

/// Largest value of [`LearningConfig::replay`], because every click is kept with its rows.
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
            preference_decay: 0.2,
            replay: 3,
        }
    }
}

impl LearningConfig {
    /// Checks settings that come from a manifest.
    ///
    /// # Errors
    /// [`ModelError::Config`] that names the setting.
    pub fn validate(&self) -> Result<(), ModelError> {
        let sizes = [
            ("row_rate", self.row_rate, f32::MAX),
            ("adapter_rate", self.adapter_rate, f32::MAX),
            ("decay", self.decay, f32::MAX),
            // Infinity disables the limit.
            ("max_norm", self.max_norm, f32::INFINITY),
            ("preference_rate", self.preference_rate, f32::MAX),
            ("preference_decay", self.preference_decay, 1.0),
        ];
        for (name, value, largest) in sizes {
            // Refuses `NaN` too.
            if !(0.0..=largest).contains(&value) {
                return Err(ModelError::Config(format!(
                    "`learning.{name}` is {value}, expected 0 to {largest}"
                )));
            }
        }
        if self.replay > MAX_REPLAY {
            return Err(ModelError::Config(format!(
                "`learning.replay` is {}, expected 0 to {MAX_REPLAY}",
                self.replay
            )));
        }
        Ok(())
    }

    /// Whether row deltas or the adapter are learnt.
    fn learns_rows(&self) -> bool {
        self.row_rate > 0.0 || (self.rank > 0 && self.adapter_rate > 0.0)
    }
}

/// A click and the items it was chosen from.
#[derive(Clone, Debug)]
pub struct LearningExample<K: RowKey> {
    /// The clicked item and the negatives, distinct.
    pub keys: Vec<K>,
    /// Their rows in the item table, `[keys, dims]`, without deltas.
    pub rows: Vec<f32>,
    /// Index in `keys` of the clicked item.
    pub target: usize,
}

/// Effect of a learning step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningOutcome {
    /// Loss of the example before the step (nats).
    pub loss_before: f32,
    /// Loss of the example after the step (nats).
    pub loss_after: f32,
}

impl Scorer {
    /// Takes one step of gradient descent on `delta` for `example`. `user` is the user state
    /// before the click. The loss is the softmax cross-entropy of the clicked item among the
    /// example's items. Row deltas and adapter are updated first, then the preference on the
    /// resulting scores.
    ///
    /// The network is not differentiated: for a given user state a score is a dot product, whose
    /// gradient has a closed form. DIN does not score by a dot product and learns only the
    /// preference.
    ///
    /// The shared weights do not change. On an error `delta` is unchanged. The returned
    /// [`StepUndo`] reverts the step.
    ///
    /// # Errors
    /// [`ModelError::Length`] for a malformed example, [`ModelError::NotFinite`] if a loss or
    /// gradient is not finite, [`ModelError::Device`] if the compute device fails.
    pub async fn learn<K: RowKey>(
        &self,
        delta: &mut PersonalDelta<K>,
        user: &UserState,
        example: &LearningExample<K>,
        config: &LearningConfig,
    ) -> Result<(LearningOutcome, StepUndo<K>), ModelError> {
        self.check_example(example)?;
        let rows = self.effective_rows(delta, example);
        let mut scored = self.preference_example(delta, user, rows.clone(), example.target).await?;
        let loss_before = finite(scored.loss(&delta.preference), "loss of a click")?;
        let mut stepped = delta.subset(&example.keys);
        stepped.count_step();
        if let Some(embedding) = user.embedding().filter(|_| config.learns_rows()) {
            let logit_gradients = scored.logit_gradients(&delta.preference);
            let mut gradient = delta.gradient(embedding, &rows, &logit_gradients);
            finite(gradient.norm(), "gradient of a click")?;
            gradient.clip_norm(config.max_norm);
            let (rows, adapter) = (config.row_rate, config.adapter_rate);
            let sizes = LearningRates { rows, adapter, decay: config.decay };
            stepped.apply_gradient(&example.keys, &gradient, &sizes);
            let rows = self.effective_rows(&stepped, example);
            scored = self.preference_example(&stepped, user, rows, example.target).await?;
        }
        let scored = Arc::new(scored);
        let step = PreferenceStep {
            rate: config.preference_rate,
            decay: config.preference_decay,
            replay: config.replay,
        };
        stepped.step_preference(Arc::clone(&scored), step);
        let loss_after = finite(scored.loss(&stepped.preference), "loss after a learning step")?;
        Ok((LearningOutcome { loss_before, loss_after }, delta.merge(stepped)))
    }

    fn check_example<K: RowKey>(&self, example: &LearningExample<K>) -> Result<(), ModelError> {
        let (keys, dims) = (example.keys.len(), self.row_dims());
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
    fn effective_rows<K: RowKey>(
        &self,
        delta: &PersonalDelta<K>,
        example: &LearningExample<K>,
    ) -> Vec<f32> {
        let mut rows = example.rows.clone();
        for (key, row) in example.keys.iter().zip(rows.chunks_exact_mut(self.row_dims())) {
            delta.apply_row(key, row);
        }
        rows
    }

    /// Loss of the example with `delta` (nats).
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
        let rows = self.effective_rows(delta, example);
        let scored = self.preference_example(delta, user, rows, example.target).await?;
        Ok(scored.loss(&delta.preference))
    }

    /// The example with scores of the adapted `rows` `[keys, dims]`, without the preference.
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
