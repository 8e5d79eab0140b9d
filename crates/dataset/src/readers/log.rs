use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use tandem_protocol::ItemId;

use super::Provenance;
use crate::{Catalogue, Dataset, DatasetError, Item, ItemIndex, Sequence, compare_ids};

/// Interactions in the order of the file, before they are sorted.
#[derive(Default)]
pub(super) struct Log {
    users: Names,
    items: Names,
    rows: Vec<Row>,
}

/// One interaction. User and item are numbered by first appearance.
struct Row {
    user: u32,
    item: u32,
    time: Option<i64>,
}

/// Distinct strings in the order of their first appearance.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

impl Log {
    /// Adds an interaction. Both ids must be [valid](id_fault), and either all interactions
    /// of a log have a time or none has.
    pub(super) fn add(&mut self, user: &str, item: &str, time: Option<i64>) {
        let (user, item) = (self.users.number(user), self.items.number(item));
        self.rows.push(Row { user, item, time });
    }

    /// Refuses a log without interactions; `line` is where the first row would be.
    pub(super) fn refuse_empty(&self, path: &Path, line: u64) -> Result<(), DatasetError> {
        if self.rows.is_empty() {
            return Err(DatasetError::malformed(
                path,
                line,
                "at least one interaction",
                "the end of the file",
            ));
        }
        Ok(())
    }

    /// Sorts users, items and interactions, and takes the metadata of the items from `known`.
    pub(super) fn into_dataset(
        self,
        provenance: Provenance,
        known: Vec<Item>,
    ) -> Result<Dataset, DatasetError> {
        let mut items = known;
        let mut ids: HashSet<ItemId> = items.iter().map(|item| item.id.clone()).collect();
        for name in &self.items.names {
            let id = ItemId::new(name);
            if ids.insert(id.clone()) {
                items.push(Item::untitled(id));
            }
        }
        items.sort_by(|a, b| compare_ids(a.id.as_str(), b.id.as_str()));
        let catalogue = Catalogue::new(items)?;
        let indices: Vec<ItemIndex> = self
            .items
            .names
            .iter()
            .filter_map(|name| catalogue.index_of(&ItemId::new(name)))
            .collect();
        debug_assert_eq!(indices.len(), self.items.names.len(), "every item is in the catalogue");

        let mut visits: Vec<Vec<(Option<i64>, ItemIndex)>> =
            vec![Vec::new(); self.users.names.len()];
        for Row { user, item, time } in self.rows {
            visits[user as usize].push((time, indices[item as usize]));
        }
        let mut sequences: Vec<Sequence> = self
            .users
            .names
            .into_iter()
            .zip(visits)
            .map(|(user, mut visits)| {
                if visits.iter().all(|(time, _)| time.is_some()) {
                    // Indices follow the order of the ids, so ties are broken by id.
                    visits.sort();
                }
                let times = visits.iter().map(|&(time, _)| time).collect();
                let items = visits.into_iter().map(|(_, item)| item).collect();
                Sequence { user, items, times }
            })
            .collect();
        sequences.sort_by(|a, b| compare_ids(&a.user, &b.user));
        Dataset::new(provenance.name, catalogue, sequences, provenance.notice)
    }
}

/// Why a text cannot be an id, or `None` if it can.
pub(super) fn id_fault(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("nothing")
    } else if id.contains(char::is_control) {
        Some("a control character")
    } else {
        None
    }
}

/// A time in the unit of the source, rounded down to a whole number.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let time: f64 = text.parse().ok()?;
        // 2^63 is the first number that does not fit.
        (time.abs() < 9_223_372_036_854_775_808.0).then(|| time.floor() as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_down_to_whole_numbers() {
        assert_eq!(parse_time("881250949"), Some(881_250_949));
        assert_eq!(parse_time("8.81250949E8"), Some(881_250_949));
        assert_eq!(parse_time("-1.5"), Some(-2));
        for text in ["", "NaN", "inf", "1e300", "yesterday"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
