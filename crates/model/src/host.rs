//! The models on the host, without tensors: how a device without a GPU encodes and scores.
//!
//! A history of 30 items takes about a million multiplications, which are done before a tensor
//! library has dispatched its hundred operations. These modules compute in plain loops over
//! slices, which the compiler vectorises, what the models compute with tensors; a test compares
//! the two. A module for browsers without WebGPU therefore contains no tensor library.

mod din;
mod gru4rec;
mod layers;
mod sasrec;

use tandem_protocol::{ModelConfig, ModelKind};

use self::{
    din::HostDin,
    gru4rec::{HostGru4rec, HostStates},
    layers::Weights,
    sasrec::{HostCache, HostSasrec},
};
use crate::{
    ModelError, body::check_shape, incremental_state::IncrementalState, products::row_products,
    weights::WeightFile,
};

/// A small model in main memory, without its item table.
#[derive(Debug)]
pub(crate) enum HostModel {
    Sasrec(HostSasrec),
    Gru4rec(HostGru4rec),
    Din(HostDin),
}

/// The state of a network on the host.
pub(crate) type HostState = IncrementalState<HostCache, HostStates>;

#[allow(clippy::unused_async, reason = "the models on a device await their results")]
impl HostModel {
    /// Loads weights as [`Body::to_bytes`](crate::Body::to_bytes) wrote them.
    ///
    /// # Errors
    /// As [`Body::from_bytes`](crate::Body::from_bytes).
    pub(crate) fn new(config: &ModelConfig, bytes: &[u8]) -> Result<Self, ModelError> {
        check_shape(config)?;
        let file = WeightFile::parse(bytes)?;
        let weights = |model| Weights::new(&file, model);
        Ok(match config.kind {
            ModelKind::Sasrec => Self::Sasrec(HostSasrec::new(config, &weights("Sasrec"))?),
            ModelKind::Gru4rec => Self::Gru4rec(HostGru4rec::new(config, &weights("Gru4rec"))?),
            ModelKind::Din => Self::Din(HostDin::new(config, &weights("Din"))?),
        })
    }

    /// The hidden state `[dims]` after the newest of `items` `[length, dims]`, which follow those
    /// of `past`, and the new state; `None` for DIN, which does not score by a dot product.
    ///
    /// # Errors
    /// None; the models on a device have some.
    pub(crate) async fn encode(
        &self,
        items: &[f32],
        past: Option<&HostState>,
    ) -> Result<Option<(Vec<f32>, HostState)>, ModelError> {
        Ok(match self {
            Self::Sasrec(model) => {
                let past = past.and_then(HostState::attention);
                let (hidden, cache) = model.encode(items, past);
                Some((hidden, HostState::Attention(cache)))
            }
            Self::Gru4rec(model) => {
                let past = past.and_then(HostState::recurrence);
                let (hidden, states) = model.encode(items, past);
                Some((hidden, HostState::Recurrence(states)))
            }
            Self::Din(_) => None,
        })
    }

    /// Scores of candidates `[candidates, dims]` for a history `[length, dims]`.
    ///
    /// # Errors
    /// None; the models on a device have some.
    pub(crate) async fn score(
        &self,
        history: &[f32],
        candidates: &[f32],
    ) -> Result<Vec<f32>, ModelError> {
        Ok(match self {
            Self::Sasrec(model) => row_products(&model.encode(history, None).0, candidates),
            Self::Gru4rec(model) => row_products(&model.encode(history, None).0, candidates),
            Self::Din(model) => model.score(history, candidates),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use burn::{
        Tensor,
        tensor::{Device, TensorData},
    };
    use futures_lite::future::block_on;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::Body;

    const KINDS: [ModelKind; 3] = [ModelKind::Sasrec, ModelKind::Gru4rec, ModelKind::Din];

    fn close(found: &[f32], expected: &[f32], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-5, "{what}: {found} {expected}");
        }
    }

    #[test]
    fn the_host_computes_what_the_tensors_compute() {
        let device = Device::flex();
        device.seed(3);
        for kind in KINDS {
            for (dims, blocks, heads, length) in
                [(64, 2, 1, 30), (64, 2, 4, 7), (12, 1, 3, 5), (5, 3, 5, 1), (20, 2, 2, 9)]
            {
                let config = ModelConfig { kind, dims, blocks, heads, max_length: 30 };
                let body = Body::new(&config, 0.0, &device).unwrap();
                let bytes = body.to_bytes(&HashMap::new()).unwrap();
                let host = HostModel::new(&config, &bytes).unwrap();
                let mut rng = StdRng::seed_from_u64(7);
                let mut random = |rows: usize| -> Vec<f32> {
                    (0..rows * dims).map(|_| rng.random_range(-0.5_f32..0.5)).collect()
                };
                let (items, candidates) = (random(length), random(6));
                let tensor = |rows: &[f32]| {
                    let data = TensorData::new(rows.to_vec(), [1, rows.len() / dims, dims]);
                    Tensor::<3>::from_data(data, &device)
                };
                let expected = body.score(tensor(&items), tensor(&candidates));
                let expected = expected.try_into_vec_as::<f32>().unwrap();
                let what = format!("{kind:?} {dims} {heads}");
                // All at once, and in two parts.
                let whole = block_on(host.score(&items, &candidates)).unwrap();
                close(&whole, &expected, &what);
                let encode = |items: &[f32], past: Option<&HostState>| {
                    block_on(host.encode(items, past)).unwrap()
                };
                let (first, second) = items.split_at(length / 2 * dims);
                let past = if first.is_empty() { None } else { encode(first, None) };
                let past = past.map(|(_, state)| state);
                let Some((hidden, _)) = encode(second, past.as_ref()) else {
                    assert_eq!(kind, ModelKind::Din);
                    continue;
                };
                close(&row_products(&hidden, &candidates), &expected, &what);
            }
        }
    }
}
