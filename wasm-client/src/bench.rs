//! The model alone, to measure its speed against other runtimes (`web/bench`).
//!
//! Without session and network: the input is gathered rows and the output scores, as for the
//! other runtimes.

use js_sys::Float32Array;
use tandem_model::{EncodedHistory, LearningConfig, LearningExample, PersonalDelta, Scorer};
use tandem_protocol::ItemId;
use wasm_bindgen::prelude::*;

use crate::device::ComputeDevice;

mod search;

/// A model and a personal delta that learns on it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Bench {
    scorer: Scorer,
    delta: PersonalDelta<ItemId>,
    learning: LearningConfig,
}

#[wasm_bindgen]
impl Bench {
    /// Loads weights onto this module's device: `body` is a `safetensors` file, the others
    /// are JSON (`ModelConfig`, `PersonalDelta`, `LearningConfig`).
    ///
    /// # Errors
    /// If one of them cannot be read, or there is no adapter.
    pub async fn open(
        body: Vec<u8>,
        config: String,
        delta: String,
        learning: String,
    ) -> Result<Bench, JsError> {
        let config = serde_json::from_str(&config)?;
        let scorer = ComputeDevice::open().await?.scorer(&config, &body)?;
        let delta = serde_json::from_str(&delta)?;
        Ok(Self { scorer, delta, learning: serde_json::from_str(&learning)? })
    }

    /// Scores `[candidates]` of rows `[candidates, dims]` for a history `[length, dims]`,
    /// oldest first. The personal delta is not applied; the caller can apply it to the rows.
    ///
    /// # Errors
    /// Those of `Scorer::score`.
    pub async fn rerank(
        &self,
        history: Vec<f32>,
        candidates: Vec<f32>,
    ) -> Result<Float32Array, JsError> {
        let scores = self.scorer.score(&history, &candidates).await?;
        Ok(Float32Array::from(scores.as_slice()))
    }

    /// Encodes a history `[length, dims]`, oldest first: the state of a session before the next
    /// click.
    ///
    /// # Errors
    /// Those of `Scorer::encode`.
    pub async fn encode(&self, history: Vec<f32>) -> Result<BenchHistory, JsError> {
        Ok(BenchHistory(self.scorer.encode(&history).await?))
    }

    /// Like [`rerank`](Self::rerank), for a history of which all but the newest items
    /// `[length, dims]` were encoded before.
    ///
    /// # Errors
    /// Those of `Scorer::encode_next`, and if the history is longer than the model reads.
    pub async fn rerank_after(
        &self,
        before: &BenchHistory,
        newest: Vec<f32>,
        candidates: Vec<f32>,
    ) -> Result<Float32Array, JsError> {
        let encoded = self.scorer.encode_next(&before.0, &newest).await?;
        let encoded = encoded.ok_or_else(|| {
            JsError::new("the history is too long to append to; encode it again with encode()")
        })?;
        let scores = self.scorer.score_for(encoded.user(), &candidates).await?;
        Ok(Float32Array::from(scores.as_slice()))
    }

    /// One learning step on a click after `before`; returns the loss before and after it, in
    /// nats. `rows` `[keys, dims]` are the shared rows of the items that the click was chosen
    /// from, and `target` is a position in `keys`.
    ///
    /// # Errors
    /// Those of `Scorer::learn`.
    pub async fn learn(
        &mut self,
        before: &BenchHistory,
        keys: Vec<u32>,
        rows: Vec<f32>,
        target: usize,
    ) -> Result<Float32Array, JsError> {
        let keys = keys.iter().map(|key| ItemId::new(key.to_string())).collect();
        let example = LearningExample { keys, rows, target };
        let (user, learning) = (before.0.user(), &self.learning);
        let (outcome, _) = self.scorer.learn(&mut self.delta, user, &example, learning).await?;
        Ok(Float32Array::from([outcome.loss_before, outcome.loss_after].as_slice()))
    }
}

/// An encoded history.
#[wasm_bindgen]
#[derive(Debug)]
pub struct BenchHistory(EncodedHistory);
