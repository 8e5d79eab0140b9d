//! The listening socket, the limit of open files, and the port file.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
};

use tandem_dataset::files::FileDraft;

use crate::start_error::StartError;

/// Connections that may wait to be accepted (`listen` backlog); the system may limit it.
const BACKLOG: i32 = 4096;
/// Files that are open beside those of connections.
const OTHER_FILES: u64 = 256;

/// The number of connections, at most `wanted`, for which the limit of open files can be raised.
pub(crate) fn connections(wanted: usize) -> usize {
    connections_within(raise_file_limit(wanted as u64 + OTHER_FILES), wanted)
}

/// Raises the limit of open files as far as the system allows. Returns the limit, if it is known.
fn raise_file_limit(wanted: u64) -> Option<u64> {
    #[cfg(unix)]
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) => return Some(limit),
        Err(error) => tracing::warn!(%error, wanted, "could not raise the limit of open files"),
    }
    None
}

/// The number of connections up to `wanted` for which the limit of open files is high enough.
/// Beyond it the server could neither accept nor refuse a connection.
fn connections_within(files: Option<u64>, wanted: usize) -> usize {
    let Some(files) = files else { return wanted };
    // At least a quarter, if the limit is lower than the number of other files.
    let possible = files.saturating_sub(OTHER_FILES).max(files / 4).max(1) as usize;
    if possible < wanted {
        tracing::warn!(
            files,
            wanted,
            connections = possible,
            "the system limits open files, so fewer connections are accepted; raise the limit"
        );
    }
    wanted.min(possible)
}

pub(crate) fn listen(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let opened = TcpListener::bind((host, port)).and_then(|listener| {
        // The standard library listens with a backlog of 128; a second `listen` replaces it.
        socket2::SockRef::from(&listener).listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { host: host.to_owned(), port },
        _ => StartError::Listen { host: host.to_owned(), port, source },
    })
}

/// Writes the port file atomically, so that a reader never sees a partial number.
pub(crate) fn write_port(path: &Path, port: u16) -> Result<(), StartError> {
    let write = || {
        let mut draft = FileDraft::new(path)?;
        writeln!(draft, "{port}")?;
        draft.publish()
    };
    write().map_err(|source| StartError::PortFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_by_open_files() {
        for (files, connections) in
            [(None, 1000), (Some(5000), 1000), (Some(1024), 768), (Some(300), 75), (Some(1), 1)]
        {
            assert_eq!(connections_within(files, 1000), connections, "{files:?}");
        }
    }
}
