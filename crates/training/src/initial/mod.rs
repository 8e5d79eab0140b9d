//! Initial item rows from co-occurrence in the log, and linear maps of vectors.

mod co_occurrence;
mod gram;
mod projection;

pub use co_occurrence::co_occurrence_rows;
pub use projection::{Ridge, principal_axes};
