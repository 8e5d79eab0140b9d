//! Ranking signals beside the language model: co-occurrence counts, the similarity of texts and a
//! small model, combined with the log-probabilities of an item-token model in one score for the whole
//! catalogue.
//!
//! For a history `h`, every item `i` gets
//!
//! ```text
//! score(i) = temperature · (a·z(lm(i)) + b·z(counts(i)) + c·z(text(i)) + d·z(small(i)))
//! ```
//!
//! where `lm` are the logits of the language model, `counts` the score of a
//! [`CountTable`], `small` the score of the small model with the 8-bit rows that devices have, and
//! `text` the dot product of the item's
//! text vector with the mean of the newest ten items' vectors, weighted by 0.7 to the power of
//! their age. `z` subtracts the mean over the catalogue and divides by the standard deviation, so
//! that weights mean the same for every history. Log-probabilities are the softmax of the scores
//! over the items that remain.
//!
//! An item that was [added](crate::added_items) after the training has no token and no row. Its
//! logit and its score of the small model are the weighted means of those of the known items with
//! the most similar texts, its text is its own, and its counts are its own plus a share of its
//! neighbours'. Means and standard deviations are those of the catalogue.
//!
//! The weights are fitted on validation targets (`tandem fit-signals`) and stored in a folder with
//! the vectors, the counts and the small model.

mod folder;
mod scores;
mod small_model;
mod text;

use std::{
    path::PathBuf,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

pub use folder::{FILES, SignalParts, SignalsInfo, TEXT_FILE};
pub(crate) use scores::ROUNDING;
pub use scores::{FusedScores, ScoredHistory, standard_deviation};
use serde::{Deserialize, Serialize};
pub use small_model::SmallModelTable;
use tandem_dataset::{Catalogue, ItemIndex, counts::CountTable, text_vectors::TextVectors};
pub use text::TextTable;

use crate::GeneratorError;

/// Share of the neighbours' counts that an added item has beside its own.
pub(crate) const COUNTS_OF_NEIGHBOURS: f32 = 0.5;

/// Weights of the standardised signals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalWeights {
    /// Of the language model's logits.
    pub language_model: f32,
    /// Of the co-occurrence counts.
    pub counts: f32,
    /// Of the similarity of texts.
    pub text: f32,
    /// Of the small model.
    #[serde(default)]
    pub small_model: f32,
    /// Factor of the sum, which makes its softmax a calibrated probability.
    pub temperature: f32,
}

impl SignalWeights {
    /// Whether all weights are finite, none is negative and the sum is not zero.
    #[must_use]
    pub fn are_valid(&self) -> bool {
        let weights = [self.language_model, self.counts, self.text, self.small_model];
        weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)
            && weights.iter().sum::<f32>() > 0.0
            && self.temperature.is_finite()
            && self.temperature > 0.0
    }
}

/// The signals of a catalogue. Counts can be updated while lists are made.
#[derive(Debug)]
pub struct RankingSignals {
    weights: SignalWeights,
    text: Option<TextTable>,
    counts: Option<RwLock<CountTable>>,
    /// The file of the counts as they were trained.
    counts_file: Option<PathBuf>,
    small_model: Option<SmallModelTable>,
    /// The language model that the weights were fitted for, if they are from a folder.
    language_model_sha256: Option<String>,
}

impl RankingSignals {
    /// Signals with these weights. A signal that is missing adds nothing.
    #[must_use]
    pub fn new(
        weights: SignalWeights,
        text: Option<&TextVectors>,
        counts: Option<CountTable>,
    ) -> Self {
        let (text, counts) = (text.map(TextTable::new), counts.map(RwLock::new));
        Self {
            weights,
            text,
            counts,
            counts_file: None,
            small_model: None,
            language_model_sha256: None,
        }
    }

    /// The same signals and a small model.
    #[must_use]
    pub fn with_small_model(mut self, small_model: SmallModelTable) -> Self {
        self.small_model = Some(small_model);
        self
    }

    /// Fails if the weights were fitted for another language model.
    ///
    /// # Errors
    /// [`GeneratorError::OtherSignals`].
    pub fn check_language_model(&self, sha256: &str) -> Result<(), GeneratorError> {
        match &self.language_model_sha256 {
            Some(expected) if expected != sha256 => Err(GeneratorError::OtherSignals {
                expected: expected.clone(),
                found: sha256.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> SignalWeights {
        self.weights
    }

    /// The text vectors, if there are any.
    #[must_use]
    pub fn text(&self) -> Option<&TextTable> {
        self.text.as_ref()
    }

    /// The small model, if there is one.
    #[must_use]
    pub fn small_model(&self) -> Option<&SmallModelTable> {
        self.small_model.as_ref()
    }

    /// The counts as they are now, if there are any.
    pub fn counts(&self) -> Option<RwLockReadGuard<'_, CountTable>> {
        Some(self.counts.as_ref()?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn counts_mut(&self) -> Option<RwLockWriteGuard<'_, CountTable>> {
        Some(self.counts.as_ref()?.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The counts as they were trained, without what was counted since: read from their file again.
    /// `None` if they are from no file. Blocks.
    ///
    /// # Errors
    /// [`GeneratorError::Signals`] if the file cannot be read, or is of another catalogue by now.
    pub fn trained_counts(
        &self,
        catalogue: &Catalogue,
    ) -> Result<Option<CountTable>, GeneratorError> {
        let Some(path) = &self.counts_file else { return Ok(None) };
        CountTable::read(catalogue, path).map(Some).map_err(|error| GeneratorError::Signals {
            path: path.clone(),
            message: error.to_string(),
        })
    }

    /// Replaces the counts. Does nothing without counts.
    pub fn replace_counts(&self, counts: CountTable) {
        if let Some(mut current) = self.counts_mut() {
            *current = counts;
        }
    }

    /// Counts one event; see [`CountTable::add`].
    pub fn count(&self, before: &[ItemIndex], item: ItemIndex, time: i64) {
        if let Some(mut counts) = self.counts_mut() {
            counts.add(before, item, time);
        }
    }
}
