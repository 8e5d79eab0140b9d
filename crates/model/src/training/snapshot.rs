use std::borrow::Cow;

use burn::{
    Tensor,
    tensor::{Device, TensorData},
};

use super::{Candidates, Encoder, batch::padded, device_error};
use crate::{ModelError, scorer::indices};

/// A model of a training at one moment, to score histories with: the table is brought to
/// the device once for all of them.
pub struct Snapshot<E> {
    encoder: E,
    rows: Tensor<2>,  // [items, dims], those that are read
    table: Tensor<2>, // [items, dims], those that score
    max_length: usize,
    device: Device,
}

impl<E> std::fmt::Debug for Snapshot<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("items", &self.items()).finish_non_exhaustive()
    }
}

impl<E> Snapshot<E> {
    /// `rows` are read, and score unless there is an `output`; both `[items, dims]`.
    pub(super) fn new(
        encoder: E,
        rows: Cow<'_, [f32]>,
        output: Option<Cow<'_, [f32]>>,
        (dims, max_length): (usize, usize),
        device: &Device,
    ) -> Self {
        let device = device.clone().without_autodiff();
        let tensor = |rows: Cow<'_, [f32]>| {
            let items = rows.len() / dims;
            Tensor::<2>::from_data(TensorData::new(rows.into_owned(), [items, dims]), &device)
        };
        let rows = tensor(rows);
        // A tied model has one table, which is shared.
        let table = output.map_or_else(|| rows.clone(), tensor);
        Self { encoder, rows, table, max_length, device }
    }

    /// Number of items in the catalogue.
    #[must_use]
    pub fn items(&self) -> usize {
        self.table.dims()[0]
    }
}

impl<E: Encoder> Snapshot<E> {
    /// Scores of every item of the catalogue as the next one, for several histories (oldest
    /// first, not empty; the newest `max_length` are read).
    ///
    /// All of them are in memory at once: give few histories of a large catalogue at a time.
    ///
    /// # Errors
    /// [`ModelError::Empty`] for an empty history, [`ModelError::Device`] if the device fails.
    pub fn score(&self, histories: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        if histories.iter().any(|history| history.is_empty()) {
            return Err(ModelError::Empty("a history"));
        }
        let newest: Vec<&[u32]> = histories
            .iter()
            .map(|history| &history[history.len().saturating_sub(self.max_length)..])
            .collect();
        let length = newest.iter().map(|history| history.len()).max().unwrap_or(0);
        let [items, dims] = self.table.dims();
        let read = indices(&padded(&newest, length), &self.device);
        let rows = self.rows.clone().select(0, read).reshape([newest.len(), length, dims]);
        let last: Vec<u32> =
            newest.iter().enumerate().map(|(i, h)| (i * length + h.len() - 1) as u32).collect();
        let scores = self.encoder.score(rows, &last, Candidates::Shared(self.table.clone())); // [histories, items]
        let scores = scores.try_into_vec_as::<f32>().map_err(device_error)?;
        Ok(scores.chunks_exact(items).map(<[f32]>::to_vec).collect())
    }
}
