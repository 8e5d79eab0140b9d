use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    key::{Marks, Position, RowKey},
    part::{FileStorage, LogPart},
};
use crate::{
    DatasetError, ImportOptions,
    import::{
        census::{Fate, FileRules, NO_EVENT},
        id::meant,
        log::line_number,
        scan::Scan,
        users::KINDS,
    },
};

/// What becomes of the rows of all files.
#[derive(Serialize, Deserialize)]
pub struct LogRules {
    pub(super) files: Vec<FileKeys>,
    /// The weight of each event type, and of none.
    pub(super) weights: Vec<u32>,
    pub(super) timed: bool,
    /// Whether rows that do not count have keys, too, because their users may have the name of
    /// another.
    pub(super) with_dropped: bool,
}

/// What becomes of the rows of one file.
#[derive(Serialize, Deserialize)]
pub(super) struct FileKeys {
    pub(super) rules: FileRules,
    /// The event types of the file.
    pub(super) events: Vec<String>,
    pub(super) styles: Styles,
}

/// Whether whole numbers can be written as fractions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Styles {
    /// By the kind of the user's column.
    pub(super) users: [bool; KINDS.len()],
    pub(super) items: bool,
}

/// Reads a part of a log for the second time, and calls `take` with the key of each row.
///
/// # Errors
/// [`DatasetError::Io`] if the file cannot be read, and errors of `take`.
pub fn row_keys(
    part: &LogPart,
    rules: &LogRules,
    options: &ImportOptions,
    storage: &dyn FileStorage,
    mut take: impl FnMut(&[u8]) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let Some(FileKeys { rules: of_file, events, styles }) = rules.files.get(usize::from(part.file))
    else {
        let found = format!("none of file {}", part.file);
        return Err(DatasetError::Transfer { expected: "the rules of a file", found });
    };
    let numbers: HashMap<&str, u16> =
        events.iter().enumerate().map(|(number, name)| (name.as_str(), number as u16)).collect();
    let mut bytes = Vec::new();
    let mut position = Position { part: part.number, row: 0 };
    let source = part.source(storage)?;
    Scan::read(source, part.groups.as_ref(), options, |row| {
        let event = row.event.and_then(|event| numbers.get(event).copied()).unwrap_or(NO_EVENT);
        let (event, dropped) = match of_file.fate(event, row.time.map(|(_, kind)| kind)) {
            Fate::Counts(event) => (event, false),
            _ if rules.with_dropped => (NO_EVENT, true),
            _ => return Ok(()),
        };
        let key = RowKey {
            time: of_file.time(row.time),
            line: line_number(row.line),
            file: part.file,
            event,
            kind: row.kind as u8,
            marks: Marks { filled: row.filled, dropped },
        };
        let user = meant(row.user, styles.users[row.kind]);
        let item = meant(row.item, styles.items);
        let none = rules.weights.last().copied().unwrap_or_default();
        let weight = rules.weights.get(usize::from(event)).copied().unwrap_or(none);
        bytes.clear();
        key.write(&user, &item, weight, (!rules.timed).then_some(position), &mut bytes);
        position.row += 1;
        take(&bytes)
    })?;
    Ok(())
}

impl std::fmt::Debug for LogRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogRules").field("files", &self.files.len()).finish_non_exhaustive()
    }
}
