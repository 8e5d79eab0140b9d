use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use crate::DatasetError;

/// The lines of a text file with their numbers.
///
/// Accepts `\n` and `\r\n`, skips a byte order mark, and stops at the first line that is not
/// UTF-8. One line is in memory at a time.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("open", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 16, file),
            buffer: Vec::new(),
            number: 0,
        })
    }

    /// The next line without its line ending, or `None` after the last one. Blank lines are
    /// returned and counted.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>, DatasetError> {
        self.buffer.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.buffer)
            .map_err(DatasetError::io("read", &self.path))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut line = self.buffer.as_slice();
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        match std::str::from_utf8(line) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(DatasetError::malformed(
                &self.path,
                self.number,
                "UTF-8 text",
                format_args!(
                    "the byte 0x{:02x} at column {}",
                    line[error.valid_up_to()],
                    error.valid_up_to() + 1
                ),
            )),
        }
    }

    /// Number of the line returned last, from 1; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// An error about the line returned last.
    pub(crate) fn malformed(
        &self,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> DatasetError {
        DatasetError::malformed(&self.path, self.number.max(1), expected, found)
    }
}
