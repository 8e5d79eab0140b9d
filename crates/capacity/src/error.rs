/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CapacityError {
    /// A number is not in its range.
    #[error("{name}: expected {expected}, found {found}")]
    OutOfRange {
        /// The number.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: f64,
    },
}

/// Checks that `value` is finite and within `range`, which `expected` describes.
pub(crate) fn check(
    name: &'static str,
    value: f64,
    range: std::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), CapacityError> {
    // A NaN is in no range.
    if value.is_finite() && range.contains(&value) {
        return Ok(());
    }
    Err(CapacityError::OutOfRange { name, expected, found: value })
}
