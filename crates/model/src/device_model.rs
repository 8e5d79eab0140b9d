//! The models on a compute device: rows are uploaded as tensors and results downloaded.

use burn::{
    Tensor,
    tensor::{Device, TensorData},
};
use tandem_protocol::ModelConfig;

use crate::{Body, ModelError, body::DeviceState};

/// A small model on a compute device, without its item table.
#[derive(Debug)]
pub(crate) struct DeviceModel {
    body: Body,
    device: Device,
    dims: usize,
}

impl DeviceModel {
    /// Loads weights as [`Body::to_bytes`] wrote them.
    ///
    /// # Errors
    /// As [`Body::from_bytes`].
    pub(crate) fn new(
        config: &ModelConfig,
        weights: &[u8],
        device: &Device,
    ) -> Result<Self, ModelError> {
        let body = Body::from_bytes(config, weights, device)?;
        Ok(Self { body, device: device.clone(), dims: config.dims })
    }

    /// The hidden state `[dims]` after the newest of `items` `[length, dims]`, which follow those
    /// of `past`, and the new state; `None` for DIN, which does not score by a dot product.
    ///
    /// # Errors
    /// [`ModelError::Device`] if the device fails.
    pub(crate) async fn encode(
        &self,
        items: &[f32],
        past: Option<&DeviceState>,
    ) -> Result<Option<(Vec<f32>, DeviceState)>, ModelError> {
        let Some((hidden, state)) = self.body.encode(self.upload(items), past) else {
            return Ok(None);
        };
        Ok(Some((download(hidden).await?, state)))
    }

    /// Scores of candidates `[candidates, dims]` for a history `[length, dims]`.
    ///
    /// # Errors
    /// [`ModelError::Device`] if the device fails.
    pub(crate) async fn score(
        &self,
        history: &[f32],
        candidates: &[f32],
    ) -> Result<Vec<f32>, ModelError> {
        download(self.body.score(self.upload(history), self.upload(candidates))).await
    }

    /// Rows `[n, dims]` as a tensor `[1, n, dims]`.
    fn upload(&self, rows: &[f32]) -> Tensor<3> {
        let shape = [1, rows.len() / self.dims, self.dims];
        Tensor::from_data(TensorData::new(rows.to_vec(), shape), &self.device)
    }
}

/// Reads a tensor's values without blocking, which a browser's GPU does not allow.
async fn download<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    let data =
        tensor.into_data_async().await.map_err(|error| ModelError::Device(format!("{error:?}")))?;
    data.try_into_vec::<f32>().map_err(|error| ModelError::Device(format!("{error:?}")))
}
