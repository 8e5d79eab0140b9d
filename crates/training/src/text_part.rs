//! The text part of item rows: a learnt projection of frozen text vectors.

use std::io::{self, Read, Write};

use burn::{
    Tensor,
    tensor::{Device, TensorData},
};
use rand::{Rng, RngExt};
use tandem_model::ModelError;

use crate::{lazy_adam::LazyAdamEmbedding, sequence_model::indices};

/// Frozen text vectors of the items, from which a part of each row is learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFeatures {
    /// `[items, width]`; zeros for an item without text.
    pub vectors: Vec<f32>,
    /// Numbers in a vector.
    pub width: usize,
    /// Whether the training part has the item. The rows of other items are their text part.
    pub known: Vec<bool>,
    /// Probability of leaving out an item's own part in a step, so that the text part learns to
    /// stand alone.
    pub id_dropout: f32,
}

/// `row = known · own part + vector · projection`.
pub(crate) struct TextPart {
    features: TextFeatures,
    vectors: Tensor<2>, // [items, width]
    pub(crate) read: LazyAdamEmbedding,
    /// The projection of the output rows, for an untied model.
    pub(crate) scored: Option<LazyAdamEmbedding>,
    /// The rows of a projection: 0 to `width - 1`.
    pub(crate) all_dimensions: Vec<u32>,
}

impl TextPart {
    /// Random projections to `dims` numbers with a standard deviation of `std`, as the rows of
    /// the items have: a text vector has length 1.
    pub(crate) fn new(
        features: TextFeatures,
        (dims, std): (usize, f32),
        tied: bool,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let (items, width) = (features.known.len(), features.width);
        let found = features.vectors.len();
        if width == 0 || found != items * width {
            return Err(ModelError::Length {
                what: "text vectors",
                expected: items * width,
                found,
            });
        }
        let data = TensorData::new(features.vectors.clone(), [items, width]);
        let mut random = || LazyAdamEmbedding::random(width, dims, std, rng);
        Ok(Self {
            vectors: Tensor::from_data(data, device),
            all_dimensions: (0..width as u32).collect(),
            features,
            read: random(),
            scored: (!tied).then(random),
        })
    }

    /// Number of items.
    pub(crate) fn items(&self) -> usize {
        self.features.known.len()
    }

    /// Starts the text part at zero, beside rows that are given whole.
    pub(crate) fn set_zero(&mut self, dims: usize) {
        let zero = || LazyAdamEmbedding::new(vec![0.0; self.features.width * dims], dims);
        self.read = zero();
        self.scored = self.scored.is_some().then(zero);
    }

    /// The rows of `ids` in a training step: `own` `[ids, dims]` with dropout, plus the text part
    /// under `projection` `[width, dims]`.
    pub(crate) fn compose(
        &self,
        own: Tensor<2>,
        projection: Tensor<2>,
        ids: &[u32],
        rng: &mut impl Rng,
    ) -> Tensor<2> {
        let device = own.device();
        let kept: Vec<f32> = ids
            .iter()
            .map(|&id| {
                let dropped = rng.random::<f32>() < self.features.id_dropout;
                f32::from(u8::from(self.features.known[id as usize] && !dropped))
            })
            .collect();
        let kept = Tensor::<2>::from_data(TensorData::new(kept, [ids.len(), 1]), &device);
        let vectors = self.vectors.clone().select(0, indices(ids, &device));
        own * kept + vectors.matmul(projection)
    }

    /// The finished rows of all items, `[items, dims]`.
    pub(crate) fn finish(&self, mut own: Vec<f32>, projection: &LazyAdamEmbedding) -> Vec<f32> {
        let (items, width) = (self.items(), self.features.width);
        let dims = own.len() / items.max(1);
        let device = self.vectors.device().without_autodiff();
        let vectors = TensorData::new(self.features.vectors.clone(), [items, width]);
        let vectors = Tensor::<2>::from_data(vectors, &device);
        let projection =
            Tensor::<2>::from_data(TensorData::new(projection.values(), [width, dims]), &device);
        let text = vectors.matmul(projection).into_data();
        let mut text = text.iter::<f32>();
        for (row, known) in own.chunks_exact_mut(dims.max(1)).zip(&self.features.known) {
            for (own, text) in row.iter_mut().zip(&mut text) {
                *own = if *known { *own + text } else { text };
            }
        }
        own
    }

    pub(crate) fn save(&self, out: &mut impl Write) -> io::Result<()> {
        self.read.save(out)?;
        self.scored.as_ref().map_or(Ok(()), |scored| scored.save(out))
    }

    pub(crate) fn restore(&mut self, input: &mut impl Read) -> io::Result<()> {
        self.read.restore(input)?;
        self.scored.as_mut().map_or(Ok(()), |scored| scored.restore(input))
    }
}
