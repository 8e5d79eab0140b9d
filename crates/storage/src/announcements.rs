//! Announcements of changes to other servers of the same database (`NOTIFY` and `LISTEN` of
//! PostgreSQL).
//!
//! They only make servers look sooner. Each server also looks once a second, so an announcement
//! that is lost delays nothing by more: with a pooler between them that does not forward them, or
//! while the connection that listens is made again.

use sqlx::{postgres::PgConnection, sqlite::SqliteConnection};
use tokio::sync::watch;

/// The payload is the schema whose tables have changed: schemas of one database share the channels.
const ANNOUNCE: &str = "SELECT pg_notify($1, current_schema())";

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Items or their availability.
    Items,
    /// Which release is in use.
    Activations,
    /// Keys.
    Keys,
}

impl Change {
    pub(crate) const ALL: [Self; 3] = [Self::Items, Self::Activations, Self::Keys];

    /// The channel of PostgreSQL.
    pub(crate) const fn channel(self) -> &'static str {
        match self {
            Self::Items => "tandem_items",
            Self::Activations => "tandem_activations",
            Self::Keys => "tandem_keys",
        }
    }
}

/// Who waits for the changes of a database, for each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announced([watch::Sender<()>; Change::ALL.len()]);

impl Announced {
    pub(crate) fn tell(&self, change: Change) {
        self.0[change as usize].send_replace(());
    }
}

/// Changes of one kind by this and other servers of a database.
#[derive(Debug)]
pub struct Announcements(Option<watch::Receiver<()>>);

impl Announcements {
    /// Those from now on; `None`: of a file, which has none.
    pub(crate) fn of(announced: Option<&Announced>, change: Change) -> Self {
        Self(announced.map(|announced| announced.0[change as usize].subscribe()))
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

/// Announces a change of a transaction when it is committed.
pub(crate) trait Announce {
    async fn announce(&mut self, change: Change) -> Result<(), sqlx::Error>;
}

impl Announce for PgConnection {
    async fn announce(&mut self, change: Change) -> Result<(), sqlx::Error> {
        sqlx::query(ANNOUNCE).bind(change.channel()).execute(self).await.map(drop)
    }
}

impl Announce for SqliteConnection {
    /// SQLite has no announcements: other processes look once a second.
    async fn announce(&mut self, _: Change) -> Result<(), sqlx::Error> {
        Ok(())
    }
}
