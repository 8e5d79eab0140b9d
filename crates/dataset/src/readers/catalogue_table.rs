use std::collections::HashSet;

use tandem_protocol::ItemId;

use super::{
    columns::{GENRES, ITEM, TITLE, YEAR},
    log::id_fault,
    table::Table,
    title::{parse_year, split_year},
};
use crate::{DatasetError, Item};

/// Conventions that differ between item tables.
pub(super) struct Dialect {
    /// Separator of genres.
    pub(super) genre_separator: &'static str,
    /// Whether an invalid year means that it is unknown rather than an error, and `unknown`
    /// stands for an unknown title or genre.
    pub(super) lenient: bool,
}

/// Reads all items of a table with a header; the [module](super) lists the column names.
pub(super) fn read_items(mut table: Table, dialect: &Dialect) -> Result<Vec<Item>, DatasetError> {
    let id = table.require(ITEM)?;
    let [title, year, genres] = [TITLE, YEAR, GENRES].map(|names| table.column(names));
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    while table.next_row()? {
        let name = table.field(id);
        if let Some(fault) = id_fault(name) {
            return Err(table.malformed("an item id", fault));
        }
        if !seen.insert(name.to_owned()) {
            return Err(table.malformed("each item once", format_args!("{name} again")));
        }
        let (title, year_in_title) = split_year(title.map_or("", |column| table.field(column)));
        let written = year.map_or("", |column| table.field(column));
        let year = parse_year(written);
        if year.is_none() && !written.is_empty() && !dialect.lenient {
            return Err(table.malformed("a year of four digits", written));
        }
        let year = year.or(year_in_title);
        let absent = |text: &str| dialect.lenient && is_placeholder(text);
        // A film with a year can be called "Unknown".
        let title = if year.is_none() && absent(title) { "" } else { title };
        let genres = genres.map_or("", |column| table.field(column));
        items.push(Item {
            id: ItemId::new(name),
            title: title.to_owned(),
            year,
            genres: genres
                .split(dialect.genre_separator)
                .map(str::trim)
                .filter(|genre| !genre.is_empty() && !absent(genre))
                .map(str::to_owned)
                .collect(),
            count: 0,
        });
    }
    Ok(items)
}

/// Words of `RecBole`'s files for an unknown value, with their misspelling.
fn is_placeholder(text: &str) -> bool {
    ["unknown", "unkonwn"].iter().any(|word| text.eq_ignore_ascii_case(word))
}
