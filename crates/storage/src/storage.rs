use std::{future::Future, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    select,
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::{
    Location, StorageError,
    announcements::{Announcements, Change},
    database::{Database, TURN, constant, with_reader},
    event_queue::EventQueue,
    priority::lower_priority,
};

/// Number of threads that wait for the database.
const THREADS: usize = 2;
/// Priority of these threads and of the connections'.
const NICE: i32 = 5;
/// Maximum time of a short operation. A database that is cut off from the network would otherwise
/// keep its callers for minutes.
const SHORT: Duration = Duration::from_secs(10);
/// Time between two attempts to open a database that does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum time of an operation on many rows.
const LONG: Duration = Duration::from_hours(1);

/// An open storage. Clones share it; it is closed when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    location: Location,
    database: Database,
    events: EventQueue,
    /// Changes of items take turns, so that many at once do not use up the connections.
    turn: Mutex<()>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so it may be called on an executor.
            runtime.shutdown_background();
        }
    }
}

/// Number of rows, and size on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Number of items that are not deleted.
    pub items: u64,
    /// Number of events.
    pub events: u64,
    /// Bytes on the disk: of the file and its write-ahead log, or of the tables and indices.
    pub bytes: u64,
}

impl Storage {
    /// Opens a storage, creates a file of SQLite if there is none, and brings its tables to the
    /// newest version. Blocks.
    ///
    /// # Errors
    /// [`StorageError::Open`] if it cannot be opened, [`StorageError::Newer`] if a newer program
    /// made its tables, [`StorageError::Locked`] if another process does not let go of it.
    pub fn open(location: &Location) -> Result<Self, StorageError> {
        Self::open_within(location, Duration::ZERO)
    }

    /// As [`Storage::open`], and tries again for as long as `patience` if the database does not
    /// answer. Errors that waiting does not change, such as a wrong password, are returned at once.
    ///
    /// # Errors
    /// See [`Storage::open`].
    pub fn open_within(location: &Location, patience: Duration) -> Result<Self, StorageError> {
        let failed = |error: std::io::Error| StorageError::Open {
            location: location.clone(),
            reason: format!("no threads: {error}"),
            is_temporary: false,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("storage")
            .on_thread_start(|| lower_priority(NICE))
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        // Not on the caller's thread, which may run another executor.
        let opened = std::thread::scope(|scope| {
            let opening = scope.spawn(|| {
                // The connections inherit it.
                lower_priority(NICE);
                handle.block_on(open(location, patience))
            });
            opening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let database = match opened {
            Ok(database) => database,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let events = EventQueue::start(&handle, database.clone());
        let location = location.clone();
        Ok(Self(Arc::new(Inner {
            location,
            database,
            events,
            turn: Mutex::default(),
            runtime: Some(runtime),
            handle,
        })))
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// Waits for a function of this storage on a thread that may block: not on one that runs an
    /// executor.
    pub fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        self.0.handle.block_on(task)
    }

    /// Runs a task on the storage's threads, to its end: also if the caller does not wait for it.
    ///
    /// # Errors
    /// [`StorageError::Closed`] if the storage is dropped meanwhile.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.0.handle.spawn(task).await.map_err(|_| StorageError::Closed)
    }

    /// Whether the database can be used, as far as it is known without asking it.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] while PostgreSQL is known not to answer,
    /// [`StorageError::Lost`] if the file or the tables are gone.
    pub fn check(&self) -> Result<(), StorageError> {
        self.0.database.check()
    }

    /// Listens to the changes of one kind that this and other servers of the database announce from
    /// now on.
    #[must_use]
    pub fn announcements(&self, change: Change) -> Announcements {
        let announced = match &self.0.database {
            Database::Sqlite { .. } => None,
            Database::Postgres(server) => Some(&server.announced),
        };
        Announcements::of(announced, change)
    }

    /// Closes all connections. Functions that are called afterwards fail with
    /// [`StorageError::Closed`].
    pub async fn close(&self) {
        let database = self.0.database.clone();
        // Its failure means that the connections are closed.
        let _ = self.0.handle.spawn(async move { database.close().await }).await;
    }

    /// Number of rows and size on the disk.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn sizes(&self) -> Result<Sizes, StorageError> {
        self.short(|database| async move {
            const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM items WHERE deleted IS NULL), \
                                  (SELECT COUNT(*) FROM events)";
            let bytes = database.sql(
                "SELECT (SELECT page_count FROM pragma_page_count) * \
                 (SELECT page_size FROM pragma_page_size)",
                "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::BIGINT FROM pg_class c \
                 WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace",
            );
            let ((items, events), bytes): ((i64, i64), i64) =
                with_reader!(&database, connection => {
                    let counts = sqlx::query_as(COUNTS).fetch_one(&mut *connection).await?;
                    (counts, sqlx::query_scalar(bytes).fetch_one(&mut *connection).await?)
                });
            let number = |value: i64| u64::try_from(value).unwrap_or_default();
            Ok(Sizes { items: number(items), events: number(events), bytes: number(bytes) })
        })
        .await
    }

    /// Limits the number of pages of a file of `SQLite`, so that tests can fill it. Does nothing in
    /// `PostgreSQL`.
    ///
    /// # Errors
    /// See [`StorageError`].
    #[doc(hidden)]
    pub async fn limit_pages_for_tests(&self, pages: u32) -> Result<(), StorageError> {
        self.short(move |database| async move {
            if let Database::Sqlite { writer, .. } = database {
                let limit = constant(format!("PRAGMA max_page_count = {pages}"));
                sqlx::query(limit).fetch_all(&writer).await?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) fn events(&self) -> &EventQueue {
        &self.0.events
    }

    /// Runs a task on the storage's threads, for a limited time.
    pub(crate) async fn short<T, F>(
        &self,
        task: impl FnOnce(Database) -> F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StorageError>> + Send + 'static,
    {
        self.within(SHORT, task(self.0.database.clone())).await
    }

    /// As [`Storage::short`], for operations on many rows.
    pub(crate) async fn long<T, F>(
        &self,
        task: impl FnOnce(Database) -> F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StorageError>> + Send + 'static,
    {
        self.within(LONG, task(self.0.database.clone())).await
    }

    /// As [`Storage::long`], for a change of items: one at a time, in the order of the calls.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if its turn does not come within [`TURN`].
    pub(crate) async fn change<T, F>(
        &self,
        task: impl FnOnce(Database) -> F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StorageError>> + Send + 'static,
    {
        let turn = timeout(TURN, self.0.turn.lock()).await;
        let _turn = turn.map_err(|_| StorageError::Locked {
            reason: format!("other changes of items take longer than {} s", TURN.as_secs()),
        })?;
        self.long(task).await
    }

    async fn within<T: Send + 'static>(
        &self,
        time: Duration,
        task: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.check()?;
        let database = self.0.database.clone();
        let task = self.0.handle.spawn(async move {
            let done = select! {
                done = timeout(time, task) => done.unwrap_or_else(|_| {
                    Err(StorageError::Unavailable {
                        reason: format!("no answer within {} s", time.as_secs()),
                    })
                }),
                failure = database.failure() => Err(failure),
            };
            match done {
                Ok(done) => Ok(done),
                Err(error) => Err(database.explain(error).await),
            }
        });
        task.await.map_err(|_| StorageError::Closed)?
    }
}

/// Opens a database that may be starting.
async fn open(location: &Location, patience: Duration) -> Result<Database, StorageError> {
    let until = Instant::now() + patience;
    let mut is_told = false;
    loop {
        match Database::open(location).await {
            Err(error @ StorageError::Open { is_temporary: true, .. })
                if Instant::now() < until =>
            {
                if !is_told {
                    is_told = true;
                    let seconds = patience.as_secs();
                    tracing::warn!(%error, "waiting up to {seconds} s for the database");
                }
                sleep(RETRY).await;
            }
            opened => return opened,
        }
    }
}
