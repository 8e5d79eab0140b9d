//! Parsers and headings of command-line options. A refused value ends the command before any
//! work; clap adds the name of the option to the message.

use std::time::Duration;

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

/// The options of a subcommand from words, as its command line would be parsed.
#[cfg(feature = "llama")]
pub(crate) fn parse<T: clap::Args>(
    words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<T, clap::Error> {
    let command = T::augment_args(clap::Command::new("tandem").no_binary_name(true));
    T::from_arg_matches(&command.try_get_matches_from(words)?)
}

/// A value outside the range of its option.
#[derive(Debug, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct InvalidValue(pub(crate) &'static str);

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

/// A time from one second to ten years: a number with a unit.
pub(crate) fn interval(text: &str) -> Result<Duration, InvalidValue> {
    let invalid = InvalidValue("a number with s, m, h or d, from 1s to 3650d, for example 24h");
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => return Err(invalid),
    };
    let number = text[..text.len() - 1].parse::<u64>().ok();
    let seconds = number.and_then(|number| number.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=3650 * 86_400).contains(seconds))
        .map(Duration::from_secs)
        .ok_or(invalid)
}

/// A number of bytes with a unit.
pub(crate) fn bytes(text: &str) -> Result<u64, InvalidValue> {
    const UNITS: [(&str, f64); 6] = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
    ];
    let found = UNITS.iter().find_map(|(unit, size)| {
        let amount = number(text.strip_suffix(unit)?.trim_end(), |amount| amount > 0.0)?;
        #[allow(clippy::cast_sign_loss, reason = "amounts are not negative")]
        Some((amount * size) as u64)
    });
    found.ok_or(InvalidValue("a number with KB, MB, GB, KiB, MiB or GiB, for example 4GB"))
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

/// A finite number.
pub(crate) fn finite(text: &str) -> Result<f64, InvalidValue> {
    number(text, |_| true).ok_or(InvalidValue("a finite number"))
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
        assert_eq!(interval("24h").unwrap(), Duration::from_hours(24));
        assert_eq!(interval("90s").unwrap(), Duration::from_secs(90));
        assert!(["", "24", "h", "0s", "-1h", "1.5h", "9999d"].iter().all(|t| interval(t).is_err()));
        assert_eq!(bytes("4GB").unwrap(), 4_000_000_000);
        assert_eq!(bytes("1.5 GiB").unwrap(), 1_610_612_736);
        assert!(["4", "GB", "-1GB", "0MB", "nanGB", "4TB"].iter().all(|t| bytes(t).is_err()));
        assert!(["0", "1", "0.1"].iter().all(|text| share(text).is_ok()));
        assert!(["10", "-0.1", "nan"].iter().all(|text| share(text).is_err()));
        assert!(above_zero("1e-3").is_ok() && above_zero("0").is_err());
        assert!(finite("-1.5").is_ok() && finite("nan").is_err());
        assert_eq!(cell_bytes("1024").unwrap(), 1024);
        assert!(["1023", "10", "-1", "x"].iter().all(|text| cell_bytes(text).is_err()));
        assert!(zero_or_more_f32("0.01").is_ok() && zero_or_more_f32("inf").is_err());
    }
}
