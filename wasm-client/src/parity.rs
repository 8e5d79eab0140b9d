//! One fixed computation, to compare the backends.
//!
//! The native CPU, the CPU in WebAssembly and WebGPU must give the same scores for the same
//! weights, before and after a learning step. `examples/parity_case.rs` writes a case with
//! the native results.

use serde::{Deserialize, Serialize};
use tandem_model::{
    EncodedHistory, ItemTable, LearningConfig, LearningExample, ModelError, PersonalDelta, Scorer,
};
use tandem_protocol::{ItemId, ModelConfig};

/// Model and learning configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Shape of the model.
    pub model: ModelConfig,
    /// Learning configuration.
    #[serde(default)]
    pub learning: LearningConfig,
}

/// The results of a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// One logit per candidate.
    pub scores: Vec<f32>,
    /// Loss of a click on the first candidate among all of them, in nats.
    pub loss: f32,
    /// The scores after one learning step for that click.
    pub scores_after: Vec<f32>,
}

/// Scores `candidates` for `history`, takes one learning step for a click on the first
/// candidate, and scores them again.
///
/// `rows` is the model's item table as in the manifest; `history` (oldest first) and
/// `candidates` are positions in it, distinct.
///
/// # Errors
/// Those of the model: malformed files, a position beyond the table, an empty history.
pub async fn run(
    scorer: &Scorer,
    learning: &LearningConfig,
    rows: Vec<u8>,
    history: &[u32],
    candidates: &[u32],
) -> Result<Outcome, ModelError> {
    let dims = scorer.row_dims();
    let table = ItemTable::from_bytes(rows)?;
    let encoded = encode(scorer, &gather(&table, history)?).await?;
    let user = encoded.user();
    let rows = gather(&table, candidates)?;
    let keys = candidates.iter().map(|item| ItemId::new(item.to_string())).collect();
    let example = LearningExample { keys, rows, target: 0 };

    let mut delta = PersonalDelta::new("parity", dims, learning.rank);
    let rescore = async |delta: &PersonalDelta<ItemId>| {
        let mut rows = example.rows.clone();
        for (item, row) in example.keys.iter().zip(rows.chunks_exact_mut(dims)) {
            delta.apply_row(item, row);
        }
        scorer.personal_scores(user, delta, rows.into()).await
    };
    let before = rescore(&delta).await?;
    let (learnt, _) = scorer.learn(&mut delta, user, &example, learning).await?;
    let after = rescore(&delta).await?;
    Ok(Outcome { scores: before, loss: learnt.loss_before, scores_after: after })
}

/// Encodes a history as a session does: the newest item on its own, after the others.
async fn encode(scorer: &Scorer, history: &[f32]) -> Result<EncodedHistory, ModelError> {
    let newest = history.len().saturating_sub(scorer.row_dims());
    if newest == 0 {
        return scorer.encode(history).await;
    }
    let before = scorer.encode(&history[..newest]).await?;
    match scorer.encode_next(&before, &history[newest..]).await? {
        Some(encoded) => Ok(encoded),
        None => scorer.encode(history).await,
    }
}

/// Rows `[items, dims]`.
fn gather(table: &ItemTable, items: &[u32]) -> Result<Vec<f32>, ModelError> {
    let mut rows = Vec::with_capacity(items.len() * table.dims());
    for &item in items {
        let row = table.row(item as usize).ok_or(ModelError::Length {
            what: "items of the table",
            expected: item as usize + 1,
            found: table.len(),
        })??;
        rows.extend(row.values());
    }
    Ok(rows)
}

/// [`run`] for JavaScript; `config_json` is a [`Setup`].
///
/// # Errors
/// `invalid_argument`, `invalid_artifact`, `no_adapter`.
#[cfg(feature = "bench")]
#[wasm_bindgen::prelude::wasm_bindgen(unchecked_return_type = "Promise<unknown>")]
pub fn parity(
    body: Vec<u8>,
    rows: Vec<u8>,
    config_json: String,
    history: Vec<u32>,
    candidates: Vec<u32>,
) -> js_sys::Promise {
    use crate::{bindings, device::ComputeDevice, error::ClientError};

    bindings::promise(async move {
        let setup: Setup = serde_json::from_str(&config_json)
            .map_err(|error| bindings::invalid("configJson", &error))?;
        let scorer = ComputeDevice::open().await?.scorer(&setup.model, &body)?;
        let outcome = run(&scorer, &setup.learning, rows, &history, &candidates).await?;
        Ok::<_, ClientError>(outcome)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_lite::future::block_on;
    use tandem_model::{Body, Device};
    use tandem_protocol::ModelKind;

    use super::*;
    use crate::device::ComputeDevice;

    fn case(history: &[u32], candidates: &[u32]) -> Result<Outcome, ModelError> {
        let model =
            ModelConfig { kind: ModelKind::Sasrec, dims: 8, blocks: 1, heads: 2, max_length: 4 };
        let body = Body::new(&model, 0.0, &Device::flex())?.to_bytes(&HashMap::new())?;
        let values: Vec<f32> = (0..80).map(|at| ((at * 29 % 53) as f32) / 26.0 - 1.0).collect();
        let rows = ItemTable::quantise(&values, 8)?.as_bytes().to_vec();
        let scorer = block_on(ComputeDevice::open()).unwrap().scorer(&model, &body)?;
        block_on(run(&scorer, &LearningConfig::default(), rows, history, candidates))
    }

    #[test]
    fn a_step_raises_the_clicked_item_and_the_loss_belongs_to_the_scores() {
        let outcome = case(&[1, 2, 3, 4, 5], &[7, 8, 9]).unwrap();
        let sum: f32 = outcome.scores.iter().map(|score| score.exp()).sum();
        let loss = sum.ln() - outcome.scores[0];
        assert!((outcome.loss - loss).abs() < 1e-4, "{} is not {loss}", outcome.loss);
        assert!(outcome.scores_after[0] > outcome.scores[0]);
    }

    #[test]
    fn a_position_beyond_the_table_is_refused() {
        assert!(matches!(
            case(&[1], &[10, 2]),
            Err(ModelError::Length { expected: 11, found: 10, .. })
        ));
    }
}
