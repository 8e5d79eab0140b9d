//! The rows of a database, written to a file.

use std::io::{self, Write};

use tandem_dataset::files::FileDraft;
use tandem_protocol::ItemId;

use super::{BackupSummary, DeletedItem, Disagreement, Line, PAGE, VERSION};
use crate::{
    StorageError,
    database::{Database, constant, with_snapshot},
    events::{COLUMNS, EventRow, event},
    items::{AVAILABILITY, COLUMNS_POSTGRES, COLUMNS_SQLITE, ItemRow, item},
    keys::{KEY_COLUMNS, KeyRow, key},
};

const DISAGREEMENTS: &str = "SELECT number, received, disagreement FROM disagreements \
    WHERE number > $1 ORDER BY number LIMIT $2";

pub(super) type Draft = zstd::Encoder<'static, FileDraft>;

fn put(draft: &mut Draft, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *draft, line)?;
    draft.write_all(b"\n")
}

/// Writes all rows. The outer error is of the database, the inner one of the file.
pub(super) async fn write_all(
    database: Database,
    mut draft: Draft,
) -> Result<io::Result<(FileDraft, BackupSummary)>, StorageError> {
    macro_rules! put {
        ($line:expr) => {
            if let Err(error) = put(&mut draft, &$line) {
                return Ok(Err(error));
            }
        };
    }
    let columns = database.sql(COLUMNS_SQLITE, COLUMNS_POSTGRES);
    let items = format!(
        "SELECT {columns} FROM items {AVAILABILITY} WHERE deleted IS NULL AND id > $1 \
         ORDER BY id LIMIT $2"
    );
    let events = format!("SELECT {COLUMNS} FROM events WHERE number > $1 ORDER BY number LIMIT $2");
    let keys = format!("SELECT {KEY_COLUMNS} FROM keys ORDER BY number");
    let mut summary = BackupSummary::default();
    put!(Line::TandemBackup { version: VERSION });
    with_snapshot!(&database, connection => {
        let mut after = String::new();
        loop {
            let rows: Vec<ItemRow> = sqlx::query_as(constant(items.clone()))
                .bind(&after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.0);
            summary.items += rows.len() as u64;
            for row in rows {
                put!(Line::Item(item(row)));
            }
        }
        let deleted: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, deleted FROM items WHERE deleted IS NOT NULL ORDER BY id")
                .fetch_all(&mut *connection)
                .await?;
        for (id, at) in deleted {
            summary.deleted += 1;
            put!(Line::Deleted(DeletedItem { id: ItemId::new(id), at }));
        }
        let mut after = 0_i64;
        loop {
            let rows: Vec<EventRow> = sqlx::query_as(constant(events.clone()))
                .bind(after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.0;
            for event in rows.into_iter().filter_map(event) {
                summary.events += 1;
                put!(Line::Event(event));
            }
        }
        let mut after = 0_i64;
        loop {
            let rows: Vec<(i64, i64, f64)> = sqlx::query_as(DISAGREEMENTS)
                .bind(after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.0;
            for (_, received, disagreement) in rows {
                summary.disagreements += 1;
                put!(Line::Disagreement(Disagreement { received, disagreement }));
            }
        }
        let forgotten: Vec<(String, i64)> =
            sqlx::query_as("SELECT name_sha256, at FROM forgotten_users ORDER BY name_sha256")
                .fetch_all(&mut *connection)
                .await?;
        for (name_sha256, at) in forgotten {
            summary.forgotten += 1;
            put!(Line::Forgotten { name_sha256, at });
        }
        let activations: Vec<(i64, String, Option<String>, String)> = sqlx::query_as(
            "SELECT at, release, previous, caller FROM activations ORDER BY number",
        )
        .fetch_all(&mut *connection)
        .await?;
        for (at, release, previous, caller) in activations {
            summary.activations += 1;
            put!(Line::Activation { at, release, previous, caller });
        }
        let keys: Vec<KeyRow> =
            sqlx::query_as(constant(keys)).fetch_all(&mut *connection).await?;
        for row in keys {
            summary.keys += 1;
            put!(Line::Key(key(row)));
        }
    });
    put!(Line::End(summary));
    Ok(draft.finish().map(|draft| (draft, summary)))
}
