//! Parts of a batch, on a thread each.

use std::{panic, thread};

use burn::tensor::Device;
use tandem_model::ModelError;

use crate::{
    SequenceModel,
    batch::Batch,
    device::seed_dropout_on,
    gradients::{Leaves, PartGradients},
    objective::Plan,
    sequence_model::indices,
};

/// A part of a batch, with a graph of its own.
pub(crate) struct Part<M> {
    pub(crate) model: M,
    pub(crate) leaves: Leaves,
    pub(crate) batch: Batch,
    pub(crate) plan: Plan,
    /// Share of the positions of the batch.
    pub(crate) share: f64,
    pub(crate) dropout_seed: u64,
}

/// The gradients of all parts, in their order. Their losses add up to the mean of the batch.
///
/// # Errors
/// See [`Plan::loss`] and [`PartGradients::of`].
pub(crate) fn gradients<M: SequenceModel>(
    mut parts: Vec<Part<M>>,
    dims: usize,
    device: &Device,
) -> Result<Vec<PartGradients>, ModelError> {
    if parts.len() == 1 {
        return parts.drain(..).map(|part| part.gradients(dims, device)).collect();
    }
    // Not threads of the pool: while one waits for a product, it would begin another part and use
    // this part's random numbers.
    thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .map(|part| scope.spawn(move || part.gradients(dims, device)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
            .collect()
    })
}

impl<M: SequenceModel> Part<M> {
    fn gradients(self, dims: usize, device: &Device) -> Result<PartGradients, ModelError> {
        let Self { model, leaves, batch, plan, share, dropout_seed } = self;
        seed_dropout_on(device, dropout_seed);
        let windows = batch.inputs.len() / batch.length;
        let inputs = leaves.read().clone().select(0, indices(&plan.inputs, device));
        let inputs = inputs.reshape([windows, batch.length, dims]);
        let loss = plan.loss(leaves.scored().clone(), &model, (inputs, &batch.positions))?;
        PartGradients::of(loss * share, &leaves, &model)
    }
}
