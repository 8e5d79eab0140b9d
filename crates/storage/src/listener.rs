//! The connection on which announcements of other servers arrive.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use sqlx::{
    Executor,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    select,
    time::{sleep, timeout},
};

use crate::{announcements::Change, postgres::PostgresServer};

/// Time between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);
/// Time without an announcement after which the connection is asked whether it still exists.
const QUIET: Duration = Duration::from_secs(30);
/// Maximum time for its answer.
const ANSWER: Duration = Duration::from_secs(10);

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
    listener.listen_all(Change::ALL.map(Change::channel)).await?;
    let schema: Option<String> =
        sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut listener).await?;
    // Something may have been announced before.
    for change in Change::ALL {
        server.announced.tell(change);
    }
    loop {
        if let Ok(heard) = timeout(QUIET, listener.try_recv()).await {
            let heard = heard?.ok_or_else(lost)?;
            if schema.as_deref().is_none_or(|schema| heard.payload() == schema) {
                let mut changes = Change::ALL.into_iter();
                let change = changes.find(|change| change.channel() == heard.channel());
                if let Some(change) = change {
                    server.announced.tell(change);
                }
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
