use std::{
    borrow::Cow,
    fs::File,
    io::{BufReader, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use parquet::{
    basic::{Compression, ConvertedType},
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, FileReader, Length, SerializedFileReader},
        serialized_reader::{ReadOptions, ReadOptionsBuilder},
    },
    record::{Field, Row, RowAccessor, reader::RowIter},
    schema::types::Type,
};

use super::{
    Cell, RowGroups, Rows, Source, Step, StoredFile,
    stored::{Blocks, HEADER},
};
use crate::DatasetError;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The rows of a Parquet file.
pub(super) struct ParquetRows {
    iter: RowIter<'static>,
    names: Vec<String>,
    /// Positions of each column, from the outermost group to the value.
    paths: Vec<Vec<usize>>,
    row: Option<Row>,
    line: u64,
    path: PathBuf,
}

impl ParquetRows {
    /// The rows of the file, or of a part of it.
    pub(super) fn new(source: Source, part: Option<&RowGroups>) -> Result<Self, DatasetError> {
        let path = source.path().to_path_buf();
        let reader = reader(source, part)?;
        let metadata = reader.metadata();
        let mut chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        if let Some(chunk) = chunks.find(|chunk| !is_read(chunk.compression())) {
            let found = format!("{:?}", chunk.compression());
            let found = found.split('(').next().unwrap_or_default();
            return Err(DatasetError::input(
                &path,
                format!(
                    "is compressed with {found} in column {}, which is not read; write it \
                     uncompressed, or with Snappy, gzip, zstd or LZ4",
                    chunk.column_path().string()
                ),
            ));
        }
        let (mut names, mut paths) = (Vec::new(), Vec::new());
        let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
        columns(&schema, "", &[], &mut names, &mut paths);
        let iter = RowIter::from_file_into(reader);
        let line = part.map_or(0, |part| part.rows_before);
        Ok(Self { iter, names, paths, row: None, line, path })
    }
}

/// The number of rows in each row group.
///
/// # Errors
/// [`DatasetError::Io`], and [`DatasetError::Input`] if the file is damaged.
pub(super) fn row_groups(source: Source) -> Result<Vec<u64>, DatasetError> {
    let reader = reader(source, None)?;
    let groups = reader.metadata().row_groups().iter();
    Ok(groups.map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect())
}

fn reader(source: Source, part: Option<&RowGroups>) -> Result<Box<dyn FileReader>, DatasetError> {
    let path = source.path().to_path_buf();
    let failed = |error: ParquetError| {
        DatasetError::input(&path, format!("is not a Parquet file that can be read: {error}"))
    };
    let options = || match part {
        None => ReadOptionsBuilder::new().build(),
        Some(part) => {
            let (first, end) = part.groups;
            let is_of_part = move |_: &RowGroupMetaData, at| (first..end).contains(&at);
            ReadOptionsBuilder::new().with_predicate(Box::new(is_of_part)).build()
        }
    };
    if let Some(file) = source.stored().filter(|_| source.seekable()) {
        return open(StoredChunks(Arc::clone(file)), options()).map_err(failed);
    }
    if source.seekable() {
        let file = File::open(&path).map_err(DatasetError::io("open", &path))?;
        return open(file, options()).map_err(failed);
    }
    let mut bytes = Vec::new();
    source.reader().read_to_end(&mut bytes).map_err(DatasetError::io("read", &path))?;
    open(bytes::Bytes::from(bytes), options()).map_err(failed)
}

fn open<R: ChunkReader + 'static>(
    file: R,
    options: ReadOptions,
) -> Result<Box<dyn FileReader>, ParquetError> {
    checked(|| SerializedFileReader::new_with_options(file, options))
        .map(|reader| Box::new(reader) as Box<dyn FileReader>)
}

/// A file of another store for the Parquet reader.
struct StoredChunks(Arc<dyn StoredFile>);

impl Length for StoredChunks {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl ChunkReader for StoredChunks {
    type T = BufReader<Blocks>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(Blocks::new(Arc::clone(&self.0), start, HEADER)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        let bytes = self.0.read_at(start, length).map_err(|error| {
            ParquetError::General(format!("{length} bytes from {start} on: {error}"))
        })?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "expected {length} bytes from {start} on, found {}",
                bytes.len()
            )));
        }
        Ok(bytes.into())
    }
}

/// Calls a function of the Parquet reader, which panics on some damaged files. After an error
/// nothing of the reader is used again.
fn checked<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(ParquetError::General("the file is damaged; write it again".to_owned()))
    })
}

/// Whether this build reads a compression.
fn is_read(compression: Compression) -> bool {
    !matches!(compression, Compression::BROTLI(_) | Compression::LZO)
}

/// Lists the columns of a group; those of a group in it are named `outer.inner`.
fn columns(
    group: &Type,
    prefix: &str,
    at: &[usize],
    names: &mut Vec<String>,
    paths: &mut Vec<Vec<usize>>,
) {
    for (position, field) in group.get_fields().iter().enumerate() {
        let name = if prefix.is_empty() {
            field.name().to_owned()
        } else {
            format!("{prefix}.{}", field.name())
        };
        let path = [at, &[position]].concat();
        let info = field.get_basic_info();
        let is_plain_group = field.is_group()
            && info.converted_type() == ConvertedType::NONE
            && info.logical_type_ref().is_none();
        if is_plain_group {
            columns(field, &name, &path, names, paths);
        } else {
            names.push(name);
            paths.push(path);
        }
    }
}

impl Rows for ParquetRows {
    fn columns(&self) -> &[String] {
        &self.names
    }

    fn advance(&mut self) -> Result<Step, DatasetError> {
        match checked(|| self.iter.next().transpose()).transpose() {
            None => Ok(Step::End),
            Some(Ok(row)) => {
                self.row = Some(row);
                self.line += 1;
                Ok(Step::Row)
            }
            // What follows in the file cannot be found.
            Some(Err(error)) => Err(DatasetError::malformed(
                &self.path,
                self.line + 1,
                "a row of a Parquet file",
                error,
            )),
        }
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        let (Some(row), Some((last, groups))) =
            (&self.row, self.paths.get(column).and_then(|path| path.split_last()))
        else {
            return Cell::Absent;
        };
        let mut row = row;
        for &position in groups {
            match row.get_group(position) {
                Ok(group) => row = group,
                // The group is null.
                Err(_) => return Cell::Absent,
            }
        }
        row.get_column_iter().nth(*last).map_or(Cell::Absent, |(_, field)| cell(field))
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn unit(&self) -> &'static str {
        "row"
    }
}

fn cell(field: &Field) -> Cell<'_> {
    match field {
        Field::Null => Cell::Absent,
        Field::Str(text) => Cell::of_text(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Cell::of_text(text),
            Err(_) => Cell::Other("bytes"),
        },
        Field::Date(days) => Cell::Time(i64::from(*days) * DAY),
        Field::TimestampMillis(time) => Cell::Time(time.saturating_mul(1_000)),
        Field::TimestampMicros(time) => Cell::Time(*time),
        Field::Float(number) if number.is_nan() => Cell::Absent,
        Field::Double(number) if number.is_nan() => Cell::Absent,
        Field::Double(number) => Cell::Text(Cow::Owned(format!("{number:?}"))),
        Field::ListInternal(list) => {
            Cell::List(list.elements().iter().filter_map(element).collect())
        }
        Field::Group(_) | Field::MapInternal(_) => Cell::Other("a group of values"),
        number => Cell::Text(Cow::Owned(number.to_string())),
    }
}

/// An element of a list as text; of a group, its name.
fn element(field: &Field) -> Option<String> {
    match field {
        Field::Group(row) => {
            row.get_column_iter().find(|(name, _)| *name == "name").and_then(|(_, it)| element(it))
        }
        field => match cell(field) {
            Cell::Text(text) => Some(text.into_owned()),
            _ => None,
        },
    }
}
