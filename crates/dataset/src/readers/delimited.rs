use std::io::{BufRead, Chain, Read};

use super::{Cell, Rows, Source, Step};
use crate::DatasetError;

/// How rows of fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// Whether a field can be quoted (RFC 4180).
    pub(super) quotes: bool,
    /// The line of the header, from 1.
    pub(super) first_line: u64,
    /// Lines after the header that describe the columns.
    pub(super) described: u64,
}

impl Dialect {
    /// `RecBole`'s atomic files.
    pub(super) const RECBOLE: Self =
        Self { delimiter: b'\t', quotes: false, first_line: 1, described: 0 };
}

type Content = Chain<Box<dyn BufRead>, &'static [u8]>;

/// Rows of fields with a header.
pub(super) struct Delimited {
    reader: csv::Reader<Content>,
    header: Vec<String>,
    row: csv::StringRecord,
    bytes: csv::ByteRecord,
    line: u64,
    path: std::path::PathBuf,
    /// Whether the current row was read with the header.
    pending: bool,
}

impl Delimited {
    pub(super) fn new(
        source: Source,
        dialect: Dialect,
        has_header: bool,
    ) -> Result<Self, DatasetError> {
        let path = source.path().to_path_buf();
        // Every line ends with `\n`, the last one as well, so that lines can be counted. A `\r`
        // before it is trimmed with the blanks around a field.
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(dialect.delimiter)
            .quoting(dialect.quotes)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(source.reader().chain(b"\n".as_slice()));
        let mut rows = Self {
            reader,
            header: Vec::new(),
            row: csv::StringRecord::new(),
            bytes: csv::ByteRecord::new(),
            line: 1,
            path,
            pending: false,
        };
        for _ in 0..dialect.first_line {
            match rows.read()? {
                Step::Row => {}
                Step::Bad { reason, .. } => {
                    return Err(DatasetError::malformed(&rows.path, rows.line, "a header", reason));
                }
                Step::End => return Err(DatasetError::input(&rows.path, "has no header line")),
            }
        }
        rows.header = if has_header {
            rows.row.iter().map(|name| name.trim().to_owned()).collect()
        } else {
            rows.pending = true;
            (1..=rows.row.len()).map(|number| number.to_string()).collect()
        };
        if has_header {
            for _ in 0..dialect.described {
                rows.read()?;
            }
        }
        Ok(rows)
    }

    /// Reads the next row that is not blank.
    fn read(&mut self) -> Result<Step, DatasetError> {
        loop {
            let more = self
                .reader
                .read_byte_record(&mut self.bytes)
                .map_err(|error| DatasetError::io("read", &self.path)(error.into()))?;
            if !more {
                return Ok(Step::End);
            }
            self.line = first_line(&self.reader, &self.bytes);
            let bytes = std::mem::take(&mut self.bytes);
            match csv::StringRecord::from_byte_record(bytes) {
                Ok(row) => {
                    self.bytes = std::mem::replace(&mut self.row, row).into_byte_record();
                }
                Err(error) => {
                    let field = error.utf8_error().field() + 1;
                    let reason =
                        format!("expected UTF-8 text, found another encoding in field {field}");
                    return Ok(Step::Bad { reason, lines: 1 });
                }
            }
            // A blank line of a file with `\r\n` is a field `\r`.
            if self.row.iter().any(|field| !field.trim().is_empty()) {
                return Ok(Step::Row);
            }
        }
    }
}

impl Rows for Delimited {
    fn columns(&self) -> &[String] {
        &self.header
    }

    fn advance(&mut self) -> Result<Step, DatasetError> {
        let step = if std::mem::take(&mut self.pending) { Step::Row } else { self.read()? };
        if step != Step::Row {
            return Ok(step);
        }
        let (expected, found) = (self.header.len(), self.row.len());
        // Some programs end each row with a delimiter.
        let ends_with_delimiter =
            found == expected + 1 && self.row.get(expected).is_some_and(|it| it.trim().is_empty());
        if found == expected || ends_with_delimiter {
            return Ok(Step::Row);
        }
        let fields = self.row.iter().map(str::trim_end);
        let breaks = fields.flat_map(str::bytes).filter(|byte| *byte == b'\n').count();
        let hint = if breaks > 0 { "; is a quote not closed?" } else { "" };
        Ok(Step::Bad {
            reason: format!("expected {expected} fields as in the header, found {found}{hint}"),
            lines: 1 + breaks as u64,
        })
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        Cell::of_text(self.row.get(column).unwrap_or_default())
    }

    fn line(&self) -> u64 {
        self.line
    }
}

/// The line on which the record that was just read starts.
///
/// The reader reports the line of the blank lines before the record, so this counts back from
/// the end of the record. After an unclosed quote, the line of the reader is the right one.
fn first_line(reader: &csv::Reader<impl Read>, record: &csv::ByteRecord) -> u64 {
    let within = record.iter().flatten().filter(|byte| **byte == b'\n').count() as u64;
    let counted = reader.position().line().saturating_sub(1 + within);
    counted.max(record.position().map_or(1, csv::Position::line))
}
