use std::borrow::Cow;

use crate::DatasetError;

/// Values that programs write for an absent one.
const NULLS: [&str; 6] = ["null", "NULL", "NaN", "nan", "\\N", "<NA>"];

/// A value of a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing, or a word for nothing such as `null`.
    Absent,
    /// Text without blanks at its ends, or a number or truth value as text; never empty.
    Text(Cow<'a, str>),
    /// A list of texts.
    List(Vec<String>),
    /// A point in time of a typed column, in microseconds since 1970-01-01 UTC.
    Time(i64),
    /// Something else, in words.
    Other(&'static str),
}

impl<'a> Cell<'a> {
    /// The cell of a text.
    pub(crate) fn of_text(text: &'a str) -> Self {
        match text.trim() {
            "" => Self::Absent,
            text if NULLS.contains(&text) => Self::Absent,
            text => Self::Text(Cow::Borrowed(text)),
        }
    }
}

/// What [`Rows::advance`] found.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// A row.
    Row,
    /// Something that is no row of this format; it takes this number of lines.
    Bad {
        /// What was expected and found.
        reason: String,
        /// Number of lines.
        lines: u64,
    },
    /// The end of the file.
    End,
}

/// The rows of a file, one after the other.
pub(crate) trait Rows {
    /// Names of the columns. New ones can be appended while JSON is read.
    fn columns(&self) -> &[String];

    /// Moves to the next row.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be read.
    fn advance(&mut self) -> Result<Step, DatasetError>;

    /// A value of the current row.
    fn cell(&self, column: usize) -> Cell<'_>;

    /// The line on which the current row begins, from 1. In a Parquet file, the number of the row.
    fn line(&self) -> u64;

    /// What [`Rows::line`] counts.
    fn unit(&self) -> &'static str {
        "line"
    }

    /// Whether a row has values in both columns, as far as is known. Two names for the same thing,
    /// of which each row has one, are no contradiction.
    fn occur_together(&self, _left: usize, _right: usize) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_nothing_are_absent() {
        for text in ["", "  ", "null", "NULL", " NaN ", "\\N"] {
            assert_eq!(Cell::of_text(text), Cell::Absent, "{text:?}");
        }
        assert_eq!(Cell::of_text(" Null Island "), Cell::Text("Null Island".into()));
    }
}
