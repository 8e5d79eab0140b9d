use std::path::Path;

use super::{
    Provenance,
    catalogue_table::{Dialect, read_items},
    columns::{ITEM, TIME, USER},
    csv_log::read_log,
    table::Table,
};
use crate::{Dataset, DatasetError};

/// The types that a column of an atomic file can have.
const TYPES: [&str; 4] = ["token", "token_seq", "float", "float_seq"];

/// Reads `RecBole`'s atomic files: `inter` (`.inter`) with the interactions, `item`
/// (`.item`) with the catalogue. Tab-separated, with a header of `name:type` columns.
///
/// As in the published files, a year that is not a number means that it is unknown, and so
/// does `unknown` as a genre or as the title of a film without a year.
///
/// # Errors
/// [`DatasetError::Io`] if a file cannot be read, [`DatasetError::Malformed`] for a violation
/// of the format, and errors of [`Dataset::new`].
pub fn recbole(
    inter: &Path,
    item: Option<&Path>,
    provenance: Provenance,
) -> Result<Dataset, DatasetError> {
    let known = match item {
        Some(path) => {
            let dialect = Dialect { genre_separator: " ", lenient: true };
            read_items(open_atomic(path)?, &dialect)?
        }
        None => Vec::new(),
    };
    let table = open_atomic(inter)?;
    let columns = (table.require(USER)?, table.require(ITEM)?, table.column(TIME));
    read_log(table, inter, columns)?.into_dataset(provenance, known)
}

fn open_atomic(path: &Path) -> Result<Table, DatasetError> {
    let table = Table::open_tabs(path)?;
    for column in table.header() {
        let typed = column.split_once(':').is_some_and(|(_, kind)| TYPES.contains(&kind.trim()));
        if !typed {
            return Err(table.malformed(
                format_args!("columns as name:type with a type of {}", TYPES.join(", ")),
                format_args!("{column:?}"),
            ));
        }
    }
    Ok(table)
}
