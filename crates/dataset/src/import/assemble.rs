//! From rows to sequences.

use std::{collections::HashSet, rc::Rc};

use tandem_protocol::ItemId;

use super::{
    log::{Log, LogFacts, Row},
    options::ImportOptions,
    repeated_targets::RepeatedTargets,
    sequence_rules::{Removed, RowRules},
    summary::ParsedRow,
    time::{self, SECOND},
};
use crate::{Catalogue, Dataset, DatasetError, Item, ItemIndex, Sequence, compare_ids};

/// Rows of a summary that are shown.
pub(super) const SHOWN: usize = 3;

/// Sorted rows with the names that they refer to.
struct Rows {
    kept: Vec<Row>,
    /// User names in the order of their ids.
    users: Vec<Rc<str>>,
    catalogue: Catalogue,
}

/// The first rows of a log as they were understood.
pub(super) fn first_rows(log: &Log, timed: bool) -> Vec<ParsedRow> {
    let shown = log.rows.iter().take(SHOWN).map(|row| {
        let user = log.users.names()[row.user as usize].to_string();
        let item = log.items.names()[row.item as usize].to_string();
        parsed_row(&log.facts, timed, (user, item), row.time, row.event)
    });
    shown.collect()
}

/// A row as it was understood, given its user and item.
pub(super) fn parsed_row(
    facts: &LogFacts,
    timed: bool,
    (user, item): (String, String),
    time: i64,
    event: u16,
) -> ParsedRow {
    let dates = facts.summaries.iter().any(|file| file.are_dates);
    let shown = || if dates { time::display(time) } else { (time / SECOND).to_string() };
    let event = facts.event_types.get(usize::from(event)).map(|event| event.name.clone());
    ParsedRow { user, item, time: timed.then(shown), event }
}

/// The dataset of a log, and how many users repeat an item. `known` are the items of the catalogue.
///
/// # Errors
/// Errors of [`Dataset::new`] and [`Catalogue::new`].
pub(super) fn dataset(
    log: &mut Log,
    known: Vec<Item>,
    timed: bool,
    options: &ImportOptions,
) -> Result<(Dataset, RepeatedTargets), DatasetError> {
    let mut rows = Rows::new(log, known)?;
    rows.sort(&log.facts, timed);
    let Rows { mut kept, users, catalogue } = rows;
    let user = |row: &Row| &*users[row.user as usize];
    let mut removed = Removed::default();
    let mut rules = RowRules::new(&log.facts, &catalogue, timed, options, &mut removed);
    let mut targets = RepeatedTargets::default();
    each_user(&mut kept, |rows| {
        let name = user(&rows[0]);
        rules.apply(name, rows);
        targets.count(rows.iter().map(|row| row.item).collect());
    });
    let keep = options.repeats.decide(targets);
    if !keep {
        each_user(&mut kept, |rows| rules.remove_repeats(user(&rows[0]), rows));
    }
    removed.conclude(&mut log.facts, options);
    let sequence = |rows: &[Row]| sequence(user(&rows[0]), rows, timed);
    let sequences = kept.chunk_by(|a, b| a.user == b.user).map(sequence).collect();
    let (name, notice) = (options.name.clone(), options.notice.clone());
    let mut dataset = Dataset::new(name, catalogue, sequences, notice)?;
    dataset.repeats = keep;
    Ok((dataset, targets))
}

/// The sequence of a user.
pub(super) fn sequence(user: &str, rows: &[Row], timed: bool) -> Sequence {
    Sequence {
        user: user.to_owned(),
        items: rows.iter().map(|row| ItemIndex(row.item)).collect(),
        times: timed.then(|| rows.iter().map(|row| row.time.div_euclid(SECOND)).collect()),
    }
}

/// Calls `change` with the rows of each user, which may remove some.
fn each_user(rows: &mut Vec<Row>, mut change: impl FnMut(&mut Vec<Row>)) {
    let (mut from, mut kept) = (0, 0);
    let mut of_user = Vec::new();
    while let Some(first) = rows.get(from) {
        let user = first.user;
        of_user.clear();
        of_user.extend(rows[from..].iter().take_while(|row| row.user == user));
        from += of_user.len();
        change(&mut of_user);
        rows[kept..kept + of_user.len()].copy_from_slice(&of_user);
        kept += of_user.len();
    }
    rows.truncate(kept);
}

/// The catalogue of these items of a log and of a catalogue, in the order of the ids.
///
/// # Errors
/// Errors of [`Catalogue::new`].
pub(super) fn catalogue<'a>(
    known: Vec<Item>,
    of_log: impl IntoIterator<Item = &'a str>,
) -> Result<Catalogue, DatasetError> {
    let mut items = known;
    let mut ids: HashSet<ItemId> = items.iter().map(|item| item.id.clone()).collect();
    for name in of_log {
        let id = ItemId::new(name);
        if ids.insert(id.clone()) {
            items.push(Item::untitled(id));
        }
    }
    items.sort_by(|a, b| compare_ids(a.id.as_str(), b.id.as_str()));
    Catalogue::new(items)
}

impl Rows {
    fn new(log: &mut Log, known: Vec<Item>) -> Result<Self, DatasetError> {
        // An item of which no row is left is no item of the log.
        let mut used = vec![false; log.items.names().len()];
        for row in &log.rows {
            used[row.item as usize] = true;
        }
        let of_log = log.items.names().iter().zip(&used).filter(|(_, used)| **used);
        let catalogue = catalogue(known, of_log.map(|(name, _)| &**name))?;
        let indices: Vec<u32> = log
            .items
            .names()
            .iter()
            .map(|name| catalogue.index_of(&ItemId::new(&**name)).map_or(u32::MAX, |it| it.0))
            .collect();
        let mut order: Vec<u32> = (0..log.users.names().len() as u32).collect();
        let names = log.users.names();
        order.sort_by(|&a, &b| compare_ids(&names[a as usize], &names[b as usize]));
        let users = order.iter().map(|&user| Rc::clone(&names[user as usize])).collect();
        let mut ranks = vec![0; order.len()];
        for (rank, &user) in order.iter().enumerate() {
            ranks[user as usize] = rank as u32;
        }
        let mut rows = std::mem::take(&mut log.rows);
        for row in &mut rows {
            row.user = ranks[row.user as usize];
            row.item = indices[row.item as usize];
        }
        Ok(Self { kept: rows, users, catalogue })
    }

    /// By user, then by time and item, so that the order of the files does not matter. Without
    /// times, the order of the files counts. The sort outside of memory has the same order:
    /// [`RowKey`](super::external::RowKey).
    fn sort(&mut self, facts: &LogFacts, timed: bool) {
        if timed {
            self.kept.sort_unstable_by_key(|row| {
                let weight = facts.weight(row.event);
                (row.user, row.time, row.item, weight, row.event, row.file, row.line)
            });
        } else {
            self.kept.sort_by_key(|row| row.user);
        }
    }
}
