use std::fmt;

use serde::de::IgnoredAny;

use super::{Source, delimited::Dialect};
use crate::DatasetError;

/// The types that a column of `RecBole`'s atomic files can have.
const RECBOLE_TYPES: [&str; 4] = ["token", "token_seq", "float", "float_seq"];

/// Delimiters that are tried. Of several, the one with the most fields wins, then the first.
const DELIMITERS: [u8; 4] = *b",\t;|";

/// How a file is written.
pub(super) enum Format {
    /// Rows of fields.
    Delimited(Dialect),
    /// `RecBole`'s atomic files: tabs without quotes, and columns as `name:type`.
    Recbole,
    /// One JSON object per line.
    JsonLines,
    /// An array of JSON objects, or objects that take several lines.
    JsonObjects,
    /// Apache Parquet.
    Parquet,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delimited(dialect) if dialect.described > 0 => "tab-separated, of Orange",
            Self::Delimited(dialect) => match dialect.delimiter {
                b'\t' => "tab-separated",
                b';' => "semicolon-separated",
                b'|' => "separated by |",
                _ => "comma-separated",
            },
            Self::Recbole => "RecBole atomic file",
            Self::JsonLines => "JSON lines",
            Self::JsonObjects => "JSON",
            Self::Parquet => "Parquet",
        })
    }
}

/// The format of a file by its first bytes.
pub(super) fn format(source: &Source) -> Result<Format, DatasetError> {
    if source.head().starts_with(b"PAR1") {
        return Ok(Format::Parquet);
    }
    let head = String::from_utf8_lossy(source.head());
    let text = head.trim_start();
    if text.is_empty() {
        return Err(DatasetError::input(source.path(), "is empty"));
    }
    if let Some(found) = no_table(text) {
        return Err(DatasetError::input(source.path(), format!("is not a table: {found}")));
    }
    let first_line = text.lines().next().unwrap_or_default();
    if text.starts_with('[') {
        return Ok(Format::JsonObjects);
    }
    if text.starts_with('{') {
        let alone = serde_json::from_str::<IgnoredAny>(first_line).is_ok();
        // A broken first line is a broken line if the second is a whole object.
        let second = text.lines().nth(1).unwrap_or_default();
        let next_is_whole =
            second.starts_with('{') && serde_json::from_str::<IgnoredAny>(second).is_ok();
        return Ok(if alone || next_is_whole { Format::JsonLines } else { Format::JsonObjects });
    }
    let is_typed = |column: &str| {
        column.split_once(':').is_some_and(|(_, kind)| RECBOLE_TYPES.contains(&kind.trim()))
    };
    if first_line.split('\t').all(is_typed) {
        return Ok(Format::Recbole);
    }
    Ok(Format::Delimited(dialect(text)))
}

/// How a file begins that is no table: a page, or binary content.
fn no_table(text: &str) -> Option<String> {
    const PAGES: [&str; 4] = ["<!doctype", "<html", "<head", "<?xml"];
    let start: String = text.chars().take(9).collect::<String>().to_ascii_lowercase();
    if PAGES.iter().any(|page| start.starts_with(page)) {
        let start: String = text.chars().take_while(|it| !it.is_control()).take(20).collect();
        return Some(format!("starts with {start:?}; it is a page or XML, not the data itself"));
    }
    let start: String = text.chars().take(16).collect();
    let is_binary = |letter: char| letter.is_ascii_control() && !letter.is_ascii_whitespace();
    start
        .contains(is_binary)
        .then(|| format!("starts with {start:?}, which is no text; give CSV, JSON or Parquet"))
}

/// Delimiter and quoting of rows of fields.
fn dialect(text: &str) -> Dialect {
    // Excel writes its delimiter into the first line.
    let named = text.lines().next().and_then(|line| line.trim_end().strip_prefix("sep="));
    if let Some(&[delimiter]) = named.map(str::as_bytes) {
        return Dialect { delimiter, quotes: true, first_line: 2, described: 0 };
    }
    let header = text.lines().next().unwrap_or_default();
    let fields = |delimiter: u8| fields_outside_quotes(header, delimiter);
    // The last of equal maxima is returned, hence the reversed order.
    let delimiter = DELIMITERS.into_iter().rev().max_by_key(|it| fields(*it)).unwrap_or(b',');
    let quotes = delimiter != b'\t' || tabs_have_quotes(text);
    let described = if delimiter == b'\t' && is_of_orange(text) { 2 } else { 0 };
    Dialect { delimiter, quotes, first_line: 1, described }
}

/// Whether a tab-separated file is one of Orange's, whose second line has the types of the columns
/// and whose third line says what they are for.
fn is_of_orange(text: &str) -> bool {
    const TYPES: [&str; 9] =
        ["c", "continuous", "d", "discrete", "s", "string", "t", "time", "basket"];
    const USES: [&str; 5] = ["", "class", "meta", "ignore", "weight"];
    let mut lines = text.lines();
    let (Some(header), Some(types), Some(uses)) = (lines.next(), lines.next(), lines.next()) else {
        return false;
    };
    let fields = |line: &str| line.split('\t').count();
    fields(header) == fields(types)
        && types.split('\t').all(|it| TYPES.contains(&it.trim()))
        && uses.split('\t').all(|it| USES.contains(&it.trim()) || it.contains('='))
}

fn fields_outside_quotes(line: &str, delimiter: u8) -> usize {
    let mut quoted = false;
    let mut fields = 1;
    for byte in line.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            byte if byte == delimiter && !quoted => fields += 1,
            _ => {}
        }
    }
    fields
}

/// Whether quotes around fields of a tab-separated text are quotes. In most such files, a quote
/// is a character like any other.
fn tabs_have_quotes(text: &str) -> bool {
    let mut fields =
        text.lines().take(1_000).flat_map(|line| line.split('\t')).filter(|f| f.starts_with('"'));
    let is_closed = |field: &str| field.len() > 1 && field.ends_with('"');
    fields.next().is_some_and(is_closed) && fields.all(is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_orange_that_describe_columns_are_no_rows() {
        let described = |text: &str| dialect(text).described;
        assert_eq!(described("user\tmovie\tscore\nc\tc\tc\nrow=1\tcol=1\tclass\n1\t1\t2\n"), 2);
        assert_eq!(described("user\titem\nstring\tdiscrete\n\tmeta\nu\ta\n"), 2);
        // Short names are no types.
        assert_eq!(described("user\titem\nc\td\nd\tc\n"), 0);
        assert_eq!(described("user\titem\n1\t2\n1\t3\n"), 0);
        assert_eq!(described("user,item\nc,c\n,\n"), 0);
    }

    #[test]
    fn delimiters_and_quotes_are_detected() {
        let found = |text: &str| {
            let dialect = dialect(text);
            (char::from(dialect.delimiter), dialect.quotes, dialect.first_line)
        };
        assert_eq!(found("user,item\n"), (',', true, 1));
        assert_eq!(found("user;item;\"a,b,c,d\"\n"), (';', true, 1));
        assert_eq!(found("user|item|time\n"), ('|', true, 1));
        assert_eq!(found("user\titem\n1\t\"A\" thing\n"), ('\t', false, 1));
        assert_eq!(found("user\titem\n1\t\"A thing\"\n"), ('\t', true, 1));
        assert_eq!(found("sep=;\nuser;item\n"), (';', true, 2));
        assert_eq!(found("item\n"), (',', true, 1));
    }
}
