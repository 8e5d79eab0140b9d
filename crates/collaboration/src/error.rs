use thiserror::Error;

/// What callers of this crate can get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum CollaborationError {
    /// Two slices that describe one list have different lengths.
    #[error(
        "both models must score the same list: expected {expected} scores, found {found}; \
         score every candidate once"
    )]
    LengthMismatch {
        /// Length of the first slice.
        expected: usize,
        /// Length of the second.
        found: usize,
    },
    /// An order does not name every position once.
    #[error(
        "expected an order of the positions 0 to {length} (exclusive), each once; \
         entry {entry} is {found}; make orders with order_descending"
    )]
    NotAPermutation {
        /// Length of the order.
        length: usize,
        /// Where in the order the fault is.
        entry: usize,
        /// What stands there: out of range, or named before.
        found: usize,
    },
    /// A parameter of a rule, as read from a manifest, makes no sense.
    #[error("{parameter} must be {expected}, found {found}; correct it in the manifest")]
    InvalidParameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was given.
        found: f64,
    },
}

/// Refuses a parameter outside `low..=high` (`NaN` included).
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
