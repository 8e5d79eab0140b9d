use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    DatasetError, ImportOptions, StoredFile,
    import::{check_options, files::is_empty_log, input_files, is_sequences},
    readers::{self, RowGroups, Source},
};

/// Where files are that are not on the disk of this machine.
pub trait FileStorage: Send + Sync {
    /// Opens a file; `None` if the path is one of this machine.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    fn open(&self, path: &Path) -> io::Result<Option<Arc<dyn StoredFile>>>;
}

/// All files are on the disk of this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalFiles;

impl FileStorage for LocalFiles {
    fn open(&self, _path: &Path) -> io::Result<Option<Arc<dyn StoredFile>>> {
        Ok(None)
    }
}

/// The files of a log, in their order.
#[derive(Debug)]
pub struct LogFiles {
    /// With whether it is an event log without an event yet.
    pub(super) files: Vec<(PathBuf, bool)>,
    pub(super) parts: Vec<LogPart>,
}

/// A file of a log, or a part of a Parquet file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogPart {
    pub(super) path: PathBuf,
    /// Position among the files that have parts.
    pub(super) file: u16,
    /// Position among the parts of the file.
    pub(super) number: u32,
    pub(super) groups: Option<RowGroups>,
}

impl LogPart {
    /// The file, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn source(&self, storage: &dyn FileStorage) -> Result<Source, DatasetError> {
        source(&self.path, storage)
    }
}

fn source(path: &Path, storage: &dyn FileStorage) -> Result<Source, DatasetError> {
    match storage.open(path).map_err(DatasetError::io("open", path))? {
        Some(file) => Source::open_stored(path, file),
        None => Source::open(path),
    }
}

impl LogFiles {
    /// Finds the files of the options, and divides Parquet files with many rows into parts of at
    /// least `min_rows` rows.
    ///
    /// # Errors
    /// As [`import`](crate::import()), and [`DatasetError::OnlyInMemory`] for the standard input, a
    /// folder of sequences and a Parquet file that is compressed as a whole.
    pub fn find(
        options: &ImportOptions,
        storage: &dyn FileStorage,
        min_rows: u64,
    ) -> Result<Self, DatasetError> {
        let paths = input_files(&options.events)?;
        check_options(&paths, options)?;
        let (mut files, mut parts) = (Vec::new(), Vec::new());
        let several = paths.len() > 1;
        for path in paths {
            if path == Path::new("-") {
                return Err(DatasetError::only_in_memory(&path, "can be read only once"));
            }
            if is_sequences(&path) {
                return Err(DatasetError::only_in_memory(&path, "is a folder of sequences"));
            }
            let is_empty = several && is_empty_log(&path);
            if !is_empty {
                let file = files.iter().filter(|(_, is_empty)| !is_empty).count() as u16;
                let source = source(&path, storage)?;
                if source.is_packed_parquet() {
                    let what = "is a Parquet file that is compressed as a whole";
                    return Err(DatasetError::only_in_memory(&path, what));
                }
                let rows = readers::row_groups(source)?;
                let part = |(number, groups)| LogPart {
                    path: path.clone(),
                    file,
                    number: number as u32,
                    groups,
                };
                parts.extend(divided(rows, min_rows).into_iter().enumerate().map(part));
            }
            files.push((path, is_empty));
        }
        Ok(Self { files, parts })
    }

    /// The parts, those of a file together and in their order.
    #[must_use]
    pub fn parts(&self) -> &[LogPart] {
        &self.parts
    }
}

/// Neighbouring row groups with at least `min_rows` rows together; `None` for a whole file.
fn divided(rows: Option<Vec<u64>>, min_rows: u64) -> Vec<Option<RowGroups>> {
    let Some(rows) = rows else { return vec![None] };
    let mut parts = Vec::new();
    let (mut first, mut rows_before, mut counted) = (0, 0, 0);
    for (at, group) in rows.iter().enumerate() {
        counted += group;
        if counted - rows_before >= min_rows {
            parts.push(Some(RowGroups { groups: (first, at + 1), rows_before }));
            (first, rows_before) = (at + 1, counted);
        }
    }
    if first < rows.len() || parts.is_empty() {
        parts.push(Some(RowGroups { groups: (first, rows.len()), rows_before }));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_are_joined_to_parts() {
        let parts = |rows: &[u64], min| {
            divided(Some(rows.to_vec()), min)
                .into_iter()
                .map(|part| part.map(|part| (part.groups, part.rows_before)).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(parts(&[5, 5, 5], 1), [((0, 1), 0), ((1, 2), 5), ((2, 3), 10)]);
        assert_eq!(parts(&[5, 5, 5], 8), [((0, 2), 0), ((2, 3), 10)]);
        assert_eq!(parts(&[5, 5], 100), [((0, 2), 0)]);
        assert_eq!(parts(&[], 100), [((0, 0), 0)]);
        assert_eq!(divided(None, 1), [None]);
    }
}
