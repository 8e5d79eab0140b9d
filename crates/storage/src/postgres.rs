//! The connections to PostgreSQL, and whether it answers.
//!
//! While an outage is known, nothing waits for a connection: each call fails at once with the reason,
//! and a task asks the server again until it answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
};
use tokio::{
    select,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{StorageError, announcements::Announced, error::is_about_tables};

/// Maximum time to wait for a connection.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);
/// Maximum time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Time after which a connection that does not come is a reason to ask whether the server answers.
const SUSPICIOUS: Duration = Duration::from_millis(250);
/// Time between two questions during an outage.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum number of connections.
const CONNECTIONS: u32 = 8;
/// Maximum time to wait for a lock that another server holds.
const LOCK_PATIENCE: &str = "60s";

/// A number that is drawn when the tables are made. Tables with another one are of another database,
/// of whose items and events this process has read nothing.
const MAKE_IDENTITY: &str = "INSERT INTO counters (name, value) \
    VALUES ('identity', (random() * 9e15)::bigint) ON CONFLICT (name) DO NOTHING";
const IDENTITY: &str = "SELECT value FROM counters WHERE name = 'identity'";

/// What to do about tables that are gone.
const RESTART: &str = "restart the server, which makes missing tables and reads the database anew; \
                       `cloud-server restore` reads a backup into it before";

/// A database of PostgreSQL. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct PostgresServer {
    pool: PgPool,
    options: PgConnectOptions,
    identity: i64,
    condition: watch::Sender<Condition>,
    /// Changes of this and other servers.
    pub(crate) announced: Announced,
    /// Whether a task asks if the server answers.
    is_asking: Arc<AtomicBool>,
}

/// What is known of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Answers,
    /// It does not, for this reason.
    Outage(String),
    /// It does, but the tables are not those that this process has read.
    Lost(String),
}

impl Condition {
    fn check(&self) -> Result<(), StorageError> {
        match self {
            Self::Answers => Ok(()),
            Self::Outage(reason) => Err(StorageError::Unavailable { reason: reason.clone() }),
            Self::Lost(reason) => Err(StorageError::Lost { reason: reason.clone() }),
        }
    }
}

/// A connection of its own, in a limited time, so that its error is the real one.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    match timeout(CONNECT, PgConnection::connect_with(options)).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} s", CONNECT.as_secs()),
        ))),
    }
}

impl PostgresServer {
    /// The server of `connection`, which has the newest tables.
    pub(crate) async fn new(
        mut connection: PgConnection,
        options: PgConnectOptions,
    ) -> Result<Self, StorageError> {
        sqlx::query(MAKE_IDENTITY).execute(&mut connection).await?;
        let identity: i64 = sqlx::query_scalar(IDENTITY).fetch_one(&mut connection).await?;
        connection.close().await?;
        let pooled = options.clone().options([("lock_timeout", LOCK_PATIENCE)]);
        let pool = PgPoolOptions::new()
            .acquire_timeout(CONNECTION_PATIENCE)
            .max_connections(CONNECTIONS)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let found: Option<i64> =
                        sqlx::query_scalar(IDENTITY).fetch_optional(connection).await?;
                    if found == Some(identity) {
                        return Ok(());
                    }
                    Err(sqlx::Error::Protocol("the tables are those of another database".into()))
                })
            })
            .connect_lazy_with(pooled);
        let condition = watch::Sender::new(Condition::Answers);
        let announced = Announced::default();
        Ok(Self { pool, options, identity, condition, announced, is_asking: Arc::default() })
    }

    /// Fails if the server is known not to answer.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        self.condition.borrow().check()
    }

    /// Waits until the server is known not to answer, and returns the error.
    pub(crate) async fn failure(&self) -> StorageError {
        let mut condition = self.condition.subscribe();
        let failed = condition.wait_for(|condition| *condition != Condition::Answers).await;
        // The sender is in `self`, so the wait does not end otherwise.
        let failed = failed.map_or(Condition::Answers, |condition| condition.clone());
        failed.check().err().unwrap_or(StorageError::Closed)
    }

    /// A connection. Fails at once while an outage is known.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StorageError> {
        self.check()?;
        let acquired = self.pool.acquire();
        tokio::pin!(acquired);
        let acquired = select! {
            acquired = &mut acquired => acquired,
            () = sleep(SUSPICIOUS) => {
                self.suspect();
                select! {
                    acquired = &mut acquired => acquired,
                    failure = self.failure() => return Err(failure),
                }
            }
        };
        acquired.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => StorageError::Unavailable {
                reason: format!(
                    "all {CONNECTIONS} connections to PostgreSQL are in use for {} s",
                    CONNECTION_PATIENCE.as_secs()
                ),
            },
            error => error.into(),
        })
    }

    /// Asks in the background whether the server answers, again and again until it does.
    pub(crate) fn suspect(&self) {
        if self.is_asking.swap(true, Ordering::SeqCst) {
            return;
        }
        let server = self.clone();
        tokio::spawn(async move {
            loop {
                let found = server.ask().await;
                let is_over = found == Condition::Answers;
                server.note(&found);
                if is_over {
                    break;
                }
                sleep(RETRY).await;
            }
            server.is_asking.store(false, Ordering::SeqCst);
        });
    }

    fn note(&self, found: &Condition) {
        let before = self.condition.send_replace(found.clone());
        match (&before, found) {
            (Condition::Answers, Condition::Outage(reason)) => {
                tracing::error!(reason, "PostgreSQL does not answer");
            }
            (before, Condition::Lost(reason)) if before != found => {
                tracing::error!(reason, "the storage cannot be used");
            }
            (Condition::Outage(_) | Condition::Lost(_), Condition::Answers) => {
                tracing::info!("PostgreSQL answers again");
            }
            _ => {}
        }
    }

    async fn ask(&self) -> Condition {
        let asked = async {
            let mut connection = connect(&self.options).await?;
            let found = sqlx::query_scalar(IDENTITY).fetch_optional(&mut connection).await;
            // What it holds is closed with it.
            let _ = connection.close().await;
            found
        };
        let asked: Result<Option<i64>, sqlx::Error> =
            timeout(2 * CONNECT, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        match asked {
            Ok(Some(found)) if found == self.identity => Condition::Answers,
            Ok(_) => Condition::Lost(format!("the database was made again; {RESTART}")),
            Err(error) if is_about_tables(&error) => {
                Condition::Lost(format!("the database has no tables any more ({error}); {RESTART}"))
            }
            Err(error) if is_outage(&error) => Condition::Outage(reason_of(&error)),
            // Connections that are open may still work: too many are open, or the password was
            // changed.
            Err(_) => Condition::Answers,
        }
    }

    /// How to connect.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Waits until they are closed.
    pub(crate) async fn closed(&self) {
        self.pool.close_event().await;
    }
}

/// Whether an error of a new connection says that the database cannot be used.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // Connection exceptions, operator intervention, no such database, and one that accepts no
            // connections.
            code.starts_with("08") || code.starts_with("57") || code == "3D000" || code == "55000"
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut => true,
        _ => false,
    }
}

/// The cause of a failed connection in words of an operator.
pub(crate) fn reason_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) if database.code().as_deref() == Some("3D000") => {
            format!("{}; create it, and restart the servers", database.message())
        }
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Io(error) => format!("cannot connect to PostgreSQL: {error}"),
        sqlx::Error::PoolTimedOut => {
            "PostgreSQL accepts connections and does not answer".to_owned()
        }
        other => other.to_string(),
    }
}
