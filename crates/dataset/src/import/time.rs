//! Times as numbers and as text.

use std::fmt;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub(super) const SECOND: i64 = 1_000_000;

/// Numbers from here on are no times, also not in nanoseconds.
const LIMIT: f64 = 1e20;

/// How a time is written. A column has one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TimeKind {
    /// Numbers below 10^11, in any magnitude that people count seconds or positions in.
    Seconds,
    /// Numbers from 10^11.
    Milliseconds,
    /// Numbers from 10^14.
    Microseconds,
    /// Numbers from 10^17.
    Nanoseconds,
    /// Dates in words, or of a typed column.
    Date,
}

impl TimeKind {
    pub(super) const ALL: [Self; 5] =
        [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds, Self::Date];
}

impl fmt::Display for TimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
            Self::Date => "dates",
        })
    }
}

/// A time in microseconds since 1970-01-01 UTC, and how it was written. `format` is a format of
/// `strptime`, which replaces all others.
pub(super) fn parse(text: &str, format: Option<&str>) -> Option<(i64, TimeKind)> {
    if let Some(format) = format {
        return parse_as(text, format).map(|time| (time, TimeKind::Date));
    }
    if text.bytes().any(|byte| byte.is_ascii_digit())
        && let Ok(whole) = text.parse::<i64>()
    {
        let date = compact_date(text).map(|time| (time, TimeKind::Date));
        return Some(date.unwrap_or_else(|| of_number(whole)));
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_fraction(number);
    }
    parse_date(text).map(|time| (time, TimeKind::Date))
}

/// A date of 14 digits, `20240501100000`, from 1990 to 2099. As milliseconds, such a number would
/// be a time after the year 2600.
fn compact_date(text: &str) -> Option<i64> {
    if text.len() != 14 || !(text.starts_with("19") || text.starts_with("20")) {
        return None;
    }
    let parts = jiff::fmt::strtime::parse("%Y%m%d%H%M%S", text).ok()?;
    let time = parts.to_datetime().ok()?;
    civil((1990..2100).contains(&time.year()).then_some(time)?)
}

/// The beginning of a day that is written as a number of eight digits, `20240501`, from 1900 to
/// 2100. `time` is what [`parse`] makes of the number.
pub(super) fn compact_day(time: i64) -> Option<i64> {
    let number = time / SECOND;
    if time % SECOND != 0 || !(19_000_101..=21_001_231).contains(&number) {
        return None;
    }
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    let day = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    civil(day.at(0, 0, 0, 0))
}

fn of_number(number: i64) -> (i64, TimeKind) {
    match number.unsigned_abs() {
        0..100_000_000_000 => (number * SECOND, TimeKind::Seconds),
        100_000_000_000..100_000_000_000_000 => (number * 1_000, TimeKind::Milliseconds),
        100_000_000_000_000..100_000_000_000_000_000 => (number, TimeKind::Microseconds),
        _ => (number.div_euclid(1_000), TimeKind::Nanoseconds),
    }
}

fn of_fraction(number: f64) -> Option<(i64, TimeKind)> {
    if !number.is_finite() || number.abs() >= LIMIT {
        return None;
    }
    let (factor, kind) = match number.abs() {
        size if size < 1e11 => (1e6, TimeKind::Seconds),
        size if size < 1e14 => (1e3, TimeKind::Milliseconds),
        size if size < 1e17 => (1.0, TimeKind::Microseconds),
        _ => (1e-3, TimeKind::Nanoseconds),
    };
    // The whole part is exact; only the fraction is rounded.
    let whole = number.floor();
    Some(((whole * factor) as i64 + ((number - whole) * factor) as i64, kind))
}

/// A date with or without a time of day and a zone; without a zone it is UTC.
fn parse_date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let starts_with_digit = bytes.first().is_some_and(u8::is_ascii_digit);
    if !starts_with_digit {
        // `Mon, 01 Jan 2024 10:00:00 GMT`
        let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        return Some(zoned.as_microsecond());
    }
    let text = ["UTC", "GMT"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
    let slashes;
    let text = if bytes.get(4) == Some(&b'/') {
        slashes = text.replacen('/', "-", 2);
        slashes.trim_end()
    } else {
        text.trim_end()
    };
    let has_zone = text.ends_with(['Z', 'z'])
        || text.get(10..).is_some_and(|rest| rest.contains(['+', '-']) || rest.ends_with(']'));
    if has_zone {
        // A space before the offset, as in `2024-05-01 10:00:00 +0200`.
        let offset = text.rfind(" +").or_else(|| text.rfind(" -"));
        let joined = offset.map(|at| format!("{}{}", &text[..at], &text[at + 1..]));
        let text = joined.as_deref().unwrap_or(text);
        return text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond);
    }
    civil(text.parse().ok()?)
}

fn parse_as(text: &str, format: &str) -> Option<i64> {
    let parts = jiff::fmt::strtime::parse(format, text).ok()?;
    if let Ok(time) = parts.to_timestamp() {
        return Some(time.as_microsecond());
    }
    if let Ok(time) = parts.to_datetime() {
        return civil(time);
    }
    civil(parts.to_date().ok()?.at(0, 0, 0, 0))
}

fn civil(time: DateTime) -> Option<i64> {
    TimeZone::UTC.to_timestamp(time).ok().map(Timestamp::as_microsecond)
}

/// Whether a text of any column is probably a time: a date in words or digits, also in a format
/// that is not read without being named, or a number of the years 2000 to 2040.
pub(super) fn is_likely(text: &str) -> bool {
    match parse(text, None) {
        Some((_, TimeKind::Date)) => true,
        Some((time, TimeKind::Seconds | TimeKind::Milliseconds)) => {
            (946_684_800 * SECOND..2_208_988_800 * SECOND).contains(&time)
        }
        Some(_) => false,
        None => is_day_month_year(text),
    }
}

/// Whether a text begins as `1.5.2024`, `01/05/2024` or `01-05-24`.
fn is_day_month_year(text: &str) -> bool {
    let date = text.split([' ', 'T', ',']).next().unwrap_or_default();
    ['.', '/', '-'].iter().any(|separator| {
        let parts: Vec<&str> = date.split(*separator).collect();
        let is_number = |text: &str, digits: &[usize]| {
            digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        matches!(parts[..], [first, second, year]
            if is_number(first, &[1, 2]) && is_number(second, &[1, 2]) && is_number(year, &[2, 4]))
    })
}

/// A time in microseconds, for people.
pub(super) fn display(time: i64) -> String {
    let second = time.div_euclid(SECOND);
    match Timestamp::from_second(second) {
        Ok(time) => time.to_string(),
        Err(_) => second.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_apart_by_their_size() {
        let parse = |text| parse(text, None);
        assert_eq!(parse("881250949"), Some((881_250_949_000_000, TimeKind::Seconds)));
        assert_eq!(parse("8.81250949E8"), Some((881_250_949_000_000, TimeKind::Seconds)));
        assert_eq!(parse("-1.5"), Some((-1_500_000, TimeKind::Seconds)));
        assert_eq!(parse("1700000000.25"), Some((1_700_000_000_250_000, TimeKind::Seconds)));
        assert_eq!(parse("1700000000123"), Some((1_700_000_000_123_000, TimeKind::Milliseconds)));
        assert_eq!(
            parse("1700000000123456"),
            Some((1_700_000_000_123_456, TimeKind::Microseconds))
        );
        assert_eq!(
            parse("1700000000123456789"),
            Some((1_700_000_000_123_456, TimeKind::Nanoseconds))
        );
        // No month 13, so no date.
        let (_, kind) = parse("20241301100000").unwrap();
        assert_eq!(kind, TimeKind::Milliseconds);
        for text in ["", "NaN", "inf", "1e300", "yesterday", "12:30"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_read_with_and_without_a_zone() {
        // date -u -d '2024-05-01 10:00:00' +%s
        const TEN: i64 = 1_714_557_600 * SECOND;
        for text in [
            "2024-05-01T10:00:00Z",
            "20240501100000",
            "2024-05-01T10:00:00",
            "2024-05-01 10:00:00",
            "2024-05-01 10:00",
            "2024-05-01 10:00:00 UTC",
            "2024-05-01T12:00:00+02:00",
            "2024-05-01 12:00:00+0200",
            "2024-05-01 12:00:00 +0200",
            "2024-05-01 12:00:00+02",
            "2024-05-01T05:00:00-05:00",
            "2024/05/01 10:00:00",
            "20240501T100000Z",
            "Wed, 01 May 2024 10:00:00 GMT",
        ] {
            assert_eq!(parse(text, None), Some((TEN, TimeKind::Date)), "{text}");
        }
        let fraction = parse("2024-05-01 10:00:00.123456", None).unwrap().0;
        assert_eq!(fraction, TEN + 123_456);
        assert_eq!(parse("2024-05-01", None).unwrap().0, TEN - 36_000 * SECOND);
        for text in ["01/05/2024", "2024-13-01", "2024-05-01 25:00", "May"] {
            assert_eq!(parse(text, None), None, "{text}");
        }
    }

    #[test]
    fn days_of_eight_digits_are_dates() {
        let day = |number: i64| compact_day(number * SECOND);
        assert_eq!(day(20_240_501), parse("2024-05-01", None).map(|(time, _)| time));
        assert!(day(19_000_101).is_some() && day(21_001_231).is_some());
        for number in [18_991_231, 21_010_101, 20_241_301, 20_240_230, 20_240_100, 5] {
            assert_eq!(day(number), None, "{number}");
        }
        assert_eq!(compact_day(20_240_501 * SECOND + 1), None);
    }

    #[test]
    fn texts_that_are_probably_times_are_told_from_others() {
        for text in [
            "2024-05-01",
            "01.05.2024 10:00",
            "5/1/2024",
            "01-05-24",
            "1714557600",
            "1714557600000",
            "1714557600.5",
        ] {
            assert!(is_likely(text), "{text}");
        }
        for text in ["5", "20240", "9.99", "1.2.3", "192.168.0.1", "red", "", "4006381333931"] {
            assert!(!is_likely(text), "{text}");
        }
    }

    #[test]
    fn a_format_is_obeyed() {
        let ten = parse("2010-12-01 08:26", None).unwrap();
        assert_eq!(parse("12/1/2010 8:26", Some("%m/%d/%Y %H:%M")), Some(ten));
        assert_eq!(parse("1.12.2010", Some("%d.%m.%Y")), parse("2010-12-01", None));
        assert_eq!(parse("2010-12-01", Some("%d.%m.%Y")), None);
        assert_eq!(parse("01/Dec/2010:10:26:00 +0200", Some("%d/%b/%Y:%H:%M:%S %z")), Some(ten));
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(display(1_700_000_000_999_999), "2023-11-14T22:13:20Z");
        assert_eq!(display(i64::MIN), "-9223372036855");
    }
}
