use std::{borrow::Cow, sync::Arc};

use burn::{
    Tensor,
    tensor::{Device, Int, TensorData},
};
use tandem_protocol::ModelConfig;

use crate::{
    Body, ModelError, PersonalDelta, RowKey,
    body::IncrementalState,
    products::{add_scaled, dot},
};

/// Rows of a history that make up the search query of a model without a user embedding.
const MEAN_OF_NEWEST: usize = 10;

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
/// as long as the history stays the same it can be kept, and the network rests. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct UserState(State);

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// The hidden state after the newest item, `[dims]`, of models that score a candidate
    /// row by a dot product with it.
    Embedding(Arc<[f32]>),
    /// The rows that are read, `[length, dims]`, of models that weigh them anew for every
    /// candidate.
    History(Arc<[f32]>),
}

/// A history as the network has read it: what it makes of the visitor, and what it needs to go
/// on reading where it stopped.
///
/// Of 50 items and a `SASRec` 64 wide with two blocks that is 51 KB; with `GRU4Rec` less than
/// one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EncodedHistory {
    user: UserState,
    memory: Option<IncrementalState>,
    length: usize,
}

impl EncodedHistory {
    /// What the network makes of the visitor.
    #[must_use]
    pub fn user(&self) -> &UserState {
        &self.user
    }
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

    fn history(&self) -> &[f32] {
        match &self.0 {
            State::Embedding(_) => &[],
            State::History(history) => history,
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
    pub async fn read(&self, history: &[f32]) -> Result<EncodedHistory, ModelError> {
        let length = self.items("the history", history)?;
        let dims = self.config.dims;
        let skipped = length.saturating_sub(self.config.max_length);
        self.read_after(None, &history[skipped * dims..]).await
    }

    /// Reads on: `items` `[length, dims]`, oldest first, follow on a history that was read
    /// before, which costs as much as they alone. It comes to the same as reading all of them
    /// at once. `None` if they would be more than `max_length` together: then the oldest are
    /// to be left out, and all others move to another position.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_on(
        &self,
        before: &EncodedHistory,
        items: &[f32],
    ) -> Result<Option<EncodedHistory>, ModelError> {
        let length = before.length + self.items("what is to be read", items)?;
        if length > self.config.max_length {
            return Ok(None);
        }
        Ok(Some(self.read_after(Some(before), items).await?))
    }

    async fn read_after(
        &self,
        before: Option<&EncodedHistory>,
        items: &[f32],
    ) -> Result<EncodedHistory, ModelError> {
        let length = before.map_or(0, |before| before.length) + items.len() / self.config.dims;
        let past = before.and_then(|before| before.memory.as_ref());
        let (state, memory) =
            if let Some((hidden, memory)) = self.body.read(self.upload(items), past) {
                (State::Embedding(read(hidden).await?.into()), Some(memory))
            } else {
                let older = before.map_or(&[][..], |before| before.user.history());
                (State::History([older, items].concat().into()), None)
            };
        Ok(EncodedHistory { user: UserState(state), memory, length })
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

    /// Scores candidates for one history: [`read`](Self::read) and
    /// [`score_for`](Self::score_for).
    ///
    /// # Errors
    /// As these.
    pub async fn score(&self, history: &[f32], candidates: &[f32]) -> Result<Vec<f32>, ModelError> {
        self.score_for(self.read(history).await?.user(), candidates).await
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
        rows: Cow<'_, [f32]>,
    ) -> Result<Vec<f32>, ModelError> {
        if let Some(embedding) = user.embedding() {
            whole_rows("candidate rows", &rows, self.config.dims)?;
            return Ok(products(&delta.query(embedding), &rows));
        }
        let mut rows = rows.into_owned();
        delta.adapt(&mut rows);
        let mut scores = self.score_for(user, &rows).await?;
        delta.add_preference_logits(&rows, &mut scores);
        Ok(scores)
    }

    /// The vector `[dims]` to search an [`ItemTable`](crate::ItemTable) with, for a visitor who
    /// learnt `delta`; adapter and preference are included, row deltas are not.
    ///
    /// For a model that scores by a dot product, the inner product of a row with this vector is
    /// the row's score in [`personal_scores`](Self::personal_scores). DIN has no such vector: it
    /// gets the mean of the newest rows of the history, which finds similar items, and the finds
    /// are to be scored by the model itself.
    #[must_use]
    pub fn search_query<K: RowKey>(&self, user: &UserState, delta: &PersonalDelta<K>) -> Vec<f32> {
        match &user.0 {
            State::Embedding(embedding) => delta.query(embedding),
            State::History(history) => delta.query(&self.mean_of_newest(history)),
        }
    }

    /// The mean of the newest [`MEAN_OF_NEWEST`] rows of `history` `[length, dims]`.
    fn mean_of_newest(&self, history: &[f32]) -> Vec<f32> {
        let dims = self.config.dims;
        let length = history.len() / dims;
        let newest = &history[length.saturating_sub(MEAN_OF_NEWEST) * dims..];
        let share = 1.0 / (newest.len() / dims).max(1) as f32;
        let mut mean = vec![0.0; dims];
        for row in newest.chunks_exact(dims) {
            add_scaled(&mut mean, share, row);
        }
        mean
    }

    /// How many rows there are, at least one.
    fn items(&self, what: &'static str, rows: &[f32]) -> Result<usize, ModelError> {
        match whole_rows(what, rows, self.config.dims)? {
            0 => Err(ModelError::Empty(what)),
            length => Ok(length),
        }
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
