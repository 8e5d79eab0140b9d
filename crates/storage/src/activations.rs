//! Which release was put in use, when and by whom.

use serde::Serialize;

use crate::{
    Storage, StorageError,
    database::{with_announcing_writer, with_reader},
    events::signed,
};

/// A release was put in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Activation {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Name of the release.
    pub release: String,
    /// Name of the release before it, if there was one.
    pub previous: Option<String>,
    /// Who asked for it: the id of a key, `local` for a caller without a key, or `server` if the
    /// server found it in the file `current`.
    pub caller: String,
}

impl Storage {
    /// Records that a release was put in use.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn record_activation(&self, activation: &Activation) -> Result<(), StorageError> {
        let Activation { at, release, previous, caller } = activation.clone();
        self.short(move |database| async move {
            with_announcing_writer!(&database, Activations, connection => {
                sqlx::query(
                    "INSERT INTO activations (at, release, previous, caller) \
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(signed(at))
                .bind(&release)
                .bind(&previous)
                .bind(&caller)
                .execute(&mut *connection)
                .await?;
            });
            Ok(())
        })
        .await
    }

    /// The newest activations, newest first.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StorageError> {
        const QUERY: &str = "SELECT at, release, previous, caller FROM activations \
                             ORDER BY number DESC LIMIT $1";
        self.short(move |database| async move {
            let rows: Vec<(i64, String, Option<String>, String)> =
                with_reader!(&database, connection => {
                    sqlx::query_as(QUERY).bind(i64::from(limit)).fetch_all(connection).await?
                });
            let activation = |(at, release, previous, caller): (i64, _, _, _)| Activation {
                at: at.cast_unsigned(),
                release,
                previous,
                caller,
            };
            Ok(rows.into_iter().map(activation).collect())
        })
        .await
    }
}
