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
        let zeros = LazyAdamEmbedding::new(vec![0.0; self.features.width * dims], dims);
        self.scored = self.scored.is_some().then(|| zeros.clone());
        self.read = zeros;
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

#[cfg(test)]
mod tests {
    use tandem_generator::item_tokens::DecoderConfig;

    use super::*;
    use crate::{Decoder, Objective, Rates, Trainer, TrainingConfig};

    /// Twelve items in two groups of equal text; item 11 is in no history.
    fn trainer(untied: bool, id_dropout: f32) -> Trainer<Decoder> {
        let config = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(8, 1, 2, 4) };
        let training = TrainingConfig {
            objective: Objective::FullSoftmax,
            untied,
            row_decay: 0.0,
            ..TrainingConfig::default()
        };
        let build = |device: &Device| Decoder::new(&config, 0.0, device);
        let mut trainer = Trainer::new(build, (12, 8), 4, training, &Device::flex()).unwrap();
        let vectors =
            (0..12).flat_map(|item| if item % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let known = (0..12).map(|item| item != 11).collect();
        trainer.set_text(TextFeatures { vectors, width: 2, known, id_dropout }).unwrap();
        trainer
    }

    /// Users stay within their group of items.
    fn train(trainer: &mut Trainer<Decoder>, steps: u32) {
        for step in 0..steps {
            let group = step % 2;
            let window: Vec<u32> =
                [0, 2, 4, 6].map(|item| (item + 2 * (step % 3)) % 10 + group).to_vec();
            trainer.step(&[&window], Rates { network: 0.01, rows: 0.01 }).unwrap();
        }
    }

    #[test]
    fn an_item_that_was_never_chosen_is_found_by_its_text() {
        for untied in [false, true] {
            let mut trainer = trainer(untied, 0.5);
            train(&mut trainer, 120);
            let scores = |history: &[u32]| trainer.score(&[history]).unwrap().remove(0);
            // Item 11 has the text of the odd items.
            assert!(scores(&[1, 3])[11] > scores(&[0, 2])[11], "untied {untied}");
            let rows = trainer.rows();
            let same = rows[11 * 8..] == rows[9 * 8..10 * 8];
            assert!(!same, "known items have a part of their own");
        }
    }

    #[test]
    fn the_rows_of_unknown_items_are_their_text_part() {
        let trainer = trainer(false, 0.0);
        let rows = trainer.rows();
        let text = trainer.text.as_ref().unwrap().read.values();
        // The text of item 11 is the second axis.
        assert_eq!(rows[11 * 8..], text[8..]);
        let own = trainer.items.values();
        for (at, value) in rows[..8].iter().enumerate() {
            assert!((value - own[at] - text[at]).abs() < 1e-6);
        }
    }

    #[test]
    fn a_restored_training_continues_with_the_same_steps() {
        for untied in [false, true] {
            let mut whole = trainer(untied, 0.3);
            train(&mut whole, 3);
            let mut state = Vec::new();
            whole.save(&mut state).unwrap();
            train(&mut whole, 4);
            let mut resumed = trainer(untied, 0.3);
            resumed.restore(&mut state.as_slice()).unwrap();
            train(&mut resumed, 4);
            for (found, expected) in resumed.rows().iter().zip(whole.rows().iter()) {
                assert!((found - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn vectors_of_another_size_are_refused() {
        let mut trainer = trainer(false, 0.0);
        let features = |items: usize, numbers: usize| TextFeatures {
            vectors: vec![0.0; numbers],
            width: 2,
            known: vec![true; items],
            id_dropout: 0.0,
        };
        assert!(matches!(trainer.set_text(features(11, 22)), Err(ModelError::Length { .. })));
        assert!(matches!(trainer.set_text(features(12, 23)), Err(ModelError::Length { .. })));
    }
}
