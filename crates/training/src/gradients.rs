//! The rows of a batch as tensors that record gradients, and the gradients of a part of a batch.

use burn::{
    Tensor,
    optim::GradientsParams,
    tensor::{Device, Gradients, TensorData},
};
use rand::Rng;
use tandem_model::ModelError;

use crate::{SequenceModel, error::device_error, text_part::TextPart, vocabulary::BatchVocabulary};

/// Values of the rows of a batch and of the projections of texts.
pub(crate) struct RowValues {
    pub(crate) read: Vec<f32>,
    /// Only of an untied model.
    pub(crate) scored: Option<Vec<f32>>,
    pub(crate) read_projection: Option<Vec<f32>>,
    pub(crate) scored_projection: Option<Vec<f32>>,
}

/// The rows of a batch: inputs and, for an untied model, output rows.
pub(crate) struct Leaves {
    read: RowLeaves,
    scored: Option<RowLeaves>,
}

impl Leaves {
    /// New leaves, with their own graph and their own dropout of ID parts.
    pub(crate) fn new(
        values: &RowValues,
        text: Option<&TextPart>,
        (vocabulary, dims): (&BatchVocabulary, usize),
        rng: &mut impl Rng,
        device: &Device,
    ) -> Self {
        let leaf = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [values.len() / dims, dims]);
            Tensor::from_data(data, device).require_grad()
        };
        let mut rows = |own: &[f32], ids: &[u32], projection: Option<&Vec<f32>>| {
            let (own, projection) = (leaf(own), projection.map(|values| leaf(values)));
            let rows = match (text, &projection) {
                (Some(text), Some(projection)) => {
                    text.compose(own.clone(), projection.clone(), ids, rng)
                }
                _ => own.clone(),
            };
            RowLeaves { rows, own, projection }
        };
        let read = rows(&values.read, vocabulary.read(), values.read_projection.as_ref());
        let scored = values
            .scored
            .as_ref()
            .map(|scored| rows(scored, vocabulary.scored(), values.scored_projection.as_ref()));
        Self { read, scored }
    }

    pub(crate) fn read(&self) -> &Tensor<2> {
        &self.read.rows
    }

    pub(crate) fn scored(&self) -> &Tensor<2> {
        &self.scored.as_ref().unwrap_or(&self.read).rows
    }
}

/// Rows, and the tensors that they are computed from.
struct RowLeaves {
    rows: Tensor<2>,
    own: Tensor<2>,
    projection: Option<Tensor<2>>,
}

/// Gradients of rows and of the projection of their texts.
pub(crate) struct RowGradients {
    pub(crate) own: Vec<f32>,
    pub(crate) projection: Option<Vec<f32>>,
}

impl RowLeaves {
    fn gradients(&self, gradients: &mut Gradients) -> Result<RowGradients, ModelError> {
        let mut of = |leaf: &Tensor<2>| {
            leaf.grad_remove(gradients)
                .ok_or_else(|| ModelError::Device("no gradient was recorded".into()))?
                .try_into_vec_as::<f32>()
                .map_err(device_error)
        };
        Ok(RowGradients {
            own: of(&self.own)?,
            projection: self.projection.as_ref().map(of).transpose()?,
        })
    }
}

impl RowGradients {
    fn add(&mut self, other: &Self) {
        let add = |to: &mut [f32], from: &[f32]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        };
        add(&mut self.own, &other.own);
        if let (Some(to), Some(from)) = (&mut self.projection, &other.projection) {
            add(to, from);
        }
    }
}

/// The loss of a part of a batch and its gradients.
pub(crate) struct PartGradients {
    pub(crate) loss: f32,
    pub(crate) network: GradientsParams,
    pub(crate) read: RowGradients,
    /// Only of an untied model.
    pub(crate) scored: Option<RowGradients>,
}

impl PartGradients {
    /// Of `loss` `[1]`, which `model` computed from `leaves`.
    pub(crate) fn of(
        loss: Tensor<1>,
        leaves: &Leaves,
        model: &impl SequenceModel,
    ) -> Result<Self, ModelError> {
        let mut gradients = loss.backward();
        Ok(Self {
            read: leaves.read.gradients(&mut gradients)?,
            scored: leaves.scored.as_ref().map(|it| it.gradients(&mut gradients)).transpose()?,
            network: GradientsParams::from_grads(gradients, model),
            loss: loss.try_into_scalar::<f32>().map_err(device_error)?,
        })
    }

    /// Adds the loss and the gradients of rows of another part; those of the network stay.
    pub(crate) fn add_rows(&mut self, other: &Self) {
        self.loss += other.loss;
        self.read.add(&other.read);
        if let (Some(to), Some(from)) = (&mut self.scored, &other.scored) {
            to.add(from);
        }
    }
}
