use std::{path::Path, sync::Arc};

use tandem_dataset::{Catalogue, ItemIndex};

use super::{model::Model, options::LoadOptions, validation::check_weights};
use crate::{GeneratorError, Query, gguf::Metadata};

/// Maximum number of tokens that are evaluated for a trial list.
const TRIAL_TOKENS: usize = 64;
/// Number of history items and of candidates of the trial lists.
const TRIAL_ITEMS: usize = 10;

/// Tries a GGUF file: reads all its weights, loads it for the catalogue as [`Model::load`] does,
/// and makes two short lists.
///
/// llama.cpp aborts the process on some files that no check finds. Call this in a process that
/// may end, before the file is loaded in one that serves others.
///
/// # Errors
/// As [`Model::load`]; [`GeneratorError::Unsupported`] or [`GeneratorError::NotFinite`] if weights
/// or results are not finite; and [`GeneratorError::Evaluate`] if llama.cpp cannot make a list.
pub fn try_model(
    gguf: &Path,
    catalogue: &Arc<Catalogue>,
    options: &LoadOptions,
) -> Result<(), GeneratorError> {
    check_weights(gguf, &Metadata::read(gguf)?)?;
    let options = LoadOptions {
        // Costs as much as several lists and calls nothing that a list does not.
        unconditional_histories: 0,
        decode_tokens: options.decode_tokens.min(TRIAL_TOKENS),
        ..options.clone()
    };
    let model = Model::load_unhashed(gguf, Arc::clone(catalogue), &options)?;
    let mut generator = model.generator()?;
    let items = catalogue.len().min(TRIAL_ITEMS) as u32;
    let history: Vec<ItemIndex> = (0..items).map(ItemIndex).collect();
    // The second list continues the prompt of the first.
    for length in [1, history.len()] {
        let history = &history[..length.min(history.len())];
        generator.generate(&Query {
            history,
            exclude: &[],
            only: None,
            added: None,
            k: TRIAL_ITEMS,
        })?;
    }
    Ok(())
}
