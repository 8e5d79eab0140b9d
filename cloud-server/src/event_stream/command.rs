use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::{Args, builder::RangedU64ValueParser};
use tandem_storage::{Location, Storage, StorageError};

use super::{
    EventStream, EventStreamError, EventStreamUrl,
    consumer::{Consuming, Counts},
};
use crate::{
    LogFormat,
    secrets::Secret,
    signals::{HangUps, Signals},
};

/// Stores the events of an event stream in a database, until SIGTERM. Any number of processes may do
/// it together.
#[derive(Debug, Args)]
pub struct ConsumeCommand {
    /// The stream to which servers publish events: `nats://USER:PASSWORD@HOST:PORT/NAME`, of which
    /// user, password, port and name may be left out.
    #[arg(long, value_name = "URL", value_parser = Secret::<EventStreamUrl>::new(), env = "TANDEM_EVENT_STREAM", hide_env_values = true)]
    event_stream: EventStreamUrl,
    /// The database of the servers: a file of SQLite (`shop.db`, `sqlite:shop.db`) or URL of PostgreSQL
    /// (`postgres://USER:PASSWORD@HOST/DATABASE`).
    #[arg(long, value_name = "URL", value_parser = Secret::<Location>::new(), env = "TANDEM_STORAGE", hide_env_values = true)]
    storage: Location,
    /// Maximum time in seconds to wait at the start for a stream or a database that does not answer, 0
    /// to 3600; then the start fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = RangedU64ValueParser::<u64>::new().range(0..=3_600), env = "TANDEM_STORAGE_WAIT")]
    storage_wait: u64,
    /// Format of the log on stderr.
    #[arg(long, value_name = "FORMAT", default_value = "auto", env = "TANDEM_LOG_FORMAT")]
    log_format: LogFormat,
}

/// Why events of the stream are not stored.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The stream cannot be used.
    #[error("{0}; see --event-stream")]
    Stream(Box<EventStreamError>),
    /// The storage cannot be used.
    #[error("{0}; see --storage")]
    Storage(#[from] StorageError),
    /// The operating system refused to tell signals.
    #[error("the program failed: {0}")]
    System(#[from] io::Error),
}

impl From<EventStreamError> for ConsumeError {
    fn from(error: EventStreamError) -> Self {
        Self::Stream(Box::new(error))
    }
}

impl ConsumeCommand {
    /// Format of the log.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Runs until SIGTERM or SIGINT and returns what it prints.
    ///
    /// # Errors
    /// See [`ConsumeError`].
    pub fn run(self) -> Result<String, ConsumeError> {
        let patience = Duration::from_secs(self.storage_wait);
        let storage = Storage::open_within(&self.storage, patience)?;
        let stream = EventStream::open(&self.event_stream, patience)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let consumed = stream.block_on(async {
            let mut signals = Signals::listen(HangUps::wait_for()?)?;
            let stop = Arc::clone(&stopped);
            tokio::spawn(async move {
                signals.stop().await;
                stop.store(true, Ordering::Relaxed);
            });
            tracing::info!(
                stream = %self.event_stream,
                storage = %self.storage,
                "storing the events of the stream"
            );
            Ok(Consuming::new(&stream, &storage, &stopped).run().await?)
        });
        storage.block_on(storage.close());
        consumed.map(|Counts { messages, stored, left_out, refused }| {
            format!(
                "{stored} events of {messages} messages stored, {left_out} left out, {refused} messages refused"
            )
        })
    }
}
