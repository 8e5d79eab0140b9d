use futures_lite::future::block_on;
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_model::{Checkpoint, ModelError, Scorer};

use super::text::padded_rows;
use crate::{GeneratorError, products::dot};

/// A small model that scores a whole catalogue with the 8-bit rows that devices have.
#[derive(Debug)]
pub struct SmallModelTable {
    scorer: Scorer,
    dims: usize,
    /// Numbers of a row, which is padded for the dot products.
    width: usize,
    /// `[items, width]`
    rows: Vec<f32>,
}

impl SmallModelTable {
    /// The model of a checkpoint, which must be of this catalogue.
    ///
    /// # Errors
    /// [`GeneratorError::SmallModel`] if it is of another catalogue, damaged, or of a kind that
    /// does not score by a dot product (DIN).
    pub fn new(checkpoint: &Checkpoint, catalogue: &Catalogue) -> Result<Self, GeneratorError> {
        let refused = GeneratorError::SmallModel;
        if checkpoint.catalogue_hash != catalogue.hash()
            || checkpoint.items.len() != catalogue.len()
        {
            return Err(refused(format!(
                "expected a small model of catalogue {} with {} items, found one of {} with {}",
                catalogue.hash(),
                catalogue.len(),
                checkpoint.catalogue_hash,
                checkpoint.items.len()
            )));
        }
        let to_error = |error: ModelError| refused(error.to_string());
        let scorer = checkpoint.scorer().map_err(to_error)?;
        let dims = checkpoint.items.dims();
        let values = checkpoint.items.values().map_err(to_error)?;
        let (width, rows) = padded_rows(&values, dims);
        let table = Self { scorer, dims, width, rows };
        // One row tells whether the model has a vector for a visitor.
        if !table.rows.is_empty() && table.user(&[ItemIndex(0)]).map_err(to_error)?.is_none() {
            return Err(refused(
                "expected a model that scores items by a dot product (SASRec or GRU4Rec), found DIN"
                    .to_owned(),
            ));
        }
        Ok(table)
    }

    /// Writes the score of every item after a history, oldest first, to `scores` `[items]`.
    /// Returns `false`, and leaves `scores` as they are, for an empty history.
    ///
    /// # Panics
    /// If the history has an item outside the catalogue.
    pub fn scores(&self, history: &[ItemIndex], scores: &mut Vec<f32>) -> bool {
        let Some(user) = self.visitor(history) else { return false };
        scores.clear();
        scores.extend(self.rows.chunks_exact(self.width).map(|row| dot(row, &user)));
        true
    }

    /// The vector of a history, `[width]`, whose dot products with rows are the scores; `None` for
    /// an empty history.
    pub(crate) fn visitor(&self, history: &[ItemIndex]) -> Option<Vec<f32>> {
        self.user(history).ok().flatten()
    }

    /// Numbers of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The row of an item of the catalogue, `[width]`.
    pub(crate) fn row(&self, item: usize) -> &[f32] {
        &self.rows[item * self.width..(item + 1) * self.width]
    }

    /// The visitor's vector `[width]`; `None` for a model that has none.
    fn user(&self, history: &[ItemIndex]) -> Result<Option<Vec<f32>>, ModelError> {
        let newest = history.len().saturating_sub(self.scorer.config().max_length);
        let mut rows = Vec::with_capacity((history.len() - newest) * self.dims);
        for item in &history[newest..] {
            rows.extend_from_slice(&self.rows[item.position() * self.width..][..self.dims]);
        }
        // On the host, the result is ready at once.
        let encoded = block_on(self.scorer.encode(&rows))?;
        Ok(encoded.user().embedding().map(|embedding| {
            let mut user = embedding.to_vec();
            user.resize(self.width, 0.0);
            user
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tandem_dataset::Item;
    use tandem_model::{Body, Device, ItemTable};
    use tandem_protocol::{ModelConfig, ModelKind};

    use super::*;

    fn catalogue(items: usize) -> Catalogue {
        let ids = (0..items).map(|at| format!("i{at}"));
        Catalogue::new(ids.map(|id| Item::untitled(id.as_str().into())).collect()).unwrap()
    }

    fn checkpoint(kind: ModelKind, catalogue: &Catalogue) -> Checkpoint {
        let config = ModelConfig { kind, dims: 8, blocks: 1, heads: 1, max_length: 3 };
        let device = Device::flex();
        device.seed(5);
        let body = Body::new(&config, 0.0, &device).unwrap();
        let rows: Vec<f32> = (0..catalogue.len() * 8).map(|at| (at as f32 * 0.9).sin()).collect();
        Checkpoint {
            body: body.to_bytes(&HashMap::new()).unwrap(),
            items: ItemTable::quantise(&rows, 8).unwrap(),
            catalogue_hash: catalogue.hash().to_owned(),
            left_out: Some(2),
            provenance: String::new(),
            text: None,
            counts: None,
            config,
        }
    }

    #[test]
    fn scores_are_those_of_the_device() {
        let shop = catalogue(5);
        for kind in [ModelKind::Sasrec, ModelKind::Gru4rec] {
            let checkpoint = checkpoint(kind, &shop);
            let table = SmallModelTable::new(&checkpoint, &shop).unwrap();
            let history = [4, 0, 2, 1].map(ItemIndex);
            let mut scores = vec![9.0];
            assert!(table.scores(&history, &mut scores));
            let values = checkpoint.items.values().unwrap();
            let rows: Vec<f32> = history
                .iter()
                .flat_map(|item| values[item.position() * 8..][..8].to_vec())
                .collect();
            let scorer = Scorer::new(&checkpoint.config, &checkpoint.body).unwrap();
            let expected = block_on(scorer.score(&rows, &values)).unwrap();
            assert_eq!(scores.len(), 5);
            for (found, expected) in scores.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
            assert!(!table.scores(&[], &mut scores));
        }
    }

    #[test]
    fn models_of_other_catalogues_and_without_user_vectors_are_refused() {
        let shop = catalogue(5);
        let refusal = |checkpoint: &Checkpoint, catalogue: &Catalogue| {
            SmallModelTable::new(checkpoint, catalogue).unwrap_err().to_string()
        };
        let sasrec = checkpoint(ModelKind::Sasrec, &shop);
        assert!(refusal(&sasrec, &catalogue(6)).contains("with 6 items"));
        assert!(refusal(&checkpoint(ModelKind::Din, &shop), &shop).contains("found DIN"));
        let damaged = Checkpoint { body: vec![1, 2, 3], ..sasrec };
        assert!(refusal(&damaged, &shop).contains("weight file"));
    }
}
