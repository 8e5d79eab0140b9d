use thiserror::Error;

/// Errors of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum CollaborationError {
    /// Two slices that describe one list differ in length.
    #[error(
        "expected {expected} scores, found {found}: both models must score the same list; \
         pass one score per item"
    )]
    LengthMismatch {
        /// Length of the first slice, or the least length allowed.
        expected: usize,
        /// Length of the second.
        found: usize,
    },
    /// An order does not hold every position exactly once.
    #[error(
        "expected each position from 0 to {length} (exclusive) exactly once, but entry {entry} \
         is {found}; compute orders with order_descending"
    )]
    NotAPermutation {
        /// Length of the order.
        length: usize,
        /// Index of the wrong entry.
        entry: usize,
        /// Its value, which is out of range or repeated.
        found: usize,
    },
    /// A parameter, for example from a manifest, is out of range.
    #[error("{parameter} must be {expected}, found {found}; correct it in the manifest")]
    InvalidParameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// The allowed values.
        expected: &'static str,
        /// The value found.
        found: f64,
    },
}

/// Refuses a parameter outside `low..=high`, including `NaN`.
pub(crate) fn check_range(
    parameter: &'static str,
    value: f64,
    low: f64,
    high: f64,
    expected: &'static str,
) -> Result<(), CollaborationError> {
    if value >= low && value <= high {
        Ok(())
    } else {
        Err(CollaborationError::InvalidParameter { parameter, expected, found: value })
    }
}
