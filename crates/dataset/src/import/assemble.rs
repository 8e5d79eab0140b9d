//! From rows to sequences.

use std::{collections::HashSet, rc::Rc};

use tandem_protocol::ItemId;

use super::{
    log::{Log, Row},
    options::ImportOptions,
    summary::{FIRST_DATE, ParsedRow, Reason, count},
    time::{self, SECOND},
};
use crate::{Catalogue, Dataset, DatasetError, Item, ItemIndex, Sequence, compare_ids};

/// Microseconds in an hour.
const HOUR: i64 = 3_600 * SECOND;
/// Rows of a summary that are shown.
const SHOWN: usize = 3;

/// Sorted rows with the names that they refer to.
struct Rows<'a> {
    log: &'a mut Log,
    kept: Vec<Row>,
    /// User names in the order of their ids.
    users: Vec<Rc<str>>,
    catalogue: Catalogue,
    timed: bool,
}

/// The first rows of a log as they were understood.
pub(super) fn first_rows(log: &Log, timed: bool) -> Vec<ParsedRow> {
    let dates = log.summaries.iter().any(|file| file.are_dates);
    let shown = log.rows.iter().take(SHOWN).map(|row| ParsedRow {
        user: log.users.names()[row.user as usize].to_string(),
        item: log.items.names()[row.item as usize].to_string(),
        time: timed
            .then(|| if dates { time::display(row.time) } else { (row.time / SECOND).to_string() }),
        event: log.event_types.get(usize::from(row.event)).map(|event| event.name.clone()),
    });
    shown.collect()
}

/// Number of users with at least three interactions, and of those whose last item is one that they
/// had before. Of an item several times in a row, the first counts: a page that is loaded again is
/// no second choice.
pub(super) type RepeatedTargets = (usize, usize);

/// Counts users, each given by its items.
pub(super) fn repeated_targets<T: PartialEq>(
    sequences: impl IntoIterator<Item = Vec<T>>,
) -> RepeatedTargets {
    let (mut users, mut repeated) = (0, 0);
    for mut items in sequences {
        items.dedup();
        if let Some((last, before)) = items.split_last()
            && before.len() >= 2
        {
            users += 1;
            repeated += usize::from(before.contains(last));
        }
    }
    (users, repeated)
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
    let mut rows = Rows::new(log, known, timed)?;
    rows.sort();
    if timed && !options.keep_duplicates {
        rows.remove_duplicates();
    }
    if timed {
        rows.remove_bots(options.max_events_per_user_hour);
    }
    rows.merge_steps();
    rows.into_dataset(options)
}

impl<'a> Rows<'a> {
    fn new(log: &'a mut Log, known: Vec<Item>, timed: bool) -> Result<Self, DatasetError> {
        let mut items = known;
        let mut ids: HashSet<ItemId> = items.iter().map(|item| item.id.clone()).collect();
        // An item of which no row is left is no item of the log.
        let mut used = vec![false; log.items.names().len()];
        for row in &log.rows {
            used[row.item as usize] = true;
        }
        for (name, _) in log.items.names().iter().zip(&used).filter(|(_, used)| **used) {
            let id = ItemId::new(&**name);
            if ids.insert(id.clone()) {
                items.push(Item::untitled(id));
            }
        }
        items.sort_by(|a, b| compare_ids(a.id.as_str(), b.id.as_str()));
        let catalogue = Catalogue::new(items)?;
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
        Ok(Self { log, kept: rows, users, catalogue, timed })
    }

    /// By user, then by time and item, so that the order of the files does not matter. Without
    /// times, the order of the files counts.
    fn sort(&mut self) {
        if self.timed {
            let log = &*self.log;
            self.kept.sort_unstable_by_key(|row| {
                (row.user, row.time, row.item, log.weight(row.event), row.event, row.file, row.line)
            });
        } else {
            self.kept.sort_by_key(|row| row.user);
        }
    }

    fn example(&self, row: &Row) -> String {
        let (path, unit) = &self.log.files[usize::from(row.file)];
        format!(
            "{}, {unit} {}: user {}, item {}",
            path.display(),
            row.line,
            self.users[row.user as usize],
            self.catalogue.get(ItemIndex(row.item)).id.as_str()
        )
    }

    /// Removes the rows for which `remove` says why; it is given the previous row that stays.
    fn remove(&mut self, mut remove: impl FnMut(&Log, Option<&Row>, &Row) -> Option<Reason>) {
        let mut rows = std::mem::take(&mut self.kept);
        let mut kept = 0;
        for at in 0..rows.len() {
            let row = rows[at];
            match remove(self.log, rows[..kept].last(), &row) {
                None => {
                    rows[kept] = row;
                    kept += 1;
                }
                Some(reason) => {
                    let is_first = !self.log.left_out.has(&reason);
                    let example = if is_first { self.example(&row) } else { String::new() };
                    self.log.left_out.add(reason, || example);
                }
            }
        }
        rows.truncate(kept);
        self.kept = rows;
    }

    fn remove_duplicates(&mut self) {
        let key = |row: &Row| (row.user, row.time, row.item, row.event);
        self.remove(|_, before, row| {
            before.is_some_and(|before| key(before) == key(row)).then_some(Reason::Duplicate)
        });
    }

    /// Removes users with more than `limit` events within one hour by the clock, where times are
    /// dates.
    fn remove_bots(&mut self, limit: u32) {
        let mut bots = HashSet::new();
        for hour in self
            .kept
            .chunk_by(|a, b| a.user == b.user && a.time.div_euclid(HOUR) == b.time.div_euclid(HOUR))
        {
            if hour.len() > limit as usize && hour[0].time >= FIRST_DATE {
                bots.insert(hour[0].user);
            }
        }
        if !bots.is_empty() {
            self.log.notes.push(format!(
                "left out: {} with more than {limit} events in an hour, for example {}",
                count(bots.len() as u64, "user"),
                bots.iter().min().map_or("", |user| &self.users[*user as usize])
            ));
            self.remove(|_, _, row| bots.contains(&row.user).then_some(Reason::Bot(limit)));
        }
    }

    /// The steps of one choice (view, cart, purchase) are one interaction, as long as the user
    /// turns to no other item in between: an event is left out if it follows a lighter one on the
    /// same item.
    fn merge_steps(&mut self) {
        // Weight of the last event, also if it was left out.
        let mut last = 0;
        self.remove(|log, before, row| {
            let weight = log.weight(row.event);
            let same = before.is_some_and(|it| (it.user, it.item) == (row.user, row.item));
            let step = same && weight > last;
            last = weight;
            step.then_some(Reason::Step)
        });
    }

    fn into_dataset(
        mut self,
        options: &ImportOptions,
    ) -> Result<(Dataset, RepeatedTargets), DatasetError> {
        let users = self.kept.chunk_by(|a, b| a.user == b.user);
        let items = |rows: &[Row]| rows.iter().map(|row| row.item).collect();
        let repeated_targets = repeated_targets(users.map(items));
        let keep = options.repeats.decide(repeated_targets);
        if !keep {
            let mut seen = HashSet::new();
            let mut user = None;
            self.remove(|_, _, row| {
                if user.replace(row.user) != Some(row.user) {
                    seen.clear();
                }
                (!seen.insert(row.item)).then_some(Reason::Repeat)
            });
        }
        let sequences = self
            .kept
            .chunk_by(|a, b| a.user == b.user)
            .map(|rows| Sequence {
                user: self.users[rows[0].user as usize].to_string(),
                items: rows.iter().map(|row| ItemIndex(row.item)).collect(),
                times: self
                    .timed
                    .then(|| rows.iter().map(|row| row.time.div_euclid(SECOND)).collect()),
            })
            .collect();
        let (name, notice) = (options.name.clone(), options.notice.clone());
        let mut dataset = Dataset::new(name, self.catalogue, sequences, notice)?;
        dataset.repeats = keep;
        Ok((dataset, repeated_targets))
    }
}
