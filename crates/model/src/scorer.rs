use burn::{
    Tensor,
    tensor::{Device, Int, TensorData},
};
use tandem_protocol::ModelConfig;

use crate::{Body, ModelError, PersonalDelta, RowKey, products::dot};

/// A body ready to score, with its weights resident on a device.
///
/// Weights are shared and never change; see [`PersonalDelta`] for what does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scorer {
    config: ModelConfig,
    body: Body,
    device: Device,
}

/// What a model makes of a history: all of the visitor that a score needs.
///
/// It depends on shared weights and rows alone, and on nothing that was learnt on the device:
/// as long as the history stays the same it can be kept, and the network rests.
#[derive(Clone, Debug, PartialEq)]
pub struct UserState(State);

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// The hidden state after the newest item, `[dims]`, of models that score a candidate
    /// row by a dot product with it.
    Embedding(Vec<f32>),
    /// The rows that are read, `[length, dims]`, of models that weigh them anew for every
    /// candidate.
    History(Vec<f32>),
}

impl UserState {
    /// The vector `u` `[dims]` with which a candidate row `v` scores `u·v`; `None` of a model
    /// that scores in another way (DIN).
    #[must_use]
    pub fn embedding(&self) -> Option<&[f32]> {
        match &self.0 {
            State::Embedding(embedding) => Some(embedding),
            State::History(_) => None,
        }
    }
}

impl Scorer {
    /// Loads weights as [`Body::to_bytes`] wrote them.
    ///
    /// # Errors
    /// As [`Body::from_bytes`].
    pub fn new(config: &ModelConfig, weights: &[u8], device: &Device) -> Result<Self, ModelError> {
        let body = Body::from_bytes(config, weights, device)?;
        Ok(Self { config: config.clone(), body, device: device.clone() })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Reads a history of rows `[length, dims]`, oldest first; of more than `max_length` only
    /// the newest are read. Nothing is padded: the cost is that of the real length.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without history, [`ModelError::Length`] if the rows are not
    /// whole, [`ModelError::Device`] if the device fails.
    pub async fn user(&self, history: &[f32]) -> Result<UserState, ModelError> {
        let history = self.newest(history)?;
        Ok(UserState(match self.body.newest_hidden(self.upload(history)) {
            Some(hidden) => State::Embedding(read(hidden).await?),
            None => State::History(history.to_vec()),
        }))
    }

    /// Scores candidate rows `[candidates, dims]` for what was made of a history: one logit a
    /// candidate, higher is better.
    ///
    /// # Errors
    /// [`ModelError::Length`] if the rows are not whole, [`ModelError::Device`] if the device
    /// fails.
    pub async fn score_for(
        &self,
        user: &UserState,
        candidates: &[f32],
    ) -> Result<Vec<f32>, ModelError> {
        let dims = self.config.dims;
        let count = whole_rows("candidate rows", candidates, dims)?;
        match &user.0 {
            _ if count == 0 => Ok(Vec::new()),
            State::Embedding(embedding) => Ok(products(embedding, candidates)),
            State::History(history) => {
                read(self.body.score(self.upload(history), self.upload(candidates))).await
            }
        }
    }

    /// Scores candidates for one history: [`user`](Self::user) and
    /// [`score_for`](Self::score_for).
    ///
    /// # Errors
    /// As these.
    pub async fn score(&self, history: &[f32], candidates: &[f32]) -> Result<Vec<f32>, ModelError> {
        self.score_for(&self.user(history).await?, candidates).await
    }

    /// Scores candidates as a visitor sees them who learnt `delta`. `rows` `[candidates,
    /// dims]` have their row deltas already ([`PersonalDelta::apply_row`]).
    ///
    /// # Errors
    /// As [`score_for`](Self::score_for).
    pub async fn personal_scores<K: RowKey>(
        &self,
        user: &UserState,
        delta: &PersonalDelta<K>,
        mut rows: Vec<f32>,
    ) -> Result<Vec<f32>, ModelError> {
        if let Some(embedding) = user.embedding() {
            whole_rows("candidate rows", &rows, self.config.dims)?;
            return Ok(products(&delta.query(embedding), &rows));
        }
        delta.adapt(&mut rows);
        let mut scores = self.score_for(user, &rows).await?;
        delta.lean(&rows, &mut scores);
        Ok(scores)
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

/// The product of `vector` `[dims]` with each of `rows` `[n, dims]`.
fn products(vector: &[f32], rows: &[f32]) -> Vec<f32> {
    rows.chunks_exact(vector.len()).map(|row| dot(vector, row)).collect()
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
async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
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
