use std::{
    collections::{HashSet, VecDeque},
    io::{BufRead, BufReader},
    sync::Arc,
};

use serde::Deserialize;

use super::{EventLogError, file::LogFile};

/// Number of recent events that are remembered to detect repeated ones.
const MAX_KNOWN: usize = 100_000;
/// Bytes of each file that are read at the start: about [`MAX_KNOWN`] events.
const MAX_TAIL: u64 = 16 << 20;

/// The newest events, by session and id.
#[derive(Debug, Default)]
pub(super) struct KnownEvents {
    names: HashSet<Arc<str>>,
    /// The names, oldest first.
    order: VecDeque<Arc<str>>,
}

impl KnownEvents {
    pub(super) fn contain(&self, session: &str, id: &str) -> bool {
        self.names.contains(name(session, id).as_str())
    }

    pub(super) fn insert(&mut self, session: &str, id: &str) {
        let name: Arc<str> = name(session, id).into();
        if !self.names.insert(Arc::clone(&name)) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }

    /// Forgets the events of a session.
    pub(super) fn forget(&mut self, session: &str) {
        let prefix = name(session, "");
        self.order.retain(|name| !name.starts_with(&prefix));
        self.names.retain(|name| !name.starts_with(&prefix));
    }
}

/// Neither a session nor an id contains a space.
fn name(session: &str, id: &str) -> String {
    format!("{session} {id}")
}

/// How far a file of the log has been read.
#[derive(Debug, Default)]
pub(super) struct Tail {
    identity: u64,
    end: u64,
}

/// The part of a line that names its event.
#[derive(Deserialize)]
struct Name {
    user: String,
    id: String,
}

impl Tail {
    /// Reads the lines that were added since the last time and passes session and id of each.
    /// Lines of another shape are skipped.
    pub(super) fn catch_up(
        &mut self,
        file: &LogFile,
        mut found: impl FnMut(&str, &str),
    ) -> Result<(), EventLogError> {
        if self.identity != file.identity() || self.end > file.size() {
            *self = Self { identity: file.identity(), end: 0 };
        }
        if self.end == file.size() {
            return Ok(());
        }
        let start = self.end.max(file.size().saturating_sub(MAX_TAIL));
        let failed = |source| EventLogError::io(file.path(), source);
        let reader = BufReader::new(file.read_from(start).map_err(failed)?);
        for line in reader.split(b'\n') {
            // The first line may be cut.
            if let Ok(Name { user, id }) = serde_json::from_slice(&line.map_err(failed)?) {
                found(&user, &id);
            }
        }
        self.end = file.size();
        Ok(())
    }

    /// Skips `written` bytes at the end of the file, which are known.
    pub(super) fn advance(&mut self, file: &LogFile, written: u64) {
        debug_assert_eq!(self.end + written, file.size());
        self.end = file.size();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_are_forgotten_first() {
        let mut known = KnownEvents::default();
        for number in 0..=MAX_KNOWN {
            known.insert("s", &number.to_string());
        }
        known.insert("s", "7");
        assert!(!known.contain("s", "0"));
        assert!(known.contain("s", "1") && known.contain("s", &MAX_KNOWN.to_string()));
        assert_eq!(known.names.len(), MAX_KNOWN);
    }
}
