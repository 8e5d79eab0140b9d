//! Rows of CSV by the names of a header.

use std::collections::BTreeMap;

use csv::StringRecord;

use crate::messages::shortened;

/// Separators of cells, the usual one first. Spreadsheets write `;` where a comma separates decimals.
pub(super) const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// The column without which a row is of no use.
const ID: &str = "id";
/// Maximum number of columns in a message.
const SHOWN: usize = 20;

/// The header of a table, and how its rows are written.
#[derive(Debug)]
pub(super) struct Table {
    separator: u8,
    columns: StringRecord,
}

impl Table {
    /// Reads a header, which must have the columns `required`.
    ///
    /// # Errors
    /// If there is a column too few, or one twice.
    pub(super) fn new(header: &[u8], required: &[&str]) -> Result<Self, String> {
        let separator = separator_of(header);
        let columns = trimmed(&record(header, separator)?);
        let has = |name: &str| columns.iter().any(|column| column == name);
        if !required.iter().all(|name| has(name)) {
            return Err(missing(required, &columns, header));
        }
        let twice = columns
            .iter()
            .enumerate()
            .find(|(at, name)| columns.iter().take(*at).any(|earlier| earlier == *name));
        if let Some((_, name)) = twice {
            let name = shortened(name);
            return Err(format!("expected each column once, found `{name}` twice"));
        }
        if has("categories") && has("category") {
            return Err("expected one of the columns `categories` and `category`".to_owned());
        }
        Ok(Self { separator, columns })
    }

    /// The cells of a row by the names of their columns.
    ///
    /// # Errors
    /// If the row has another number of cells than the header.
    pub(super) fn row(&self, text: &[u8]) -> Result<BTreeMap<String, String>, String> {
        let cells = record(text, self.separator)?;
        if self.columns.len() != cells.len() {
            return Err(format!("expected {} cells, found {}", self.columns.len(), cells.len()));
        }
        let cells = self.columns.iter().zip(&cells);
        Ok(cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect())
    }
}

/// The separator with which a header has the column of ids; else that of the most columns.
pub(super) fn separator_of(header: &[u8]) -> u8 {
    let read = |separator: u8| record(header, separator).map(|it| trimmed(&it)).unwrap_or_default();
    let has_id = |separator: &u8| read(*separator).iter().any(|name| name == ID);
    let most = || SEPARATORS.into_iter().rev().max_by_key(|separator| read(*separator).len());
    SEPARATORS.into_iter().find(has_id).or_else(most).unwrap_or(SEPARATORS[0])
}

fn trimmed(record: &StringRecord) -> StringRecord {
    record.iter().map(str::trim).collect()
}

fn record(text: &[u8], separator: u8) -> Result<StringRecord, String> {
    let mut builder = csv::ReaderBuilder::new();
    let mut reader =
        builder.has_headers(false).flexible(true).delimiter(separator).from_reader(text);
    let (mut record, mut rest) = (StringRecord::new(), StringRecord::new());
    reader.read_record(&mut record).map_err(|error| reason(&error))?;
    if reader.read_record(&mut rest).map_err(|error| reason(&error))? {
        return Err("expected lines that end with LF or CRLF, found CR alone".to_owned());
    }
    Ok(record)
}

/// The messages of the parser name the position, which is within the line.
fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "expected UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

fn missing(required: &[&str], columns: &StringRecord, header: &[u8]) -> String {
    if header.trim_ascii_start().first() == Some(&b'{') {
        return "expected a header of CSV, found JSON; send JSON lines as `application/x-ndjson`"
            .to_owned();
    }
    let quoted = |name: &str| format!("`{}`", shortened(name));
    let found: Vec<String> = columns.iter().take(SHOWN).map(quoted).collect();
    let more = if columns.len() > SHOWN { ", …" } else { "" };
    let required: Vec<String> = required.iter().map(|name| quoted(name)).collect();
    let columns = if required.len() == 1 { "column" } else { "columns" };
    let (required, found) = (required.join(" and "), found.join(", "));
    format!("expected a header with the {columns} {required}, found the columns {found}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_that_of_the_column_of_ids() {
        for (header, separator) in [
            ("id", b','),
            ("id,title", b','),
            ("id;title", b';'),
            ("title;id;a,b", b';'),
            ("\"title, long\";id", b';'),
            ("\"a;b\",id", b','),
            ("id\ttitle", b'\t'),
            ("sku;name", b';'),
            ("sku,name", b','),
            ("", b','),
        ] {
            assert_eq!(separator_of(header.as_bytes()), separator, "{header}");
        }
    }

    #[test]
    fn a_wrong_header_is_refused_with_the_columns_that_it_has() {
        let refusal = |header: &str, required: &[&str]| {
            Table::new(header.as_bytes(), required).map(drop).unwrap_err()
        };
        assert_eq!(
            refusal("sku;name", &["id"]),
            "expected a header with the column `id`, found the columns `sku`, `name`"
        );
        assert_eq!(
            refusal("id,in_stock", &["id", "available"]),
            "expected a header with the columns `id` and `available`, found the columns `id`, \
             `in_stock`"
        );
        assert!(refusal("{\"id\":\"a\"}", &["id"]).contains("application/x-ndjson"));
        assert!(refusal("id,category,categories", &["id"]).contains("one of the columns"));
        assert!(refusal("id,title, title", &["id"]).contains("`title` twice"));
        let long = vec!["x".repeat(5_000); 5_000].join(",");
        assert!(refusal(&long, &["id"]).len() < 6_000);
    }
}
