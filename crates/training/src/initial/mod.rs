//! Initial item rows: from co-occurrence in the log or from embeddings of titles.

mod co_occurrence;
mod gram;
mod projection;

pub use co_occurrence::co_occurrence_rows;
pub use projection::{Ridge, principal_components};
