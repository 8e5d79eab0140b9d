use std::{borrow::Cow, sync::Arc};

use tandem_protocol::{ModelConfig, ModelKind, TextPart};

#[cfg(not(feature = "webgpu"))]
use crate::host::{HostModel as Network, HostState as NetworkState};
#[cfg(feature = "webgpu")]
use crate::{Device, body::DeviceState as NetworkState, device_model::DeviceModel as Network};
use crate::{
    ModelError, PersonalDelta, RowKey,
    products::{add_scaled, dot, row_products},
};

/// Rows of a history that make up the search query of a model without a user embedding.
const MEAN_OF_NEWEST: usize = 10;

/// A model with its weights, which encodes histories and scores candidates.
///
/// It computes on the host. With the feature `webgpu` it computes on a [`Device`](crate::Device)
/// instead, and `Scorer::on_device` takes the place of `Scorer::new`.
///
/// The weights never change; what a visitor's clicks have taught is in a [`PersonalDelta`].
/// Cheap to clone.
///
/// ```
/// use std::collections::HashMap;
///
/// use futures_lite::future::block_on;
/// use tandem_model::{Body, Device, PersonalDelta, Scorer};
/// use tandem_protocol::{ModelConfig, ModelKind};
///
/// let kind = ModelKind::Sasrec;
/// let config = ModelConfig { kind, dims: 4, blocks: 1, heads: 1, max_length: 10 };
/// let weights = Body::new(&config, 0.0, &Device::flex())?.to_bytes(&HashMap::new())?;
/// let scorer = Scorer::new(&config, &weights)?;
///
/// let history = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]; // [2 items, 4 dims]
/// let candidates = vec![1.0; 12]; // [3 items, 4 dims]
/// let encoded = block_on(scorer.encode(&history))?;
/// let delta = PersonalDelta::<u32>::new("hash of the weights", 4, 2);
/// let scores = block_on(scorer.personal_scores(encoded.user(), &delta, candidates.into()))?;
/// assert_eq!(scores.len(), 3);
/// # Ok::<(), tandem_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scorer {
    config: ModelConfig,
    text: Option<TextPart>,
    network: Arc<Network>,
}

/// The output of the network for a history: everything about the visitor that a score needs.
///
/// It depends on the shared weights and rows only, not on what was learnt on the device, so it
/// can be cached until the history changes. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct UserState(State);

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// The hidden state after the newest item and the visitor's text vector, `[row_dims]`, for
    /// models that score a candidate row by a dot product with it.
    Embedding(Arc<[f32]>),
    /// The rows of the history, `[length, dims]`, for models that weight them for every
    /// candidate (DIN).
    History(Arc<[f32]>),
}

/// An encoded history: the user state, and the network's internal state from which more items
/// can be encoded.
///
/// For 50 items and a `SASRec` with 64 dimensions and two blocks it takes 38 KB; for `GRU4Rec`
/// less than 1 KB. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EncodedHistory {
    user: UserState,
    state: Option<NetworkState>,
    /// Decayed sum of the text parts, empty without them.
    text: Vec<f32>,
    length: usize,
}

impl EncodedHistory {
    /// The user state after the newest item.
    #[must_use]
    pub fn user(&self) -> &UserState {
        &self.user
    }
}

impl UserState {
    /// The vector `u` `[row_dims]` with which a candidate row `v` scores `u·v`; `None` for DIN,
    /// which does not score by a dot product.
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
    /// Loads weights as [`Body::to_bytes`](crate::Body::to_bytes) wrote them, to compute on the
    /// host.
    ///
    /// # Errors
    /// As [`Body::from_bytes`](crate::Body::from_bytes).
    #[cfg(not(feature = "webgpu"))]
    pub fn new(config: &ModelConfig, weights: &[u8]) -> Result<Self, ModelError> {
        let network = Arc::new(Network::new(config, weights)?);
        Ok(Self { config: config.clone(), text: None, network })
    }

    /// Loads weights as [`Body::to_bytes`](crate::Body::to_bytes) wrote them, to compute on
    /// `device`.
    ///
    /// # Errors
    /// As [`Body::from_bytes`](crate::Body::from_bytes).
    #[cfg(feature = "webgpu")]
    pub fn on_device(
        config: &ModelConfig,
        weights: &[u8],
        device: &Device,
    ) -> Result<Self, ModelError> {
        let network = Arc::new(Network::new(config, weights, device)?);
        Ok(Self { config: config.clone(), text: None, network })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same model for rows with a text part.
    ///
    /// # Errors
    /// [`ModelError::Config`] for a part without dimensions or with a weight that is negative or
    /// not finite, and for DIN, which does not score by a dot product.
    pub fn with_text(mut self, text: TextPart) -> Result<Self, ModelError> {
        if text.dims == 0 || !text.weight.is_finite() || text.weight < 0.0 {
            return Err(ModelError::Config(format!(
                "expected a text part of at least 1 dimension with a weight of at least 0, found {} dimensions with {}",
                text.dims, text.weight
            )));
        }
        if self.config.kind == ModelKind::Din {
            return Err(ModelError::Config(
                "expected a model that scores by a dot product (SASRec or GRU4Rec) for rows with a text part, found DIN".to_owned(),
            ));
        }
        self.text = Some(text);
        Ok(self)
    }

    /// The text part of the rows, if they have one.
    #[must_use]
    pub fn text(&self) -> Option<TextPart> {
        self.text
    }

    /// Width of an item row: the model's dimensions and those of the text part.
    #[must_use]
    pub fn row_dims(&self) -> usize {
        self.config.dims + self.text.map_or(0, |text| text.dims)
    }

    /// Length `|h|` of the hidden state in a user state, by which parts beside the model's own
    /// score are scaled; `None` for DIN, which has no such vector.
    #[must_use]
    pub fn hidden_length(&self, user: &UserState) -> Option<f32> {
        let hidden = user.embedding()?.get(..self.config.dims)?;
        Some(dot(hidden, hidden).sqrt())
    }

    /// Encodes a history of rows `[length, row_dims]`, oldest first. Only the newest `max_length`
    /// items are read. Nothing is padded, so the cost is that of the real length.
    ///
    /// # Errors
    /// [`ModelError::Empty`] for an empty history, [`ModelError::Length`] if the length is not
    /// a multiple of `row_dims`, [`ModelError::Device`] if the compute device fails.
    pub async fn encode(&self, history: &[f32]) -> Result<EncodedHistory, ModelError> {
        let length = self.items("the history", history)?;
        let dims = self.row_dims();
        let skipped = length.saturating_sub(self.config.max_length);
        self.encode_after(None, &history[skipped * dims..]).await
    }

    /// Encodes further items `[length, row_dims]`, oldest first, of a history that was encoded
    /// before. The result is that of encoding the whole history; the cost is that of the new
    /// items. `None` if history and items are longer than `max_length` together: the oldest
    /// items must then be left out, which changes the position of all others.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub async fn encode_next(
        &self,
        before: &EncodedHistory,
        items: &[f32],
    ) -> Result<Option<EncodedHistory>, ModelError> {
        let length = before.length + self.items("the items to encode", items)?;
        if length > self.config.max_length {
            return Ok(None);
        }
        Ok(Some(self.encode_after(Some(before), items).await?))
    }

    async fn encode_after(
        &self,
        before: Option<&EncodedHistory>,
        items: &[f32],
    ) -> Result<EncodedHistory, ModelError> {
        let length = before.map_or(0, |before| before.length) + items.len() / self.row_dims();
        let past = before.and_then(|before| before.state.as_ref());
        let mut text = before.map_or_else(Vec::new, |before| before.text.clone());
        let own = self.split(items, &mut text);
        let encoded = self.network.encode(&own, past).await?;
        let (user, state) = if let Some((mut hidden, state)) = encoded {
            self.append_text(&mut hidden, &text);
            (State::Embedding(hidden.into()), Some(state))
        } else {
            let older = before.map_or(&[][..], |before| before.user.history());
            (State::History([older, items].concat().into()), None)
        };
        Ok(EncodedHistory { user: UserState(user), state, text, length })
    }

    /// The model's own part of rows `[n, row_dims]`; their text parts are added to the sum `text`.
    fn split<'a>(&self, rows: &'a [f32], text: &mut Vec<f32>) -> Cow<'a, [f32]> {
        let Some(part) = self.text else { return Cow::Borrowed(rows) };
        text.resize(part.dims, 0.0);
        let mut own = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(self.row_dims()) {
            let (row, newest) = row.split_at(self.config.dims);
            own.extend_from_slice(row);
            for (sum, value) in text.iter_mut().zip(newest) {
                *sum = TextPart::DECAY * *sum + value;
            }
        }
        Cow::Owned(own)
    }

    /// Appends the visitor's text vector to the hidden state `[dims]`: the sum of the text parts,
    /// scaled to the weight and the length of the hidden state, so that both parts of a score
    /// vary alike for every visitor.
    fn append_text(&self, hidden: &mut Vec<f32>, sum: &[f32]) {
        let Some(part) = self.text else { return };
        let length = |values: &[f32]| dot(values, values).sqrt();
        let of_sum = length(sum);
        let scale = if of_sum > 0.0 { part.weight * length(hidden) / of_sum } else { 0.0 };
        hidden.extend(sum.iter().map(|value| scale * value));
    }

    /// Scores candidate rows `[candidates, row_dims]` for a user state: one logit per candidate,
    /// higher is better.
    ///
    /// # Errors
    /// [`ModelError::Length`] if the length is not a multiple of `row_dims`,
    /// [`ModelError::Device`] if the compute device fails.
    pub async fn score_for(
        &self,
        user: &UserState,
        candidates: &[f32],
    ) -> Result<Vec<f32>, ModelError> {
        let dims = self.row_dims();
        let count = whole_rows("candidate rows", candidates, dims)?;
        match &user.0 {
            _ if count == 0 => Ok(Vec::new()),
            State::Embedding(embedding) => Ok(row_products(embedding, candidates)),
            State::History(history) => self.network.score(history, candidates).await,
        }
    }

    /// Encodes a history and scores candidates for it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode) and [`score_for`](Self::score_for).
    pub async fn score(&self, history: &[f32], candidates: &[f32]) -> Result<Vec<f32>, ModelError> {
        self.score_for(self.encode(history).await?.user(), candidates).await
    }

    /// Scores candidates with a personal delta: one logit per candidate. `rows` `[candidates,
    /// row_dims]` must include their row deltas ([`PersonalDelta::apply_row`]).
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
            whole_rows("candidate rows", &rows, self.row_dims())?;
            return Ok(row_products(&delta.query(embedding), &rows));
        }
        let mut rows = rows.into_owned();
        delta.adapt(&mut rows);
        let mut scores = self.score_for(user, &rows).await?;
        delta.add_preference_logits(&rows, &mut scores);
        Ok(scores)
    }

    /// The vector `[row_dims]` to search an [`ItemTable`](crate::ItemTable) with, for a visitor who
    /// learnt `delta`; adapter and preference are included, row deltas are not.
    ///
    /// For a model that scores by a dot product, the inner product of a row with this vector is
    /// the row's score in [`personal_scores`](Self::personal_scores). DIN does not: its query is
    /// the mean of the newest rows of the history, which finds similar items. Score the finds
    /// with [`personal_scores`](Self::personal_scores) before they are compared with others.
    #[must_use]
    pub fn search_query<K: RowKey>(&self, user: &UserState, delta: &PersonalDelta<K>) -> Vec<f32> {
        match &user.0 {
            State::Embedding(embedding) => delta.query(embedding),
            State::History(history) => delta.query(&self.mean_of_newest(history)),
        }
    }

    /// The mean of the newest [`MEAN_OF_NEWEST`] rows of `history` `[length, row_dims]`.
    fn mean_of_newest(&self, history: &[f32]) -> Vec<f32> {
        let dims = self.row_dims();
        let length = history.len() / dims;
        let newest = &history[length.saturating_sub(MEAN_OF_NEWEST) * dims..];
        let share = 1.0 / (newest.len() / dims).max(1) as f32;
        let mut mean = vec![0.0; dims];
        for row in newest.chunks_exact(dims) {
            add_scaled(&mut mean, share, row);
        }
        mean
    }

    /// The number of rows, which must be at least one.
    fn items(&self, what: &'static str, rows: &[f32]) -> Result<usize, ModelError> {
        match whole_rows(what, rows, self.row_dims())? {
            0 => Err(ModelError::Empty(what)),
            length => Ok(length),
        }
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
