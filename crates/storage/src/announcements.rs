//! Announcements of changes to other servers of the same database (`NOTIFY` and `LISTEN` of
//! PostgreSQL).
//!
//! They only make servers look sooner. Each server also looks once a second, so an announcement
//! that is lost delays nothing by more: with a pooler between them that does not forward them, or
//! while the connection that listens is made again.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use sqlx::{
    Executor,
    postgres::{PgConnection, PgListener, PgPoolOptions},
    sqlite::SqliteConnection,
};
use tokio::{
    select,
    sync::watch,
    time::{sleep, timeout},
};

use crate::postgres::PostgresServer;

/// The channel of all announcements. Schemas of one database share it.
const CHANNEL: &str = "tandem";
/// The payload is the schema whose tables have changed.
const ANNOUNCE: &str = "SELECT pg_notify('tandem', current_schema())";
/// Time between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);
/// Time without an announcement after which the connection is asked whether it still exists.
const QUIET: Duration = Duration::from_secs(30);
/// Maximum time for its answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Changes of items, activations and keys by this and other servers of a database.
#[derive(Debug)]
pub struct Announcements(Option<watch::Receiver<()>>);

impl Announcements {
    /// Those of a server from now on; `None`: of a file, which has none.
    pub(crate) fn of(server: Option<&PostgresServer>) -> Self {
        Self(server.map(|server| server.announced.subscribe()))
    }

    /// Waits for the next one, or returns at once if there was one since the last call. Several may
    /// count as one. Never returns for a file of SQLite, or when the storage is closed.
    pub async fn next(&mut self) {
        let is_open = match &mut self.0 {
            Some(announced) => announced.changed().await.is_ok(),
            None => false,
        };
        if !is_open {
            std::future::pending::<()>().await;
        }
    }
}

/// Announces the changes of a transaction when it is committed.
pub(crate) trait Announce {
    async fn announce(&mut self) -> Result<(), sqlx::Error>;
}

impl Announce for PgConnection {
    async fn announce(&mut self) -> Result<(), sqlx::Error> {
        self.execute(ANNOUNCE).await.map(drop)
    }
}

impl Announce for SqliteConnection {
    /// SQLite has no announcements: other processes look once a second.
    async fn announce(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

/// Listens on a connection of its own until the storage is closed. Ends with the runtime.
pub(crate) fn listen(server: &Arc<PostgresServer>) {
    let server = Arc::clone(server);
    tokio::spawn(async move {
        let mut reason = String::new();
        loop {
            select! {
                () = server.closed() => break,
                Err(error) = hear(&server) => {
                    // An outage is in the log already.
                    let found = error.to_string();
                    if server.check().is_ok() && found != reason {
                        tracing::debug!(%error, "cannot listen to PostgreSQL; looks once a second");
                        reason = found;
                    }
                }
            }
            sleep(RETRY).await;
        }
    });
}

/// Passes announcements on until the connection fails.
async fn hear(server: &PostgresServer) -> Result<Infallible, sqlx::Error> {
    // A connection that hangs keeps its place in its pool, so each attempt has another pool.
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.connect_lazy_with(server.options().clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    let schema: Option<String> =
        sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut listener).await?;
    // Something may have been announced before.
    server.announced.send_replace(());
    loop {
        if let Ok(heard) = timeout(QUIET, listener.try_recv()).await {
            let heard = heard?.ok_or_else(lost)?;
            if schema.as_deref().is_none_or(|schema| heard.payload() == schema) {
                server.announced.send_replace(());
            }
        } else {
            let asked = timeout(ANSWER, listener.execute("SELECT 1")).await;
            asked.map_err(|_| lost())??;
        }
    }
}

fn lost() -> sqlx::Error {
    let lost = io::Error::new(io::ErrorKind::ConnectionAborted, "the connection does not answer");
    sqlx::Error::Io(lost)
}
