use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::EventLogError;

/// Bytes that are searched for the start of an unfinished last line. The longest line is shorter.
const MAX_LINE: u64 = 64 << 10;

/// An open file of the log, which ends with a whole line.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Size in bytes.
    size: u64,
    /// Tells one file from another of the same name.
    identity: u64,
}

impl LogFile {
    /// Opens or creates the file. An unfinished last line, of a process that was killed, is
    /// completed if it is JSON and removed otherwise: its events were not acknowledged.
    pub(super) fn open(path: &Path) -> Result<Self, EventLogError> {
        let failed = |source| EventLogError::io(path, source);
        let file = OpenOptions::new().create(true).append(true).read(true).open(path);
        let file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let identity = identity(&metadata);
        let mut log = Self { path: path.to_owned(), file, size: metadata.len(), identity };
        if metadata.is_file() {
            log.repair().map_err(failed)?;
        }
        Ok(log)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything from `start`.
    pub(super) fn read_from(&self, start: u64) -> io::Result<impl Read> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        Ok(file.take(self.size - start))
    }

    pub(super) fn check_size(&self, text: &[u8], max_bytes: u64) -> Result<(), EventLogError> {
        if text.is_empty() || self.size + text.len() as u64 <= max_bytes {
            return Ok(());
        }
        Err(EventLogError::Full { path: self.path.clone(), max_bytes })
    }

    /// Appends whole lines, or nothing.
    pub(super) fn append(&mut self, text: &[u8]) -> Result<(), EventLogError> {
        let Err(source) = self.file.write_all(text) else {
            self.size += text.len() as u64;
            return Ok(());
        };
        // Not possible for a device; `open` removes what a failure leaves in a file.
        if let Err(error) = self.file.set_len(self.size) {
            tracing::warn!(%error, path = %self.path.display(), "could not remove half a line");
        }
        Err(EventLogError::io(&self.path, source))
    }

    /// Removes what was appended last.
    pub(super) fn take_back(&mut self, text: &[u8]) -> Result<(), EventLogError> {
        let size = self.size - text.len() as u64;
        self.file.set_len(size).map_err(|source| EventLogError::io(&self.path, source))?;
        self.size = size;
        Ok(())
    }

    fn repair(&mut self) -> io::Result<()> {
        if self.size == 0 {
            return Ok(());
        }
        // A single byte tells whether there is anything to do.
        let mut last = Vec::new();
        self.read_from(self.size - 1)?.read_to_end(&mut last)?;
        if last == b"\n" {
            return Ok(());
        }
        let start = self.size.saturating_sub(MAX_LINE);
        let mut end = Vec::new();
        self.read_from(start)?.read_to_end(&mut end)?;
        let line = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if serde_json::from_slice::<serde::de::IgnoredAny>(&end[line..]).is_ok() {
            self.file.write_all(b"\n")?;
            self.size += 1;
            return Ok(());
        }
        tracing::warn!(path = %self.path.display(), "removed half a line from the event log");
        self.size = start + line as u64;
        self.file.set_len(self.size)
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> u64 {
    0
}
