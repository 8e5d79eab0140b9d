//! The event log: append-only files of JSON lines.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use tandem_protocol::{EventKind, LoggedEvent};

/// Maximum size of a log file in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Number of recent event ids that are remembered to detect repeated events.
const RECENT_IDS: usize = 100_000;

/// Why events could not be logged.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The file has its maximum size.
    #[error("{} has reached {MAX_FILE_BYTES} bytes; move it to another folder", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Three files in one folder: `interactions.jsonl` (clicks and purchases, readable by
/// `tandem import --events`), `signals.jsonl` (views and dislikes), `disagreements.jsonl`.
///
/// Every write opens its file again, so that files can be moved while the server runs. All
/// lines of a request for one file are written with one call.
#[derive(Debug)]
pub struct EventLog {
    folder: PathBuf,
    max_bytes: u64,
    recent: Mutex<RecentIds>,
}

/// The ids of the newest events.
#[derive(Debug, Default)]
struct RecentIds {
    ids: HashSet<String>,
    /// The ids, oldest first.
    order: VecDeque<String>,
}

/// A line of the event log.
#[derive(Serialize)]
struct LogRecord<'a> {
    user: &'a str,
    item: &'a str,
    /// Milliseconds since 1970 by the clock of the device.
    timestamp: u64,
    #[serde(rename = "type")]
    kind: EventKind,
    id: &'a str,
}

impl EventLog {
    /// Opens the log in `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes: MAX_FILE_BYTES,
            recent: Mutex::new(RecentIds::default()),
        })
    }

    /// Appends the events whose ids are new and returns their number. Blocks.
    ///
    /// # Errors
    /// See [`EventLogError`]; the ids of events that were not written stay new, so that a retry
    /// of the request writes these events only.
    pub fn append(&self, session: &str, events: &[LoggedEvent]) -> Result<usize, EventLogError> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut in_request = HashSet::new();
        let new: Vec<&LoggedEvent> = events
            .iter()
            .filter(|event| {
                !recent.ids.contains(event.id.as_str()) && in_request.insert(event.id.as_str())
            })
            .collect();
        let (interactions, signals): (Vec<&LoggedEvent>, Vec<&LoggedEvent>) =
            new.iter().copied().partition(|event| is_interaction(event.kind));
        for (name, events) in [("interactions.jsonl", interactions), ("signals.jsonl", signals)] {
            let records = events.iter().map(|event| LogRecord {
                user: session,
                item: event.item.as_str(),
                timestamp: event.at,
                kind: event.kind,
                id: &event.id,
            });
            self.write(name, records)?;
            for event in events {
                recent.insert(event.id.clone());
            }
        }
        Ok(new.len())
    }

    /// Appends the disagreement reported by a device in shadow mode. Blocks.
    ///
    /// # Errors
    /// See [`EventLogError`].
    pub fn append_disagreement<T: Serialize>(&self, report: T) -> Result<(), EventLogError> {
        // The lock serialises all writes to the log.
        let _recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        self.write("disagreements.jsonl", std::iter::once(report))
    }

    fn write<T: Serialize>(
        &self,
        name: &str,
        lines: impl Iterator<Item = T>,
    ) -> Result<(), EventLogError> {
        let path = self.folder.join(name);
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| EventLogError::Io { path: path.clone(), source: error.into() })?;
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        let failed = |source| EventLogError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size + text.len() as u64 > self.max_bytes {
            return Err(EventLogError::Full { path });
        }
        file.write_all(&text).map_err(failed)
    }
}

impl RecentIds {
    fn insert(&mut self, id: String) {
        if self.order.len() == RECENT_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.ids.insert(id);
    }
}

/// Whether events of this kind join a history and can train a model.
fn is_interaction(kind: EventKind) -> bool {
    matches!(kind, EventKind::Click | EventKind::Purchase)
}

#[cfg(test)]
mod tests {
    use tandem_protocol::ItemId;

    use super::*;

    fn event(id: &str, kind: EventKind) -> LoggedEvent {
        LoggedEvent { id: id.to_owned(), kind, item: ItemId::from("1"), at: 5 }
    }

    #[test]
    fn a_retry_after_half_a_failure_writes_no_click_twice() {
        let folder = tempfile::tempdir().unwrap();
        // The second file cannot be opened.
        let signals = folder.path().join("signals.jsonl");
        fs::create_dir(&signals).unwrap();
        let log = EventLog::open(folder.path()).unwrap();
        let events = [event("a", EventKind::Click), event("b", EventKind::View)];
        assert!(matches!(log.append("s", &events), Err(EventLogError::Io { .. })));
        fs::remove_dir(&signals).unwrap();
        assert_eq!(log.append("s", &events).unwrap(), 1);
        for name in ["interactions.jsonl", "signals.jsonl"] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(text.lines().count(), 1, "{name}");
        }
    }

    #[test]
    fn a_file_at_its_maximum_size_refuses_events() {
        let folder = tempfile::tempdir().unwrap();
        let log = EventLog { max_bytes: 100, ..EventLog::open(folder.path()).unwrap() };
        let event = |id: &str| event(id, EventKind::Click);
        assert_eq!(log.append("s", &[event("a")]).unwrap(), 1);
        assert!(matches!(log.append("s", &[event("b")]), Err(EventLogError::Full { .. })));
        let path = folder.path().join("interactions.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"user\":\"s\",\"item\":\"1\",\"timestamp\":5,\"type\":\"click\",\"id\":\"a\"}\n"
        );
        // After the file was moved, the log accepts the refused event as a new one.
        fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
        assert_eq!(log.append("s", &[event("b"), event("a")]).unwrap(), 1);
    }
}
