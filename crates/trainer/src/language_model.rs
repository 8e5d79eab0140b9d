//! What the file of a language model says about its training.

use std::path::Path;

use anyhow::Result;
use tandem_generator::gguf::Metadata;

/// Number of newest items of each user that an item-token model was trained without; `None` for a
/// text model, which has not seen the log.
pub(crate) fn left_out(gguf: &Path) -> Result<Option<usize>> {
    let metadata = Metadata::read(gguf)?;
    let held_out = metadata.text("tandem.training.hold_out");
    Ok(held_out.and_then(|text| text.parse().ok()))
}
