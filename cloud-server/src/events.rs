//! The log of events, where the operator wished for one: JSON lines, only ever appended to.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use tandem_protocol::{EventKind, LoggedEvent};

/// A file of the log grows to this many bytes and no further.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// So many of the newest names are known, to tell repeats by.
const KNOWN_NAMES: usize = 100_000;

/// What could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file has its largest size: it is to be moved away.
    #[error("{} has reached {MAX_FILE_BYTES} bytes; move it away to go on", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Three files in one folder: `interactions.jsonl` (clicks and purchases, as `tandem import
/// jsonl` reads them), `signals.jsonl` (views and dislikes), `disagreements.jsonl`.
///
/// Each line is written by one call and the file opened anew for it, so that files may be
/// moved away while the server runs.
#[derive(Debug)]
pub struct EventLog {
    folder: PathBuf,
    max_bytes: u64,
    known: Mutex<Known>,
}

/// Names of the newest events, oldest first.
#[derive(Debug, Default)]
struct Known {
    names: HashSet<String>,
    order: VecDeque<String>,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    user: &'a str,
    item: &'a str,
    /// Milliseconds since 1970, by the device's clock.
    timestamp: u64,
    #[serde(rename = "type")]
    kind: EventKind,
    id: &'a str,
}

impl EventLog {
    /// A log in `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes: MAX_FILE_BYTES,
            known: Mutex::new(Known::default()),
        })
    }

    /// Appends the events that are not there yet; returns how many those are. Blocks.
    pub fn append(&self, session: &str, events: &[LoggedEvent]) -> Result<usize, LogError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = HashSet::new();
        let new: Vec<&LoggedEvent> = events
            .iter()
            .filter(|event| {
                !known.names.contains(event.id.as_str()) && fresh.insert(event.id.as_str())
            })
            .collect();
        let lines = |wanted: fn(EventKind) -> bool| {
            let chosen = new.iter().filter(move |event| wanted(event.kind));
            chosen.map(|event| Line {
                user: session,
                item: event.item.as_str(),
                timestamp: event.at,
                kind: event.kind,
                id: &event.id,
            })
        };
        self.write("interactions.jsonl", lines(is_interaction))?;
        self.write("signals.jsonl", lines(|kind| !is_interaction(kind)))?;
        for event in &new {
            known.remember(event.id.clone());
        }
        Ok(new.len())
    }

    /// Appends a number of shadow mode. Blocks.
    pub fn append_disagreement<T: Serialize>(&self, report: T) -> Result<(), LogError> {
        // One at a time, as events are.
        let _known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.write("disagreements.jsonl", std::iter::once(report))
    }

    fn write<T: Serialize>(
        &self,
        name: &str,
        lines: impl Iterator<Item = T>,
    ) -> Result<(), LogError> {
        let path = self.folder.join(name);
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| LogError::Io { path: path.clone(), source: error.into() })?;
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        let failed = |source| LogError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size + text.len() as u64 > self.max_bytes {
            return Err(LogError::Full { path });
        }
        file.write_all(&text).map_err(failed)
    }
}

impl Known {
    fn remember(&mut self, name: String) {
        if self.order.len() == KNOWN_NAMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        self.order.push_back(name.clone());
        self.names.insert(name);
    }
}

/// What joins a history, and what a model can be trained on.
fn is_interaction(kind: EventKind) -> bool {
    matches!(kind, EventKind::Click | EventKind::Purchase)
}

#[cfg(test)]
mod tests {
    use tandem_protocol::ItemId;

    use super::*;

    #[test]
    fn a_file_grows_to_its_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let log = EventLog { max_bytes: 100, ..EventLog::open(folder.path()).unwrap() };
        let event = |id: &str| LoggedEvent {
            id: id.to_owned(),
            kind: EventKind::Click,
            item: ItemId::from("1"),
            at: 5,
        };
        assert_eq!(log.append("s", &[event("a")]).unwrap(), 1);
        assert!(matches!(log.append("s", &[event("b")]), Err(LogError::Full { .. })));
        let path = folder.path().join("interactions.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"user\":\"s\",\"item\":\"1\",\"timestamp\":5,\"type\":\"click\",\"id\":\"a\"}\n"
        );
        // Once it is moved away the log goes on, and what was refused is no repeat.
        fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
        assert_eq!(log.append("s", &[event("b"), event("a")]).unwrap(), 1);
    }
}
