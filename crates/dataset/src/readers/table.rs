use std::{
    fs::File,
    io::{Chain, Read},
    path::{Path, PathBuf},
};

use crate::{DatasetError, lines::Lines};

/// A text table with a header line, row by row.
pub(super) struct Table {
    source: Source,
    header: Vec<String>,
    row: csv::StringRecord,
    line: u64,
    path: PathBuf,
}

enum Source {
    /// Tab-separated fields without quotes.
    Tabs(Lines),
    /// RFC 4180: commas, double quotes.
    Commas(Box<csv::Reader<Chain<File, &'static [u8]>>>),
}

impl Table {
    /// A table of tab-separated values.
    pub(super) fn open_tabs(path: &Path) -> Result<Self, DatasetError> {
        Self::open(path, Source::Tabs(Lines::open(path)?))
    }

    /// A table of comma-separated values.
    pub(super) fn open_commas(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("open", path))?;
        // Every line ends with `\n`, the last one as well, so that lines can be counted. A `\r`
        // before it is trimmed with the blanks around a field.
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(file.chain(b"\n".as_slice()));
        Self::open(path, Source::Commas(Box::new(reader)))
    }

    fn open(path: &Path, source: Source) -> Result<Self, DatasetError> {
        let (row, path) = (csv::StringRecord::new(), path.to_path_buf());
        let mut table = Self { source, header: Vec::new(), row, line: 1, path };
        if !table.advance()? {
            return Err(table.malformed("a header line", "an empty file"));
        }
        table.header = table.row.iter().map(str::to_owned).collect();
        Ok(table)
    }

    /// The column names of the file.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// The first column whose name, up to a colon, is one of `names`. Earlier names win.
    pub(super) fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| {
            self.header.iter().position(|column| {
                let bare = column.split_once(':').map_or(column.as_str(), |(bare, _)| bare);
                bare.trim().eq_ignore_ascii_case(name)
            })
        })
    }

    /// Like [`Table::column`], for a required column.
    pub(super) fn require(&self, names: &[&str]) -> Result<usize, DatasetError> {
        self.column(names).ok_or_else(|| {
            self.malformed(
                format_args!("a column named {}", names.join(" or ")),
                format_args!("the columns {}", self.header.join(", ")),
            )
        })
    }

    /// Moves to the next row, which has as many fields as the header; `false` after the last
    /// row.
    pub(super) fn next_row(&mut self) -> Result<bool, DatasetError> {
        if !self.advance()? {
            return Ok(false);
        }
        if self.row.len() != self.header.len() {
            return Err(self.malformed(
                format_args!("{} fields as in the header", self.header.len()),
                self.row.len(),
            ));
        }
        Ok(true)
    }

    /// A field of the current row, trimmed.
    pub(super) fn field(&self, column: usize) -> &str {
        self.row.get(column).unwrap_or_default().trim()
    }

    /// An error about the current row.
    pub(super) fn malformed(
        &self,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> DatasetError {
        DatasetError::malformed(&self.path, self.line, expected, found)
    }

    fn advance(&mut self) -> Result<bool, DatasetError> {
        match &mut self.source {
            Source::Tabs(lines) => {
                while let Some(line) = lines.next_line()? {
                    if line.is_empty() {
                        continue;
                    }
                    self.row.clear();
                    line.split('\t').for_each(|field| self.row.push_field(field));
                    self.line = lines.number();
                    return Ok(true);
                }
                Ok(false)
            }
            Source::Commas(reader) => loop {
                let mut bytes = csv::ByteRecord::new();
                if !reader
                    .read_byte_record(&mut bytes)
                    .map_err(|error| DatasetError::io("read", &self.path)(error.into()))?
                {
                    return Ok(false);
                }
                self.line = first_line(reader, &bytes);
                self.row = csv::StringRecord::from_byte_record(bytes).map_err(|error| {
                    DatasetError::malformed(
                        &self.path,
                        self.line,
                        "UTF-8 text",
                        format_args!(
                            "another encoding in field {}",
                            error.utf8_error().field() + 1
                        ),
                    )
                })?;
                // A blank line of a file with `\r\n` is a field `\r`.
                if self.row.iter().any(|field| !field.trim().is_empty()) {
                    return Ok(true);
                }
            },
        }
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
