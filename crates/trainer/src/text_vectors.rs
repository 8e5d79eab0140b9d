//! Files of text vectors.

use std::path::Path;

use anyhow::Result;
use tandem_dataset::{Catalogue, text_vectors::TextVectors};

use crate::terminal::note;

/// The text vectors of a catalogue. A few texts that have changed since they were embedded are a
/// warning.
///
/// # Errors
/// If the file cannot be read, is of another catalogue, or more than 1 % of the texts have changed.
pub(crate) fn read_text_vectors(path: &Path, catalogue: &Catalogue) -> Result<TextVectors> {
    let vectors = TextVectors::read(path)?;
    vectors.check(catalogue, path)?;
    let found = vectors.check_texts(catalogue, path)?;
    if found.changed > 0 {
        note(format_args!("warning: {}: {found}", path.display()));
    }
    Ok(vectors)
}
