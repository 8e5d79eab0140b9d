use burn::{
    Tensor,
    module::Module,
    tensor::{Device, Int, TensorData},
};
use tandem_protocol::ModelConfig;

use crate::{Body, ModelError};

/// A body ready to score and to be learnt against, with its weights resident on a device.
///
/// Weights are shared and never change; see [`PersonalDelta`](crate::PersonalDelta) for
/// what does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scorer {
    config: ModelConfig,
    body: Body,
    /// The same weights on the autodiff side, without gradients of their own.
    pub(crate) frozen: Body,
    device: Device,
}

impl Scorer {
    /// Loads weights as [`Body::to_bytes`] wrote them.
    ///
    /// # Errors
    /// As [`Body::from_bytes`].
    pub fn new(config: &ModelConfig, weights: &[u8], device: &Device) -> Result<Self, ModelError> {
        let body = Body::from_bytes(config, weights, device)?;
        let frozen = Body::from_bytes(config, weights, &device.clone().autodiff())?.no_grad();
        Ok(Self { config: config.clone(), body, frozen, device: device.clone() })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device the weights are on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Scores candidates for one history.
    ///
    /// `history` holds the rows `[length, dims]` of the newest items, oldest first; of more
    /// than `max_length` only the newest are read. `candidates` holds the rows
    /// `[candidates, dims]`. Returns one logit a candidate, higher is better. Nothing is
    /// padded: the cost is that of the real length.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without history, [`ModelError::Length`] if a slice is not whole
    /// rows, [`ModelError::Device`] if the device fails.
    pub async fn score(&self, history: &[f32], candidates: &[f32]) -> Result<Vec<f32>, ModelError> {
        let dims = self.config.dims;
        let history = self.newest(history)?;
        let count = whole_rows("candidate rows", candidates, dims)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let history = self.upload(history);
        let candidates = self.upload(candidates);
        read(self.body.score(history, candidates)).await
    }

    fn newest<'a>(&self, history: &'a [f32]) -> Result<&'a [f32], ModelError> {
        let dims = self.config.dims;
        let length = whole_rows("history rows", history, dims)?;
        if length == 0 {
            return Err(ModelError::Empty("the history"));
        }
        let skipped = length.saturating_sub(self.config.max_length);
        Ok(&history[skipped * dims..])
    }

    /// Rows `[n, dims]` as a tensor `[1, n, dims]`.
    fn upload(&self, rows: &[f32]) -> Tensor<3> {
        let shape = [1, rows.len() / self.config.dims, self.config.dims];
        Tensor::from_data(TensorData::new(rows.to_vec(), shape), &self.device)
    }
}

fn whole_rows(what: &'static str, values: &[f32], dims: usize) -> Result<usize, ModelError> {
    if values.len().is_multiple_of(dims) {
        Ok(values.len() / dims)
    } else {
        let expected = values.len().next_multiple_of(dims);
        Err(ModelError::Length { what, expected, found: values.len() })
    }
}

/// Reads a tensor's values without blocking: the only way on a browser's GPU.
pub(crate) async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    let data =
        tensor.into_data_async().await.map_err(|error| ModelError::Device(format!("{error:?}")))?;
    data.try_into_vec::<f32>().map_err(|error| ModelError::Device(format!("{error:?}")))
}

/// Positions as a tensor of indices.
pub(crate) fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|value| value.cast_signed()).collect();
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}
