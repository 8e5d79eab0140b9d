//! Parsers and headings of command-line options. A refused value ends the command before any
//! work; clap adds the name of the option to the message.

/// Heading of the options that name files.
pub(crate) const FILES: &str = "Input and output";
/// Heading of the options that most runs set.
pub(crate) const BASIC: &str = "Basic";
/// Heading of the options that tune a run.
pub(crate) const ADVANCED: &str = "Advanced";
/// Heading of the options that reproduce experiments.
pub(crate) const RESEARCH: &str = "Research";

/// Longest time that can be given, in minutes: ten years.
const MAX_MINUTES: f64 = 5_256_000.0;

/// Smallest limit for the size of a cell, in bytes.
const MIN_CELL_BYTES: usize = 1_024;

/// A value outside the range of its option.
#[derive(Debug, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct InvalidValue(&'static str);

/// A whole number of at least 1.
pub(crate) fn positive(text: &str) -> Result<usize, InvalidValue> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(InvalidValue("a whole number of at least 1"))
}

/// A whole number of at least 1, in 32 bits.
pub(crate) fn positive_u32(text: &str) -> Result<u32, InvalidValue> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(InvalidValue("a whole number from 1 to 4294967295"))
}

/// The maximum size of a cell in bytes: at least a few items, else the index is larger than the
/// cells.
pub(crate) fn cell_bytes(text: &str) -> Result<usize, InvalidValue> {
    let bytes = text.parse().ok().filter(|bytes| *bytes >= MIN_CELL_BYTES);
    bytes.ok_or(InvalidValue(
        "a whole number of at least 1024; with smaller cells, the index is larger than the cells",
    ))
}

/// Minutes from 0 to ten years.
pub(crate) fn minutes(text: &str) -> Result<f64, InvalidValue> {
    number(text, |minutes| (0.0..=MAX_MINUTES).contains(&minutes))
        .ok_or(InvalidValue("a number of minutes from 0 to 5256000, which is ten years"))
}

/// A share from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, InvalidValue> {
    number(text, |share| (0.0..=1.0).contains(&share))
        .ok_or(InvalidValue("a share from 0 to 1, for example 0.1"))
}

/// A finite number above 0.
pub(crate) fn above_zero(text: &str) -> Result<f64, InvalidValue> {
    number(text, |number| number > 0.0).ok_or(InvalidValue("a finite number above 0"))
}

/// A finite number of at least 0, in single precision.
pub(crate) fn zero_or_more_f32(text: &str) -> Result<f32, InvalidValue> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite() && *number >= 0.0);
    number.ok_or(InvalidValue("a finite number of at least 0"))
}

fn number(text: &str, accepted: impl Fn(f64) -> bool) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && accepted(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_the_range_are_refused() {
        assert_eq!(positive("3").unwrap(), 3);
        assert!(["0", "-1", "1.5", "x", ""].iter().all(|text| positive(text).is_err()));
        assert!(["0", "4294967296"].iter().all(|text| positive_u32(text).is_err()));
        assert!(["0", "2.5", "5256000"].iter().all(|text| minutes(text).is_ok()));
        assert!(["inf", "nan", "-1", "1e300"].iter().all(|text| minutes(text).is_err()));
        assert!(["0", "1", "0.1"].iter().all(|text| share(text).is_ok()));
        assert!(["10", "-0.1", "nan"].iter().all(|text| share(text).is_err()));
        assert!(above_zero("1e-3").is_ok() && above_zero("0").is_err());
        assert_eq!(cell_bytes("1024").unwrap(), 1024);
        assert!(["1023", "10", "-1", "x"].iter().all(|text| cell_bytes(text).is_err()));
        assert!(zero_or_more_f32("0.01").is_ok() && zero_or_more_f32("inf").is_err());
    }
}
