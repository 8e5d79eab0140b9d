use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a dataset cannot be read, written or constructed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder cannot be accessed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line violates the format.
    #[error("{}, line {line}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What the format requires here.
        expected: String,
        /// What the file contains.
        found: String,
    },
    /// A file cannot be imported as it is.
    #[error("{} {problem}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do, as the rest of a sentence.
        problem: String,
    },
    /// No item of the log is in the catalogue.
    #[error(
        "{}: expected items of the log, such as {example:?}, found none of its {items} items in \
         the column {column}. Columns with an item id, and how many items of the log they have: \
         {candidates}. Name the column with the ids of the log with --catalogue-item-column",
        path.display()
    )]
    NoItemInCatalogue {
        /// The file of items; the first of several.
        path: PathBuf,
        /// The column that was taken for the item id.
        column: String,
        /// Number of items of the log.
        items: usize,
        /// One of them.
        example: String,
        /// The columns that can be the item id, each with the number of items of the log in it.
        candidates: String,
    },
    /// Too many rows cannot be read.
    #[error(
        "{bad} of {total} rows cannot be read, more than the {} % of --max-bad-rows; the first \
         are:\n  {first}",
        max_share * 100.0
    )]
    TooManyBadRows {
        /// Number of bad rows.
        bad: u64,
        /// Number of all rows.
        total: u64,
        /// The largest share that is accepted.
        max_share: f64,
        /// The first of them with their reasons; rows with the same reason are one line.
        first: String,
    },
    /// Two items of a catalogue have the same id.
    #[error("item {id:?} occurs twice in the catalogue; give each item an id of its own")]
    DuplicateItem {
        /// The id.
        id: String,
    },
    /// An item id is not valid.
    #[error("expected an item id without control characters, found {id:?}")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// More items than an index can address.
    #[error("expected at most {} items in a catalogue, found {items}", u32::MAX)]
    TooManyItems {
        /// The number of items.
        items: usize,
    },
    /// A sequence is inconsistent with its catalogue or its times.
    #[error("sequence of user {user:?}: expected {expected}, found {found}")]
    InvalidSequence {
        /// The user.
        user: String,
        /// What is required.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The folder was written by another version of the format.
    #[error(
        "{}: expected dataset format {expected}, found {found}; import the data again",
        path.display()
    )]
    Version {
        /// `dataset.json`.
        path: PathBuf,
        /// The version this program reads.
        expected: u32,
        /// The version of the file.
        found: u64,
    },
    /// The files of a folder contradict each other.
    #[error("{}: expected {what} {expected}, found {found}; import the data again", path.display())]
    Inconsistent {
        /// The file that contradicts `dataset.json`.
        path: PathBuf,
        /// The property that differs.
        what: &'static str,
        /// Its value in `dataset.json`.
        expected: String,
        /// Its value in the file.
        found: String,
    },
    /// Text vectors that cannot be used.
    #[error("{}expected {expected}, found {found}", path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default())]
    Vectors {
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// What is required.
        expected: String,
        /// What was found, and what to do.
        found: String,
    },
    /// A template of texts that names no field of items, or others.
    #[error("expected a template with the fields {known}, found {found}")]
    Template {
        /// All fields.
        known: String,
        /// The unknown fields, or that there is no field.
        found: String,
    },
    /// The log can be imported, but not by a program that sorts outside of memory.
    #[error(
        "{} {what}; import it in memory, without --memory and --cluster",
        path.display()
    )]
    OnlyInMemory {
        /// The file.
        path: PathBuf,
        /// What it is or has, as the rest of a sentence.
        what: String,
    },
    /// Programs that share an import do not understand each other.
    #[error(
        "expected {expected} of a part of the log, found {found}; do all programs of the cluster \
         have the same version?"
    )]
    Transfer {
        /// What was to be sent.
        expected: &'static str,
        /// What arrived.
        found: String,
    },
    /// Saving would delete a folder that is not a dataset.
    #[error("{} contains files that are not a dataset; choose a new or empty folder", path.display())]
    NotReplaceable {
        /// The folder.
        path: PathBuf,
    },
}

impl DatasetError {
    /// Whether the input is at fault, rather than the place that is written to.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        match self {
            Self::Io { action, .. } => ["open", "read"].contains(action),
            Self::Transfer { .. } => false,
            _ => true,
        }
    }

    /// For `map_err` on an operation of the file system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = shown(path).to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A file that cannot be imported as it is.
    pub(crate) fn input(path: &Path, problem: impl Into<String>) -> Self {
        Self::Input { path: shown(path).to_path_buf(), problem: problem.into() }
    }

    /// A log that can be imported in memory only.
    pub(crate) fn only_in_memory(path: &Path, what: impl Into<String>) -> Self {
        Self::OnlyInMemory { path: shown(path).to_path_buf(), what: what.into() }
    }

    /// A line that violates the format.
    pub(crate) fn malformed(
        path: &Path,
        line: u64,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::Malformed {
            path: shown(path).to_path_buf(),
            line,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// The path of a file for people: `-` is the standard input.
pub(crate) fn shown(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("standard input") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_input_has_a_name() {
        let error = DatasetError::input(Path::new("-"), "is empty").to_string();
        assert_eq!(error, "standard input is empty");
        let error = DatasetError::io("read", Path::new("-"))(io::Error::other("gone")).to_string();
        assert_eq!(error, "cannot read standard input: gone");
    }
}
