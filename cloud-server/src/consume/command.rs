use std::{
    ffi::OsString,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::{Args as ArgsTrait, Command, FromArgMatches, builder::RangedU64ValueParser};
use futures_lite::future::or;
use tandem_storage::{Location, Storage, StorageError};
use tokio::time::sleep;

use super::metrics;
use crate::{
    config::{Args, ConfigError, LogFormat},
    event_stream::{Consuming, Counters, Counts, EventStream, EventStreamError, EventStreamUrl},
    secrets::Secret,
    signals::{HangUps, Signals},
};

/// Time between two questions how many messages wait, for the metrics.
const LOOK: Duration = Duration::from_secs(1);

/// Stores the events of an event stream in a database, until SIGTERM. Any number of processes may do
/// it together.
///
/// Options are read as those of the server: from the command line, from environment variables
/// (`TANDEM_EVENT_STREAM`) and from the file that `--config` names, which may be that of the server.
#[derive(Debug, ArgsTrait)]
pub struct ConsumeCommand {
    /// The stream to which servers publish events: `nats://USER:PASSWORD@HOST:PORT/NAME`, or `tls://…`
    /// for a connection with TLS, of which user, password, port and name may be left out.
    #[arg(long, value_name = "URL", value_parser = Secret::<EventStreamUrl>::new())]
    event_stream: EventStreamUrl,
    /// The database of the servers: a file of SQLite (`shop.db`, `sqlite:shop.db`) or URL of PostgreSQL
    /// (`postgres://USER:PASSWORD@HOST/DATABASE`).
    #[arg(long, value_name = "URL", value_parser = Secret::<Location>::new())]
    storage: Location,
    /// Maximum time in seconds to wait at the start for a stream or a database that does not answer, 0
    /// to 3600; then the start fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = RangedU64ValueParser::<u64>::new().range(0..=3_600))]
    storage_wait: u64,
    /// Address at which `/metrics` is served to anyone who can reach it, for example
    /// `127.0.0.1:9464`; port 0 selects a free one [default: none].
    #[arg(long, value_name = "HOST:PORT")]
    metrics_listen: Option<String>,
    /// Format of the log on stderr.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    log_format: LogFormat,
    /// Check options, stream and database, and exit. As a start, it makes a stream and tables that are
    /// missing. The address of --metrics-listen is not checked.
    #[arg(long)]
    check: bool,
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
    /// The metrics cannot be served.
    #[error(
        "cannot serve metrics at {address}: {source}; give a free address such as 127.0.0.1:9464 with --metrics-listen"
    )]
    Metrics {
        /// The address.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },
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
    /// The command, for its help.
    #[must_use]
    pub fn command() -> Command {
        let command = Command::new("consume").bin_name("cloud-server consume");
        Self::augment_args(command).arg(Args::config_option())
    }

    /// Reads the options of a command line, whose first words are `cloud-server consume`, of the
    /// environment and of the file that `--config` names.
    ///
    /// # Errors
    /// As [`Args::load`].
    pub fn load(line: &[OsString]) -> Result<Self, ConfigError> {
        let matches = Args::load_command(Self::command(), line.get(1..).unwrap_or_default())?;
        Ok(Self::from_arg_matches(&matches)?)
    }

    /// Format of the log.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Runs until SIGTERM or SIGINT, or checks the options, and returns what it prints.
    ///
    /// # Errors
    /// See [`ConsumeError`].
    pub fn run(self) -> Result<String, ConsumeError> {
        let patience = Duration::from_secs(self.storage_wait);
        let storage = Storage::open_within(&self.storage, patience)?;
        let consumed = self.consume(&storage, patience);
        storage.block_on(storage.close());
        consumed
    }

    fn consume(&self, storage: &Storage, patience: Duration) -> Result<String, ConsumeError> {
        let stream = EventStream::open(&self.event_stream, patience)?;
        if self.check {
            return Ok("the configuration can be used".to_owned());
        }
        let counters = Counters::default();
        let bound = self.metrics_listen.as_deref().map(|address| {
            let failed = |source| ConsumeError::Metrics { address: address.to_owned(), source };
            metrics::serve(address, &counters).map_err(failed)
        });
        let bound = bound.transpose()?;
        if let Some(address) = bound {
            tracing::info!("metrics at http://{address}/metrics");
        }
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
            let consuming = Consuming::new(&stream, storage, &stopped, counters.clone()).run();
            let looking = async {
                loop {
                    if bound.is_some() {
                        counters.waiting(stream.count_waiting().await.ok());
                    }
                    sleep(LOOK).await;
                }
            };
            Ok(Box::pin(or(consuming, looking)).await?)
        });
        consumed.map(|Counts { messages, stored, duplicates, forgotten, refused }| {
            format!(
                "{stored} events of {messages} messages stored, {duplicates} duplicates and {forgotten} of removed visitors left out, {refused} messages refused"
            )
        })
    }
}
