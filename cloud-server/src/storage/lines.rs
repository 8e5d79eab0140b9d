//! Items and availabilities in the lines of a body: JSON or CSV, with errors by line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tandem_protocol::ItemId;
use tandem_storage::{AttributeValue, NewItem};

/// Maximum length of a line in bytes.
const MAX_LINE: usize = 256 << 10;
/// Separates categories in a cell of CSV.
const SEPARATOR: char = '|';

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
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Start | Self::Quote, b'"') => Self::Quoted,
            (_, b',') => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// Cuts a body that arrives in pieces into lines. A quoted cell of CSV may have line feeds.
#[derive(Debug)]
pub(crate) struct Lines {
    format: Format,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were searched.
    searched: usize,
    /// Line feeds in a quoted cell among them, and where in a cell they end.
    feeds: u64,
    place: Place,
    /// Whether a quoted cell was open at the end of the body, so that it has all lines after it.
    is_unclosed: bool,
    /// Number of the first line in the buffer.
    number: u64,
    header: Option<csv::StringRecord>,
}

/// A line and its number.
pub(crate) type Line = (u64, Vec<u8>);

impl Lines {
    pub(crate) fn new(format: Format) -> Self {
        let buffer = Vec::new();
        Self {
            format,
            buffer,
            searched: 0,
            feeds: 0,
            place: Place::Start,
            is_unclosed: false,
            number: 1,
            header: None,
        }
    }

    /// Adds a piece of the body and returns the lines that are complete.
    ///
    /// # Errors
    /// If a line is too long; the rest cannot be read.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Line>, LineError> {
        self.buffer.extend_from_slice(piece);
        let mut lines = Vec::new();
        let mut start = 0;
        for at in self.searched..self.buffer.len() {
            match self.buffer[at] {
                b'\n' => {
                    self.feeds += 1;
                    if self.place != Place::Quoted {
                        lines.push((self.number, self.buffer[start..at].to_vec()));
                        start = at + 1;
                        self.number += std::mem::take(&mut self.feeds);
                        self.place = Place::Start;
                    }
                }
                byte if self.format == Format::Csv => self.place = self.place.after(byte),
                _ => {}
            }
        }
        self.buffer.drain(..start);
        self.searched = self.buffer.len();
        if self.buffer.len() > MAX_LINE {
            let detail = format!("expected at most {MAX_LINE} bytes; the rest was not read");
            return Err(LineError { line: self.number, detail });
        }
        Ok(lines)
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
    pub(crate) fn item(&mut self, (line, text): &Line) -> Result<Option<NewItem>, LineError> {
        let failed = |detail: String| LineError { line: *line, detail };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let item = match self.format {
            Format::Json => object(text).map_err(failed)?,
            Format::Csv => match self.row(text).map_err(failed)? {
                Some(row) => item_of(row).map_err(failed)?,
                None => return Ok(None),
            },
        };
        let item: NewItem = item;
        item.check().map_err(|error| failed(error.to_string()))?;
        Ok(Some(item))
    }

    /// The availability of a line; `None` for an empty line and the header.
    ///
    /// # Errors
    /// If the line is none.
    pub(crate) fn availability(
        &mut self,
        (line, text): &Line,
    ) -> Result<Option<AvailabilityLine>, LineError> {
        let failed = |detail: String| LineError { line: *line, detail };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        match self.format {
            Format::Json => object(text).map(Some).map_err(failed),
            Format::Csv => {
                let Some(mut row) = self.row(text).map_err(failed)? else { return Ok(None) };
                let (id, flag) = (row.remove("id"), row.remove("available"));
                let id = id.filter(|id| !id.is_empty());
                let id = id.ok_or_else(|| failed("expected an id".to_owned()))?;
                let available = flag_of(&flag.unwrap_or_default()).map_err(failed)?;
                Ok(Some(AvailabilityLine { id: ItemId::new(id), available }))
            }
        }
    }

    /// The cells of a line by the names of the header; `None` for the header itself.
    fn row(&mut self, text: &[u8]) -> Result<Option<BTreeMap<String, String>>, String> {
        if self.is_unclosed {
            let detail =
                "a quoted cell that begins here is not closed; no line from here on was used";
            return Err(detail.to_owned());
        }
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let mut record = csv::StringRecord::new();
        reader.read_record(&mut record).map_err(|error| error.to_string())?;
        let mut rest = csv::StringRecord::new();
        if reader.read_record(&mut rest).map_err(|error| error.to_string())? {
            return Err("expected lines that end with LF or CRLF, found CR alone".to_owned());
        }
        let Some(header) = &self.header else {
            if !record.iter().any(|name| name.trim_start_matches('\u{feff}') == "id") {
                return Err("expected a header with the column `id`".to_owned());
            }
            let names = record.iter().map(|name| name.trim_start_matches('\u{feff}').trim());
            let header: csv::StringRecord = names.collect();
            let twice = header
                .iter()
                .enumerate()
                .find(|(at, name)| header.iter().take(*at).any(|earlier| earlier == *name));
            if let Some((_, name)) = twice {
                return Err(format!("expected each column once, found `{name}` twice"));
            }
            self.header = Some(header);
            return Ok(None);
        };
        if header.len() != record.len() {
            return Err(format!("expected {} cells, found {}", header.len(), record.len()));
        }
        let cells = header.iter().zip(&record);
        Ok(Some(cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()))
    }
}

/// The value of a JSON object. An array of the fields in their order is not accepted.
fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err("expected a JSON object of the documented fields".to_owned());
    }
    serde_json::from_slice(text).map_err(|error| json(&error))
}

/// The message without the position, which is within the line.
fn json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or_default();
    format!("expected a JSON object of the documented fields: {message}")
}

/// The item of a row of CSV. Columns of other names are attributes.
fn item_of(row: BTreeMap<String, String>) -> Result<NewItem, String> {
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
            "year" => item.year = Some(number("year", &cell)?),
            "price" => item.price = Some(number("price", &cell)?),
            "available" => item.available = Some(flag_of(&cell)?),
            _ => {
                item.attributes.insert(name, AttributeValue::Text(cell));
            }
        }
    }
    Ok(item)
}

fn number<T: std::str::FromStr>(field: &str, cell: &str) -> Result<T, String> {
    cell.trim().parse().map_err(|_| format!("{field}: expected a number, found `{cell}`"))
}

fn flag_of(cell: &str) -> Result<bool, String> {
    match cell.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("available: expected `true` or `false`, found `{cell}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a text that arrives in pieces of every size.
    fn cut(format: Format, text: &str) -> Vec<(u64, String)> {
        let mut results = (1..=text.len()).map(|size| {
            let mut lines = Lines::new(format);
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                found.extend(lines.push(piece).unwrap());
            }
            found.extend(lines.finish());
            let texts = found.into_iter();
            texts.map(|(line, text)| (line, String::from_utf8(text).unwrap())).collect::<Vec<_>>()
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first), "the size of the pieces matters");
        first
    }

    #[test]
    fn lines_do_not_depend_on_the_pieces() {
        let numbered = |lines: &[(u64, &str)]| -> Vec<(u64, String)> {
            lines.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
        };
        let json = "{\"id\":\"a\"}\n\n{\"id\":\"\\\"\"}";
        let expected = [(1, "{\"id\":\"a\"}"), (2, ""), (3, "{\"id\":\"\\\"\"}")];
        assert_eq!(cut(Format::Json, json), numbered(&expected));
        let csv = "id,title\n1,\"two\nlines \"\"x\"\"\n\"\n2,b\n";
        let expected = [(1, "id,title"), (2, "1,\"two\nlines \"\"x\"\"\n\""), (5, "2,b")];
        assert_eq!(cut(Format::Csv, csv), numbered(&expected));
    }

    #[test]
    fn a_line_that_is_no_object_is_refused() {
        let mut lines = Lines::new(Format::Json);
        for text in ["[\"a\",true]", "[]", "null", "\"a\"", "7"] {
            let line = (1, text.as_bytes().to_vec());
            let error = lines.availability(&line).unwrap_err();
            assert!(error.detail.starts_with("expected a JSON object"), "{text}: {error:?}");
            assert!(lines.item(&line).is_err(), "{text}");
        }
        let line = (1, b" {\"id\":\"a\",\"available\":true}".to_vec());
        assert!(lines.availability(&line).unwrap().unwrap().available);
    }

    #[test]
    fn a_quote_within_a_cell_is_text() {
        let csv = "id,title\nx1,5\" disk\nx2,a\nx3,\"a \"\"b\"\"\nc\",d\" \nx4,7\" disk\n";
        let lines = cut(Format::Csv, csv);
        let numbers: Vec<u64> = lines.iter().map(|(line, _)| *line).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 6]);
        let mut reader = Lines::new(Format::Csv);
        let mut item = |text: &str| reader.item(&(1, text.as_bytes().to_vec()));
        assert_eq!(item("id,title"), Ok(None));
        assert_eq!(item("x1,5\" disk\r").unwrap().unwrap().title, "5\" disk");
        let error = item("x1,a\rx2,b").unwrap_err();
        assert!(error.detail.contains("CR alone"), "{error:?}");
    }

    #[test]
    fn a_cell_that_is_not_closed_and_a_column_that_comes_twice_are_refused() {
        let mut lines = Lines::new(Format::Csv);
        let found = lines.push(b"id,title\nq1,whole\nq2,\"open\nq3,x\n").unwrap();
        assert_eq!(lines.item(&found[0]), Ok(None));
        assert!(lines.item(&found[1]).unwrap().is_some());
        let rest = lines.finish().unwrap();
        let error = lines.item(&rest).unwrap_err();
        assert_eq!((error.line, error.detail.contains("not closed")), (3, true), "{error:?}");

        let mut lines = Lines::new(Format::Csv);
        let error = lines.item(&(1, b"id,title,id".to_vec())).unwrap_err();
        assert!(error.detail.contains("`id` twice"), "{error:?}");
    }

    #[test]
    fn a_row_of_csv_is_an_item() {
        let mut lines = Lines::new(Format::Csv);
        let mut item = |line: u64, text: &str| lines.item(&(line, text.as_bytes().to_vec()));
        assert_eq!(item(1, "\u{feff}id,title,categories,price,available,colour"), Ok(None));
        let found = item(2, "7,\"Shoe, red\",Shoes | Sale,9.5,no,red").unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.title.as_str()), ("7", "Shoe, red"));
        assert_eq!(found.categories, ["Shoes", "Sale"]);
        assert_eq!((found.price, found.available), (Some(9.5), Some(false)));
        assert_eq!(found.attributes["colour"], AttributeValue::Text("red".to_owned()));
        let error = item(3, "8,Shoe,,cheap,,").unwrap_err();
        assert_eq!(
            (error.line, error.detail.as_str()),
            (3, "price: expected a number, found `cheap`")
        );
        assert!(item(4, "8,Shoe").unwrap_err().detail.starts_with("expected 6 cells, found 2"));
        assert!(item(5, ",Shoe,,,,").unwrap_err().detail.starts_with("id: "));
    }

    /// Reads damaged variants of `seed`, each in two pieces. What is read of a line must be what a
    /// database can hold.
    fn fuzz<T>(
        name: &str,
        format: Format,
        seed: &str,
        mut read: impl FnMut(&mut Lines, &Line) -> Result<Option<T>, LineError>,
        check: impl Fn(&T),
    ) {
        let outcome = tandem_fuzzing::fuzz(name, &[seed], |bytes| {
            let mut lines = Lines::new(format);
            let mut found = Vec::new();
            for piece in bytes.chunks(bytes.len() / 2 + 1) {
                found.extend(lines.push(piece).unwrap());
            }
            found.extend(lines.finish());
            let feeds = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
            let mut read_any = false;
            for line in &found {
                assert!((1..=feeds + 1).contains(&line.0), "line {} of {}", line.0, feeds + 1);
                match read(&mut lines, line) {
                    Ok(None) => {}
                    Ok(Some(value)) => {
                        check(&value);
                        read_any = true;
                    }
                    Err(error) => assert_eq!(error.line, line.0),
                }
            }
            read_any
        });
        assert!(outcome.accepted > 0, "no line of {name} is read");
    }

    #[test]
    fn damaged_lines_never_panic() {
        let check_item = |item: &NewItem| {
            assert!(!item.id.as_str().is_empty());
            assert!(item.price.is_none_or(f64::is_finite), "{item:?}");
            // What is stored can be sent again.
            serde_json::to_string(item).unwrap();
        };
        let json = "{\"id\":\"a\",\"title\":\"Shoe\",\"categories\":[\"Shoes\",\"Sale\"],\
            \"brand\":\"Acme\",\"year\":1999,\"price\":9.5,\"available\":false,\
            \"attributes\":{\"size\":42,\"colour\":\"red\",\"new\":true}}\n{\"id\":\"b\"}\n";
        fuzz("items in JSON lines", Format::Json, json, Lines::item, check_item);
        let csv = "id,title,categories,brand,year,price,available,colour\n\
            7,\"Shoe, \"\"red\"\"\",Shoes | Sale,Acme,1999,9.5,no,red\n8,\"two\nlines\",,,,,yes,\n";
        fuzz("items in CSV", Format::Csv, csv, Lines::item, check_item);
        let check_line = |line: &AvailabilityLine| {
            let _: &str = line.id.as_str();
        };
        let json = "{\"id\":\"a\",\"available\":false}\n{\"id\":\"b\",\"available\":true}\n";
        fuzz("availability in JSON lines", Format::Json, json, Lines::availability, check_line);
        let csv = "id,available\na,no\n\"b\",true\nc,0\n";
        fuzz("availability in CSV", Format::Csv, csv, Lines::availability, check_line);
    }
}
