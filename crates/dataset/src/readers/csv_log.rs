use std::path::Path;

use super::{
    Provenance,
    catalogue_table::{Dialect, read_items},
    columns::{ITEM, TIME, USER},
    log::{Log, id_fault, parse_time},
    table::Table,
};
use crate::{Dataset, DatasetError};

/// Reads comma-separated values (RFC 4180) with a header: `log` with a user and an item
/// column and, if there is one, a time column (a number, in any unit); `catalogue` with an
/// item column and, if there are any, title, year and genres (separated by `|`).
///
/// # Errors
/// [`DatasetError::Io`] if a file cannot be read, [`DatasetError::Malformed`] for a violation
/// of the format, and errors of [`Dataset::new`].
pub fn csv(
    log: &Path,
    catalogue: Option<&Path>,
    provenance: Provenance,
) -> Result<Dataset, DatasetError> {
    let known = match catalogue {
        Some(path) => {
            let dialect = Dialect { genre_separator: "|", lenient: false };
            read_items(Table::open_commas(path)?, &dialect)?
        }
        None => Vec::new(),
    };
    let table = Table::open_commas(log)?;
    let columns = (table.require(USER)?, table.require(ITEM)?, table.column(TIME));
    read_log(table, log, columns)?.into_dataset(provenance, known)
}

/// Reads all rows of a table of interactions; the columns are user, item and time.
pub(super) fn read_log(
    mut table: Table,
    path: &Path,
    (user, item, time): (usize, usize, Option<usize>),
) -> Result<Log, DatasetError> {
    let mut log = Log::default();
    while table.next_row()? {
        for (column, what) in [(user, "a user id"), (item, "an item id")] {
            if let Some(fault) = id_fault(table.field(column)) {
                return Err(table.malformed(what, fault));
            }
        }
        let time =
            match time.map(|column| table.field(column)) {
                None => None,
                Some(text) => Some(parse_time(text).ok_or_else(|| {
                    table.malformed("a time as a number", format_args!("{text:?}"))
                })?),
            };
        log.add(table.field(user), table.field(item), time);
    }
    log.refuse_empty(path, 2)?;
    Ok(log)
}
