use std::borrow::Cow;

use burn::{
    Tensor,
    tensor::{Device, TensorData},
};

use tandem_model::ModelError;

use crate::{
    Candidates, SequenceModel, batch::padded, error::device_error, sequence_model::indices,
};

/// The current state of a model in training, for scoring histories. The item table is
/// uploaded to the device once.
pub struct Snapshot<M> {
    model: M,
    rows: Tensor<2>,   // [items, dims], the input rows
    output: Tensor<2>, // [items, dims], the rows that score
    max_length: usize,
    device: Device,
}

impl<M> std::fmt::Debug for Snapshot<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("items", &self.items()).finish_non_exhaustive()
    }
}

impl<M> Snapshot<M> {
    /// `rows` `[items, dims]` are the inputs, and also score if there are no `output` rows.
    pub(crate) fn new(
        model: M,
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
        let output = output.map_or_else(|| rows.clone(), tensor);
        Self { model, rows, output, max_length, device }
    }

    /// Number of items in the catalogue.
    #[must_use]
    pub fn items(&self) -> usize {
        self.output.dims()[0]
    }
}

impl<M: SequenceModel> Snapshot<M> {
    /// Logits of every item of the catalogue as the next item, for several histories (oldest
    /// first, not empty; the newest `max_length` items are read).
    ///
    /// Returns `histories × items` values at once: pass few histories at a time for a large
    /// catalogue.
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
        let [items, dims] = self.output.dims();
        let inputs = indices(&padded(&newest, length), &self.device);
        let rows = self.rows.clone().select(0, inputs).reshape([newest.len(), length, dims]);
        let last: Vec<u32> =
            newest.iter().enumerate().map(|(i, h)| (i * length + h.len() - 1) as u32).collect();
        let scores = self.model.score(rows, &last, Candidates::Shared(self.output.clone())); // [histories, items]
        let scores = scores.try_into_vec_as::<f32>().map_err(device_error)?;
        Ok(scores.chunks_exact(items).map(<[f32]>::to_vec).collect())
    }
}
