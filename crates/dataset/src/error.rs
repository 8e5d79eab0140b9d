use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a dataset cannot be read, written or put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder cannot be reached.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A line is not what the format says.
    #[error("{}, line {line}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What the format asks for here.
        expected: String,
        /// What stands there instead.
        found: String,
    },
    /// Two items of a catalogue have the same id.
    #[error("item {id:?} stands twice in the catalogue; ids must be distinct")]
    DuplicateItem {
        /// The id in question.
        id: String,
    },
    /// An id that cannot name an item.
    #[error("item id {id:?} is empty or holds a control character")]
    InvalidId {
        /// The id in question.
        id: String,
    },
    /// More items than an index can name.
    #[error("{items} items are more than the {} that a catalogue can hold", u32::MAX)]
    TooManyItems {
        /// How many there are.
        items: usize,
    },
    /// A sequence does not fit its catalogue or itself.
    #[error("sequence of user {user:?}: expected {expected}, found {found}")]
    InvalidSequence {
        /// Whose sequence.
        user: String,
        /// What has to hold.
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
        /// The version that stands in the file.
        found: u64,
    },
    /// The files of a folder do not belong together.
    #[error("{}: expected {what} {expected}, found {found}; import the data again", path.display())]
    Inconsistent {
        /// The file that differs from what `dataset.json` says.
        path: PathBuf,
        /// Which figure differs.
        what: &'static str,
        /// What `dataset.json` says.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// Saving would erase a folder that is not a dataset.
    #[error("{} holds other files than a dataset; choose a new or empty folder", path.display())]
    NotReplaceable {
        /// The folder.
        path: PathBuf,
    },
}

impl DatasetError {
    /// Whether the fault lies in what was given to be read, rather than in the place where
    /// something is to be written.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        !matches!(self, Self::Io { action, .. } if !["open", "read"].contains(action))
    }

    /// `map_err` for what the system refused.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A line that is not of the format.
    pub(crate) fn malformed(
        path: &Path,
        line: u64,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::Malformed {
            path: path.to_path_buf(),
            line,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
