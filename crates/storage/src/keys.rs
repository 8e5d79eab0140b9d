//! The keys of all servers of a database: their hashes, not their texts.
//!
//! A counter grows with each change of the table, in the same transaction. Servers look at it and
//! read the keys when it has another value.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{
    Storage, StorageError,
    database::{constant, decode, with_announcing_writer, with_reader, with_snapshot},
};

/// Maximum number of keys of one name and kind: the old one and its successor.
pub const MAX_LIVE_KEYS: usize = 2;

/// A key as it is stored: its hash, not its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Its id, which is no secret; no other key has it.
    pub id: String,
    /// Name of its user.
    pub name: String,
    /// What it allows, for example `public` or `admin`. The storage does not interpret it.
    pub kind: String,
    /// SHA-256 of its text (hexadecimal); no other key has it.
    pub sha256: String,
    /// Origins whose pages may use it; empty: all.
    pub origins: Vec<String>,
    /// Requests per minute of all its clients together; `None`: no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// The day on which it was made (`2026-11-27`, UTC), if that is known.
    pub created: Option<String>,
}

/// All keys at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKeys {
    /// What [`Storage::keys_revision`] was then.
    pub revision: i64,
    /// The keys, in the order in which they were added.
    pub keys: Vec<StoredKey>,
}

/// Why a key was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddKeyError {
    /// There are [`MAX_LIVE_KEYS`] keys of this name and kind.
    #[error("`{name}` has {MAX_LIVE_KEYS} keys, {}; revoke one of them first", ids.join(" and "))]
    TooMany {
        /// The name.
        name: String,
        /// The ids of its keys, the oldest first.
        ids: Vec<String>,
    },
    /// Another key has the id or the hash.
    #[error("the key `{id}` cannot be stored, because another key has its id or its hash")]
    Taken {
        /// The id of the key that was not added.
        id: String,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The columns of a [`KeyRow`].
pub(crate) const KEY_COLUMNS: &str =
    "id, name, kind, sha256, CAST(origins AS TEXT), requests_per_minute, created";
pub(crate) type KeyRow = (String, String, String, String, String, Option<i64>, Option<String>);

const REVISION: &str = "SELECT value FROM counters WHERE name = 'keys'";
/// Counts a change. The row is locked until the transaction ends, so that changes take turns.
pub(crate) const KEYS_CHANGE: &str = "INSERT INTO counters (name, value) VALUES ('keys', 1) \
    ON CONFLICT (name) DO UPDATE SET value = counters.value + 1";

/// Adds keys, an array of JSON.
pub(crate) const ADD_KEYS_SQLITE: &str = "INSERT INTO keys (id, name, kind, sha256, origins, \
    requests_per_minute, created) SELECT value ->> 'id', value ->> 'name', value ->> 'kind', \
    value ->> 'sha256', value -> 'origins', value ->> 'requests_per_minute', \
    value ->> 'created' FROM json_each($1)";
pub(crate) const ADD_KEYS_POSTGRES: &str = "INSERT INTO keys (id, name, kind, sha256, origins, \
    requests_per_minute, created) SELECT id, name, kind, sha256, origins, requests_per_minute, \
    created FROM json_to_recordset($1::json) AS x (id text, name text, kind text, sha256 text, \
    origins jsonb, requests_per_minute bigint, created text)";

/// The key of a row.
pub(crate) fn key(row: KeyRow) -> StoredKey {
    let (id, name, kind, sha256, origins, requests_per_minute, created) = row;
    // What another program has stored is kept as it is: it is no origin, so servers leave the key
    // out, and it can be listed and revoked.
    let origins = decode(&origins).unwrap_or_else(|_| vec![origins]);
    // The table has no other numbers.
    let rate = requests_per_minute.and_then(|rate| u32::try_from(rate).ok());
    let requests_per_minute = rate.and_then(NonZeroU32::new);
    StoredKey { id, name, kind, sha256, origins, requests_per_minute, created }
}

impl Storage {
    /// How often keys were changed. Another number than before says that they have to be read again.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn keys_revision(&self) -> Result<i64, StorageError> {
        self.short(|database| async move {
            let value: Option<i64> = with_reader!(&database, connection => {
                sqlx::query_scalar(REVISION).fetch_optional(connection).await?
            });
            Ok(value.unwrap_or(0))
        })
        .await
    }

    /// All keys.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn keys(&self) -> Result<StoredKeys, StorageError> {
        type Read = (Option<i64>, Vec<KeyRow>);
        let query = format!("SELECT {KEY_COLUMNS} FROM keys ORDER BY number");
        self.short(move |database| async move {
            let (revision, rows): Read = with_snapshot!(&database, connection => {
                let revision =
                    sqlx::query_scalar(REVISION).fetch_optional(&mut *connection).await?;
                let rows = sqlx::query_as(constant(query)).fetch_all(&mut *connection).await?;
                (revision, rows)
            });
            let keys = rows.into_iter().map(key).collect();
            Ok(StoredKeys { revision: revision.unwrap_or(0), keys })
        })
        .await
    }

    /// Adds keys, all or none, and returns how many. One that is there already, with the same id
    /// and hash, is left as it is.
    ///
    /// # Errors
    /// See [`AddKeyError`].
    pub async fn add_keys(&self, keys: Vec<StoredKey>) -> Result<usize, AddKeyError> {
        const SAME: &str = "SELECT id, sha256 FROM keys WHERE id = $1 OR sha256 = $2";
        const LIVE: &str = "SELECT id FROM keys WHERE name = $1 AND kind = $2 ORDER BY number";
        self.short(move |database| async move {
            let add = database.sql(ADD_KEYS_SQLITE, ADD_KEYS_POSTGRES);
            let mut added = 0;
            with_announcing_writer!(&database, Keys, connection => {
                // First: who adds at the same time waits here, and counts these keys then.
                sqlx::query(KEYS_CHANGE).execute(&mut *connection).await?;
                for key in keys {
                    let same: Vec<(String, String)> = sqlx::query_as(SAME)
                        .bind(&key.id)
                        .bind(&key.sha256)
                        .fetch_all(&mut *connection)
                        .await?;
                    match same.first() {
                        None => {}
                        Some((id, hash)) if (id, hash) == (&key.id, &key.sha256) => continue,
                        // Dropping the transaction takes the change back.
                        Some(_) => return Ok(Err(AddKeyError::Taken { id: key.id })),
                    }
                    let live: Vec<String> = sqlx::query_scalar(LIVE)
                        .bind(&key.name)
                        .bind(&key.kind)
                        .fetch_all(&mut *connection)
                        .await?;
                    if live.len() >= MAX_LIVE_KEYS {
                        return Ok(Err(AddKeyError::TooMany { name: key.name, ids: live }));
                    }
                    // Plain data: this does not fail.
                    let json = serde_json::to_string(&[&key]).unwrap_or_default();
                    sqlx::query(add).bind(json).execute(&mut *connection).await?;
                    added += 1;
                }
                if added == 0 {
                    return Ok(Ok(0));
                }
            });
            Ok(Ok(added))
        })
        .await?
    }

    /// Removes the key of an id, and returns whether there was one.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn revoke_key(&self, id: &str) -> Result<bool, StorageError> {
        let id = id.to_owned();
        self.short(move |database| async move {
            with_announcing_writer!(&database, Keys, connection => {
                sqlx::query(KEYS_CHANGE).execute(&mut *connection).await?;
                let removed = sqlx::query("DELETE FROM keys WHERE id = $1")
                    .bind(&id)
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
                if removed == 0 {
                    // Dropping the transaction takes the change back.
                    return Ok(false);
                }
            });
            Ok(true)
        })
        .await
    }
}
