use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use tandem_dataset::files::FileDraft;
use tandem_storage::{Storage, StorageError, StoredEvent};

use crate::events::{LogRecord, is_interaction};

/// Number of events that are read, and of rows of a group of Parquet.
const PAGE: u32 = 50_000;

/// A time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Since(u64);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let midnight = || format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().ok();
        let time = text.parse::<jiff::Timestamp>().ok().or_else(midnight);
        let milliseconds = time.map(|time| time.as_millisecond().max(0).cast_unsigned());
        milliseconds.or_else(|| text.parse().ok()).map(Self).ok_or_else(|| {
            format!(
                "expected a date (`2026-11-01`), a time (`2026-11-01T12:00:00Z`) or milliseconds \
                 since 1970, found `{text}`"
            )
        })
    }
}

/// Why events could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The extension names no format.
    #[error("{} has no known format; expected the extension `.jsonl` or `.parquet`", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// There is a file already.
    #[error(
        "{} exists already; give another file, or replace it with --overwrite", path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The list of forgotten visitors is none.
    #[error("{}: expected a list of hashes: {reason}", path.display())]
    Forgotten {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The file of an export.
pub(super) struct Target<'a> {
    path: &'a Path,
    overwrite: bool,
    is_parquet: bool,
}

impl<'a> Target<'a> {
    /// Checks that the file can be written, before anything is done.
    pub(super) fn new(path: &'a Path, overwrite: bool) -> Result<Self, ExportError> {
        let is_parquet = match path.extension().and_then(|it| it.to_str()) {
            Some("jsonl") => false,
            Some("parquet") => true,
            _ => return Err(ExportError::Format { path: path.to_owned() }),
        };
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: path.to_owned() });
        }
        Ok(Self { path, overwrite, is_parquet })
    }

    fn failed(&self, source: io::Error) -> ExportError {
        let path = self.path.to_owned();
        match source.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Exists { path },
            _ => ExportError::Write { path, source },
        }
    }
}

/// Writes events to a file and returns their number. The file appears when it is complete.
pub(super) fn export(
    storage: &Storage,
    target: &Target<'_>,
    since: Since,
    all: bool,
) -> Result<u64, ExportError> {
    let path = target.path;
    let failed = |source| target.failed(source);
    let draft = FileDraft::new(path).map_err(failed)?;
    let mut file = if target.is_parquet {
        File::Parquet(Box::new(parquet_file(draft).map_err(io::Error::other).map_err(failed)?))
    } else {
        File::Lines(draft)
    };
    let (mut written, mut after) = (0, Some(0));
    while let Some(start) = after {
        let page = storage.block_on(storage.events_since(since.0, start, PAGE))?;
        let wanted = |event: &&StoredEvent| all || is_interaction(event.kind);
        let events: Vec<&StoredEvent> = page.events.iter().filter(wanted).collect();
        file.append(&events).map_err(failed)?;
        written += events.len() as u64;
        after = page.next;
    }
    file.publish(target.overwrite).map_err(failed)?;
    Ok(written)
}

/// Adds the forgotten visitors to a list of hashes, which is made if there is none. Returns the
/// number of visitors on it.
pub(super) fn add_forgotten(storage: &Storage, path: &Path) -> Result<usize, ExportError> {
    let failed = |source| ExportError::Write { path: path.to_owned(), source };
    let mut names: BTreeSet<String> = match fs::read(path) {
        Ok(json) => serde_json::from_slice(&json).map_err(|error| ExportError::Forgotten {
            path: path.to_owned(),
            reason: error.to_string(),
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => return Err(failed(error)),
    };
    names.extend(storage.block_on(storage.forgotten_users())?);
    let mut draft = FileDraft::new(path).map_err(failed)?;
    serde_json::to_writer_pretty(&mut draft, &names).map_err(|error| failed(error.into()))?;
    draft.publish().map_err(failed)?;
    Ok(names.len())
}

/// A file that is being written.
enum File {
    Lines(FileDraft),
    Parquet(Box<SerializedFileWriter<FileDraft>>),
}

impl File {
    fn append(&mut self, events: &[&StoredEvent]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        match self {
            Self::Lines(draft) => events.iter().try_for_each(|event| {
                serde_json::to_writer(&mut *draft, &LogRecord::of(event))?;
                draft.write_all(b"\n")
            }),
            Self::Parquet(file) => append_group(file, events).map_err(io::Error::other),
        }
    }

    fn publish(self, overwrite: bool) -> io::Result<()> {
        let draft = match self {
            Self::Lines(draft) => draft,
            Self::Parquet(file) => file.into_inner().map_err(io::Error::other)?,
        };
        if overwrite { draft.publish() } else { draft.publish_new() }
    }
}

/// The columns of the event log.
fn parquet_file(draft: FileDraft) -> Result<SerializedFileWriter<FileDraft>, ParquetError> {
    let column = |name: &str, physical, converted| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_converted_type(converted)
            .build()
            .map(Arc::new)
    };
    let text = |name: &str| column(name, Physical::BYTE_ARRAY, ConvertedType::UTF8);
    let columns = vec![
        text("user")?,
        text("item")?,
        column("timestamp", Physical::INT64, ConvertedType::TIMESTAMP_MILLIS)?,
        text("type")?,
        text("id")?,
    ];
    let schema = Type::group_type_builder("events").with_fields(columns).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(draft, Arc::new(schema), Arc::new(properties))
}

fn append_group(
    file: &mut SerializedFileWriter<FileDraft>,
    events: &[&StoredEvent],
) -> Result<(), ParquetError> {
    let texts = |text: fn(&StoredEvent) -> &str| -> Vec<ByteArray> {
        events.iter().map(|event| ByteArray::from(text(event))).collect()
    };
    let records: Vec<ByteArray> = events
        .iter()
        .map(|event| serde_json::to_value(event.kind).unwrap_or_default())
        .map(|kind| ByteArray::from(kind.as_str().unwrap_or_default()))
        .collect();
    let times: Vec<i64> = events.iter().map(|event| event.at.cast_signed()).collect();
    let mut group = file.next_row_group()?;
    let mut write_texts = |values: &[ByteArray]| write::<ByteArrayType>(&mut group, values);
    write_texts(&texts(|event| &event.session))?;
    write_texts(&texts(|event| event.item.as_str()))?;
    write::<Int64Type>(&mut group, &times)?;
    write::<ByteArrayType>(&mut group, &records)?;
    write::<ByteArrayType>(&mut group, &texts(|event| &event.id))?;
    group.close()?;
    Ok(())
}

fn write<T: DataType>(
    group: &mut parquet::file::writer::SerializedRowGroupWriter<'_, FileDraft>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_timestamps_or_milliseconds() {
        for text in
            ["2026-11-01", "2026-11-01T00:00:00Z", "2026-11-01T01:00:00+01:00", "1793491200000"]
        {
            assert_eq!(text.parse::<Since>(), Ok(Since(1_793_491_200_000)), "{text}");
        }
        assert!("yesterday".parse::<Since>().is_err() && "".parse::<Since>().is_err());
    }
}
