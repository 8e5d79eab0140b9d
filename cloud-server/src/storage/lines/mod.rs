//! Items and availabilities in the lines of a body: JSON or CSV, with errors by line.

mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tandem_protocol::ItemId;
use tandem_storage::{AttributeValue, NewItem};

use crate::messages::{plain_types, shortened};
use table::{SEPARATORS, Table, separator_of};

/// Maximum length of a line in bytes.
const MAX_LINE: usize = 256 << 10;
/// Separates categories in a cell of CSV.
const SEPARATOR: char = '|';
/// The mark that some programs write at the start of a text in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// The marks at the start of a text in UTF-16.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object per line.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// Why a line was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct LineError {
    /// Number of the line, from 1.
    pub(crate) line: u64,
    /// What was expected and found.
    pub(crate) detail: String,
}

/// What a line has made useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The line itself.
    Line(LineError),
    /// All lines from there on, such as a header.
    Rest(LineError),
}

/// A line of the availability of an item.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AvailabilityLine {
    pub(crate) id: ItemId,
    pub(crate) available: bool,
}

/// A place in the cells of CSV (RFC 4180). A quote opens a cell only at its start: in other cells it
/// is text, such as that of inches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a cell.
    Start,
    /// In a cell without quotes, or after the closing quote.
    Plain,
    Quoted,
    /// After a quote in a quoted cell, which closes it or is the first of two.
    Quote,
}

impl Place {
    /// The place after a byte other than a line feed.
    fn after(self, byte: u8, is_separator: bool) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Start | Self::Quote, b'"') => Self::Quoted,
            _ if is_separator => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// Cuts a body that arrives in pieces into lines. A quoted cell of CSV may have line feeds.
#[derive(Debug)]
pub(crate) struct Lines {
    format: Format,
    /// Columns that a header of CSV must have.
    columns: &'static [&'static str],
    buffer: Vec<u8>,
    /// Whether the first bytes have been seen, which may be a mark.
    is_begun: bool,
    /// Bytes of the buffer that were searched.
    searched: usize,
    /// Line feeds in a quoted cell among them, and where in a cell they end.
    feeds: u64,
    place: Place,
    /// Separator of cells, which the header shows.
    separator: Option<u8>,
    /// Whether a quoted cell was open at the end of the body, so that it has all lines after it.
    is_unclosed: bool,
    /// Number of the first line in the buffer.
    number: u64,
    table: Option<Table>,
    /// Whether a line that is not empty was read.
    is_read: bool,
}

/// A line and its number.
pub(crate) type Line = (u64, Vec<u8>);

impl Lines {
    /// Lines of items.
    pub(crate) fn of_items(format: Format) -> Self {
        Self::new(format, &["id"])
    }

    /// Lines of availabilities.
    pub(crate) fn of_availabilities(format: Format) -> Self {
        Self::new(format, &["id", "available"])
    }

    fn new(format: Format, columns: &'static [&'static str]) -> Self {
        Self {
            format,
            columns,
            buffer: Vec::new(),
            is_begun: false,
            searched: 0,
            feeds: 0,
            place: Place::Start,
            separator: None,
            is_unclosed: false,
            number: 1,
            table: None,
            is_read: false,
        }
    }

    /// Adds a piece of the body and returns the lines that are complete.
    ///
    /// A line that is too long is cut; it is refused when it is read.
    ///
    /// # Errors
    /// If the body is not UTF-8; the rest cannot be read.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Line>, LineError> {
        self.buffer.extend_from_slice(piece);
        if !self.is_begun {
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return Ok(Vec::new());
            }
            self.begin()?;
        }
        let mut lines = Vec::new();
        let mut start = 0;
        for at in self.searched..self.buffer.len() {
            match self.buffer[at] {
                b'\n' => {
                    self.feeds += 1;
                    if self.place != Place::Quoted {
                        self.find_separator(start..at);
                        lines.push((self.number, self.buffer[start..at].to_vec()));
                        start = at + 1;
                        self.number += std::mem::take(&mut self.feeds);
                        self.place = Place::Start;
                    }
                }
                byte if self.format == Format::Csv => {
                    let is_separator = self
                        .separator
                        .map_or_else(|| SEPARATORS.contains(&byte), |separator| byte == separator);
                    self.place = self.place.after(byte, is_separator);
                }
                _ => {}
            }
        }
        self.buffer.drain(..start);
        self.buffer.truncate(MAX_LINE + 1);
        self.searched = self.buffer.len();
        Ok(lines)
    }

    /// Looks at the first bytes of the body.
    fn begin(&mut self) -> Result<(), LineError> {
        self.is_begun = true;
        if UTF_16.iter().any(|mark| self.buffer.starts_with(mark)) {
            let detail = "expected UTF-8, found UTF-16; save the file as UTF-8".to_owned();
            return Err(LineError { line: 1, detail });
        }
        if self.buffer.starts_with(BOM) {
            self.buffer.drain(..BOM.len());
        }
        Ok(())
    }

    /// Takes the separator from the header, which is the first line that is not empty.
    fn find_separator(&mut self, line: std::ops::Range<usize>) {
        if self.separator.is_some() || self.format != Format::Csv {
            return;
        }
        let line = &self.buffer[line];
        if !line.iter().all(u8::is_ascii_whitespace) {
            self.separator = Some(separator_of(line));
        }
    }

    /// The last line, if it has no line feed. It is no row if a quoted cell is still open.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.buffer);
        self.is_unclosed = self.place == Place::Quoted;
        (!rest.is_empty()).then_some((self.number, rest))
    }

    /// The item of a line; `None` for an empty line and the header.
    ///
    /// # Errors
    /// If the line is no item that can be stored.
    pub(crate) fn item(&mut self, line: &Line) -> Result<Option<NewItem>, Refusal> {
        let Some(item) = self.read(line, object, item_of)? else { return Ok(None) };
        item.check().map_err(|error| refused(line, error.to_string()))?;
        Ok(Some(item))
    }

    /// The availability of a line; `None` for an empty line and the header.
    ///
    /// # Errors
    /// If the line is none.
    pub(crate) fn availability(
        &mut self,
        line: &Line,
    ) -> Result<Option<AvailabilityLine>, Refusal> {
        self.read(line, object, availability_of)
    }

    /// The value of a line, from an object of JSON or a row of CSV.
    fn read<T>(
        &mut self,
        line: &Line,
        object: fn(&[u8]) -> Result<T, String>,
        row: fn(Row) -> Result<T, String>,
    ) -> Result<Option<T>, Refusal> {
        let (number, text) = line;
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let is_first = !std::mem::replace(&mut self.is_read, true);
        let useless = |detail| Refusal::Rest(LineError { line: *number, detail });
        // Whether it arrived in one piece or in several.
        if text.len() > MAX_LINE && !self.is_unclosed {
            let detail = format!("expected at most {MAX_LINE} bytes");
            let is_header = self.format == Format::Csv && self.table.is_none();
            return Err(if is_header { useless(detail) } else { refused(line, detail) });
        }
        if self.format == Format::Json {
            if is_first && is_list(text) {
                let detail = "expected one JSON object per line, found a list; write each object \
                              in a line of its own, without commas between them";
                return Err(useless(detail.to_owned()));
            }
            return object(text).map(Some).map_err(|detail| refused(line, detail));
        }
        if self.is_unclosed {
            let detail =
                "a quoted cell that begins here is not closed; no line from here on was used";
            return Err(refused(line, detail.to_owned()));
        }
        let Some(table) = &self.table else {
            self.table = Some(Table::new(text, self.columns).map_err(useless)?);
            return Ok(None);
        };
        let value = table.row(text).and_then(row);
        value.map(Some).map_err(|detail| refused(line, detail))
    }
}

fn refused((line, _): &Line, detail: String) -> Refusal {
    Refusal::Line(LineError { line: *line, detail })
}

/// Whether a line begins a JSON list of objects.
fn is_list(text: &[u8]) -> bool {
    let inner = text.trim_ascii().strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    inner.is_some_and(|inner| inner.is_empty() || inner.starts_with(b"{"))
}

/// The value of a JSON object. An array of the fields in their order is not accepted.
fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err("expected a JSON object of the documented fields".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = Some(path).filter(|path| path != "." && error.inner().is_data());
        reason(path.as_deref(), error.inner())
    })?;
    json.end().map_err(|error| reason(None, &error))?;
    Ok(value)
}

/// The message without the position, which is within the line.
fn reason(path: Option<&str>, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
    let message = shortened(&plain_types(message));
    match path {
        Some(path) => format!("{}: {message}", shortened(path)),
        None => format!("expected a JSON object of the documented fields: {message}"),
    }
}

/// The cells of a row of CSV by the names of their columns.
type Row = BTreeMap<String, String>;

/// The item of a row of CSV. Columns of other names are attributes.
fn item_of(row: Row) -> Result<NewItem, String> {
    let mut item = NewItem::new(ItemId::new(""));
    for (name, cell) in row {
        if cell.is_empty() {
            continue;
        }
        match name.as_str() {
            "id" => item.id = ItemId::new(cell),
            "title" => item.title = cell,
            "categories" | "category" => {
                let parts = cell.split(SEPARATOR).map(str::trim).filter(|part| !part.is_empty());
                item.categories = parts.map(ToOwned::to_owned).collect();
            }
            "brand" => item.brand = cell,
            "description" => item.description = cell,
            "year" => item.year = Some(number("year", "a whole number", &cell)?),
            "price" => item.price = Some(number("price", "a number such as `9.50`", &cell)?),
            "available" => item.available = Some(flag_of(&cell)?),
            _ => {
                item.attributes.insert(name, AttributeValue::Text(cell));
            }
        }
    }
    Ok(item)
}

fn availability_of(mut row: Row) -> Result<AvailabilityLine, String> {
    let (id, flag) = (row.remove("id"), row.remove("available"));
    let id = id.filter(|id| !id.is_empty()).ok_or("expected an id")?;
    let available = flag_of(&flag.unwrap_or_default())?;
    Ok(AvailabilityLine { id: ItemId::new(id), available })
}

fn number<T: std::str::FromStr>(field: &str, expected: &str, cell: &str) -> Result<T, String> {
    let parsed = cell.trim().parse();
    parsed.map_err(|_| format!("{field}: expected {expected}, found `{}`", shortened(cell)))
}

fn flag_of(cell: &str) -> Result<bool, String> {
    match cell.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("available: expected `true` or `false`, found `{}`", shortened(cell))),
    }
}

#[cfg(test)]
mod tests;
