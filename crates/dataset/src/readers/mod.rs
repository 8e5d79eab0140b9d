//! Rows of files in several formats, detected by their content.
//!
//! [`Source`] opens a file or the standard input, and undoes compression and character encoding.
//! [`open`] then detects the format and returns the rows as [`Rows`]. One row is in memory at a
//! time, except of JSON, where the first rows are read ahead to know the names of the fields, of
//! JSON files that are one object around all rows, and of Parquet files that are compressed as a whole, which are read into memory.
//!
//! Nothing in this module knows what a column means.

mod delimited;
mod detect;
mod json;
mod json_wrapper;
#[cfg(feature = "parquet")]
mod parquet;
mod row;
mod source;
mod stored;

use std::path::Path;

pub(crate) use row::{Cell, Rows, Step};
pub(crate) use source::Source;
pub use stored::StoredFile;

use self::detect::Format;
use crate::DatasetError;

/// The rows of one file.
pub(crate) struct Opened {
    pub(crate) rows: Box<dyn Rows>,
    /// Format, compression and encoding, for people.
    pub(crate) description: String,
    /// Whether the file is one of `RecBole`'s atomic files.
    pub(crate) recbole: bool,
}

/// Opens a file, or the standard input for `-`, and detects its format. Without a header, the
/// columns of a delimited file are named by their numbers from 1. A JSON object with a list of
/// objects whose name ends with one of the words of `lists` (in lower case, without punctuation)
/// becomes one row for each element.
///
/// # Errors
/// [`DatasetError::Io`] if the file cannot be read, [`DatasetError::Input`] for a format that is
/// not supported.
pub(crate) fn open(
    path: &Path,
    has_header: bool,
    lists: &'static [&'static str],
) -> Result<Opened, DatasetError> {
    open_source(Source::open(path)?, has_header, lists, None)
}

/// A part of a Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct RowGroups {
    /// The first row group and the one after the last.
    pub(crate) groups: (usize, usize),
    /// Number of rows before the first.
    pub(crate) rows_before: u64,
}

/// As [`open`], for content that was opened, or for a part of a Parquet file.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_source(
    source: Source,
    has_header: bool,
    lists: &'static [&'static str],
    part: Option<&RowGroups>,
) -> Result<Opened, DatasetError> {
    let format = detect::format(&source)?;
    let mut parts = vec![format.to_string()];
    parts.extend(source.traits().map(str::to_owned));
    let description = parts.join(", ");
    let recbole = matches!(format, Format::Recbole);
    let rows: Box<dyn Rows> = match format {
        Format::Delimited(dialect) => {
            Box::new(delimited::Delimited::new(source, dialect, has_header)?)
        }
        Format::Recbole => {
            Box::new(delimited::Delimited::new(source, delimited::Dialect::RECBOLE, true)?)
        }
        Format::JsonLines => Box::new(json::JsonRows::lines(source, lists)?),
        Format::JsonObjects => Box::new(json::JsonRows::objects(source, lists)?),
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(parquet::ParquetRows::new(source, part)?),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => {
            return Err(DatasetError::input(
                source.path(),
                "is a Parquet file, and this build cannot read it; build with the feature `parquet`",
            ));
        }
    };
    Ok(Opened { rows, description, recbole })
}

/// The number of rows in each row group of a Parquet file. `None` for another format, and for a
/// Parquet file that is compressed as a whole.
///
/// # Errors
/// As [`open`].
pub(crate) fn row_groups(source: Source) -> Result<Option<Vec<u64>>, DatasetError> {
    let is_parquet = matches!(detect::format(&source)?, Format::Parquet);
    if !is_parquet || !source.seekable() {
        return Ok(None);
    }
    #[cfg(feature = "parquet")]
    return parquet::row_groups(source).map(Some);
    #[cfg(not(feature = "parquet"))]
    Ok(None)
}
