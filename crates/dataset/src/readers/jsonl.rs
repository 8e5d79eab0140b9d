use std::{collections::HashSet, path::Path};

use serde::{Deserialize, de::DeserializeOwned};
use tandem_protocol::ItemId;

use super::{
    Provenance,
    log::{Log, id_fault},
    title::split_year,
};
use crate::{Dataset, DatasetError, Item, lines::Lines};

/// One line of a log.
#[derive(Deserialize)]
struct Interaction {
    #[serde(alias = "user_id", alias = "userid")]
    user: Id,
    #[serde(alias = "item_id", alias = "itemid", alias = "id")]
    item: Id,
    #[serde(default, alias = "time", alias = "unix_time")]
    timestamp: Option<Time>,
}

/// One line of a catalogue.
#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "item_id", alias = "itemid", alias = "id")]
    item: Id,
    #[serde(default, alias = "movie_title", alias = "item_title", alias = "name")]
    title: Option<String>,
    #[serde(default, alias = "release_year")]
    year: Option<u16>,
    #[serde(default, alias = "genre", alias = "categories", alias = "category")]
    genres: Vec<String>,
}

/// Ids are often numbers in JSON.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string or a whole number")]
enum Id {
    Text(String),
    Natural(u64),
    Negative(i64),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a number")]
enum Time {
    Whole(i64),
    Fraction(f64),
}

impl Id {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text.trim().to_owned(),
            Self::Natural(number) => number.to_string(),
            Self::Negative(number) => number.to_string(),
        }
    }
}

impl Time {
    fn whole(self) -> i64 {
        match self {
            Self::Whole(time) => time,
            Self::Fraction(time) => time.floor() as i64,
        }
    }
}

/// Reads one JSON object per line: `log` with a user, an item and, in all lines or none, a
/// time (a number, in any unit); `catalogue` with an item and, if known, title, year and
/// genres (an array). Other fields are ignored.
///
/// # Errors
/// [`DatasetError::Io`] if a file cannot be read, [`DatasetError::Malformed`] for a violation
/// of the format, and errors of [`Dataset::new`].
pub fn jsonl(
    log: &Path,
    catalogue: Option<&Path>,
    provenance: Provenance,
) -> Result<Dataset, DatasetError> {
    let known = match catalogue {
        Some(path) => read_entries(path)?,
        None => Vec::new(),
    };
    let mut events = Log::default();
    let mut timed = None;
    for_each_object(log, |interaction: Interaction, lines| {
        let (user, item) = (interaction.user.into_text(), interaction.item.into_text());
        for (id, what) in [(&user, "a user id"), (&item, "an item id")] {
            if let Some(fault) = id_fault(id) {
                return Err(lines.malformed(what, fault));
            }
        }
        let time = interaction.timestamp.map(Time::whole);
        if *timed.get_or_insert(time.is_some()) != time.is_some() {
            return Err(if time.is_some() {
                lines.malformed("no time, as in the lines before", "a time")
            } else {
                lines.malformed("a time, as in the lines before", "none")
            });
        }
        events.add(&user, &item, time);
        Ok(())
    })?;
    events.refuse_empty(log, 1)?;
    events.into_dataset(provenance, known)
}

fn read_entries(path: &Path) -> Result<Vec<Item>, DatasetError> {
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for_each_object(path, |entry: Entry, lines| {
        let id = entry.item.into_text();
        if let Some(fault) = id_fault(&id) {
            return Err(lines.malformed("an item id", fault));
        }
        if !seen.insert(id.clone()) {
            return Err(lines.malformed("each item once", format_args!("{id} again")));
        }
        let (title, year) = split_year(entry.title.as_deref().unwrap_or_default());
        items.push(Item {
            id: ItemId::new(id),
            title: title.to_owned(),
            year: entry.year.or(year),
            genres: entry.genres,
            count: 0,
        });
        Ok(())
    })?;
    Ok(items)
}

fn for_each_object<T: DeserializeOwned>(
    path: &Path,
    mut take: impl FnMut(T, &Lines) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(object) => take(object, &lines)?,
            Err(error) => return Err(lines.malformed("a JSON object", error)),
        }
    }
    Ok(())
}
