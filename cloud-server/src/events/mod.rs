//! The event log: append-only files of JSON lines.

mod check;
mod device_time;
mod file;
mod known;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tandem_dataset::event_log::{self, DISAGREEMENTS, INTERACTIONS, LOCK, SIGNALS};
use tandem_protocol::{EventKind, ItemId, LoggedEvent};
use tandem_storage::StoredEvent;

pub(crate) use check::{MAX_EVENTS, MAX_ID, MAX_ITEM, is_id, is_item};
pub(crate) use device_time::plausible;
use file::LogFile;
use known::{KnownEvents, Tail};

/// Default maximum size of a log file in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;
/// Time to wait for another process that is writing to the same folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(2);

/// Why events could not be logged. Nothing of the request was written then.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The file has its maximum size.
    #[error("{} has reached {max_bytes} bytes; move it to another folder", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// The maximum size.
        max_bytes: u64,
    },
    /// The disk or the quota is full.
    #[error("no space left to write {}: {source}; free some space", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process holds the lock of the folder.
    #[error("{} is locked by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file cannot be opened, read or written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl EventLogError {
    fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, source }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// Three files in one folder: `interactions.jsonl` (clicks and purchases, readable by
/// `tandem import --events`), `signals.jsonl` (views and dislikes), `disagreements.jsonl`.
///
/// The events of a request are written whole or not at all. An event that a session sends again
/// is not logged twice, also after a restart and if several processes share the folder: before a
/// write, the log reads what has been added to its files since the last one. Files can be moved
/// while the server runs; every write opens them again.
///
/// Events that were accepted are with the operating system, not necessarily on the disk: a power
/// failure can lose those of the last seconds.
#[derive(Debug)]
pub struct EventLog {
    folder: PathBuf,
    lock: File,
    max_bytes: u64,
    state: Mutex<State>,
    /// See [`EventLog::alone`].
    counting: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: KnownEvents,
    /// How far the known events of each file have been read.
    tails: [Tail; 2],
}

/// A line of the event log.
#[derive(Serialize)]
pub(crate) struct LogRecord<'a> {
    user: &'a str,
    item: &'a str,
    /// Milliseconds since 1970 by the clock of the device.
    timestamp: u64,
    #[serde(rename = "type")]
    kind: EventKind,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recommendation: Option<&'a str>,
}

impl<'a> LogRecord<'a> {
    /// An event of the storage.
    pub(crate) fn of(event: &'a StoredEvent) -> Self {
        Self {
            user: &event.session,
            item: event.item.as_str(),
            timestamp: event.at,
            kind: event.kind,
            id: &event.id,
            recommendation: event.recommendation.as_deref(),
        }
    }
}

impl EventLog {
    /// Opens the log in `folder`, which is created if it does not exist, and reads the newest
    /// events of its files. At most `max_bytes` are written to each file.
    ///
    /// # Errors
    /// If the folder cannot be created, or no file in it can be read and written.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, EventLogError> {
        fs::create_dir_all(folder).map_err(|source| EventLogError::io(folder, source))?;
        let path = folder.join(LOCK);
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        let lock = lock.map_err(|source| EventLogError::io(&path, source))?;
        let log = Self {
            folder: folder.to_owned(),
            lock,
            max_bytes,
            state: Mutex::default(),
            counting: Mutex::default(),
        };
        log.locked(|state| {
            // Opens the files for writing, which a folder without write permission refuses.
            let files = log.open_event_files()?;
            catch_up(state, &files)
        })?;
        Ok(log)
    }

    /// Appends the events of `session` that are new and returns them. Blocks.
    ///
    /// # Errors
    /// See [`EventLogError`]. None of the events was written then, and all of them stay new.
    pub fn append<'a>(
        &self,
        session: &str,
        events: &'a [LoggedEvent],
    ) -> Result<Vec<&'a LoggedEvent>, EventLogError> {
        self.locked(|state| {
            let mut files = self.open_event_files()?;
            catch_up(state, &files)?;
            let mut in_request = HashSet::new();
            let new: Vec<&LoggedEvent> = events
                .iter()
                .filter(|event| {
                    !state.known.contain(session, &event.id) && in_request.insert(event.id.as_str())
                })
                .collect();
            let lines = |wanted: bool| {
                let wanted = new.iter().filter(move |event| is_interaction(event.kind) == wanted);
                wanted.map(|event| LogRecord {
                    user: session,
                    item: event.item.as_str(),
                    timestamp: event.at,
                    kind: event.kind,
                    id: &event.id,
                    recommendation: event.recommendation.as_deref(),
                })
            };
            let texts = [to_lines(lines(true)), to_lines(lines(false))];
            for (file, text) in files.iter().zip(&texts) {
                file.check_size(text, self.max_bytes)?;
            }
            let [interactions, signals] = &mut files;
            interactions.append(&texts[0])?;
            if let Err(error) = signals.append(&texts[1]) {
                interactions.take_back(&texts[0])?;
                return Err(error);
            }
            for ((tail, file), text) in state.tails.iter_mut().zip(&files).zip(&texts) {
                tail.advance(file, text.len() as u64);
            }
            for event in &new {
                state.known.insert(session, &event.id);
            }
            Ok(new)
        })
    }

    /// Calls `task` while no other thread of this process writes and counts events: what is counted
    /// is then what the files have. Blocks.
    pub(crate) fn alone<T>(&self, task: impl FnOnce() -> T) -> T {
        let _alone = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        task()
    }

    /// Removes all events of `session`, also from files that were renamed within the folder, and
    /// returns their number. Blocks.
    ///
    /// # Errors
    /// See [`EventLogError`]. Files that were reached before are without the events then.
    pub fn forget(&self, session: &str) -> Result<u64, EventLogError> {
        self.locked(|state| {
            let failed = |source| EventLogError::io(&self.folder, source);
            let mut removed = 0;
            for path in event_log::files(&self.folder).map_err(failed)? {
                let found = event_log::remove_user(&path, session);
                removed += found.map_err(|source| EventLogError::io(&path, source))?;
            }
            state.known.forget(session);
            Ok(removed)
        })
    }

    /// Calls `each` with session, item and time (milliseconds since 1970) of every click and
    /// purchase in the log, oldest first. Lines that cannot be read are passed over. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn for_each_interaction(
        &self,
        mut each: impl FnMut(&str, &ItemId, u64),
    ) -> Result<(), EventLogError> {
        #[derive(Deserialize)]
        struct Line {
            user: String,
            item: ItemId,
            timestamp: u64,
        }

        let path = self.folder.join(INTERACTIONS);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(|source| EventLogError::io(&path, source))?,
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|source| EventLogError::io(&path, source))?;
            if let Ok(Line { user, item, timestamp }) = serde_json::from_slice(&line) {
                each(&user, &item, timestamp);
            }
        }
        Ok(())
    }

    /// Appends the disagreement reported by a device in shadow mode. Blocks.
    ///
    /// # Errors
    /// See [`EventLogError`].
    pub fn append_disagreement<T: Serialize>(&self, report: T) -> Result<(), EventLogError> {
        self.locked(|_| {
            let mut file = LogFile::open(&self.folder.join(DISAGREEMENTS))?;
            let text = to_lines(std::iter::once(report));
            file.check_size(&text, self.max_bytes)?;
            file.append(&text)
        })
    }

    /// Size at which a file accepts no more events, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Sizes of the log files in bytes, by name. Blocks.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64); 3] {
        [INTERACTIONS, SIGNALS, DISAGREEMENTS].map(|name| {
            (name, fs::metadata(self.folder.join(name)).map_or(0, |metadata| metadata.len()))
        })
    }

    fn open_event_files(&self) -> Result<[LogFile; 2], EventLogError> {
        let [interactions, signals] = [INTERACTIONS, SIGNALS].map(|name| self.folder.join(name));
        Ok([LogFile::open(&interactions)?, LogFile::open(&signals)?])
    }

    /// Calls `task` while no other thread and no other process writes to the folder.
    fn locked<T>(
        &self,
        task: impl FnOnce(&mut State) -> Result<T, EventLogError>,
    ) -> Result<T, EventLogError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let path = || self.folder.join(LOCK);
        let end = Instant::now() + LOCK_PATIENCE;
        loop {
            match self.lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(EventLogError::Locked { path: path() });
                }
                Err(TryLockError::Error(source)) => return Err(EventLogError::io(&path(), source)),
            }
        }
        let result = task(&mut state);
        self.lock.unlock().map_err(|source| EventLogError::io(&path(), source))?;
        result
    }
}

/// Learns the events that were written by another process, or before a restart.
fn catch_up(state: &mut State, files: &[LogFile; 2]) -> Result<(), EventLogError> {
    let State { known, tails } = state;
    for (tail, file) in tails.iter_mut().zip(files) {
        tail.catch_up(file, |session, id| known.insert(session, id))?;
    }
    Ok(())
}

fn to_lines<T: Serialize>(records: impl Iterator<Item = T>) -> Vec<u8> {
    let mut text = Vec::new();
    for record in records {
        let before = text.len();
        match serde_json::to_writer(&mut text, &record) {
            Ok(()) => text.push(b'\n'),
            // Plain structs of text and numbers: this does not happen.
            Err(error) => {
                text.truncate(before);
                tracing::error!(%error, "a line of the event log cannot be written as JSON");
            }
        }
    }
    text
}

/// Whether events of this kind join a history and can train a model.
pub(crate) fn is_interaction(kind: EventKind) -> bool {
    matches!(kind, EventKind::Click | EventKind::Purchase)
}
