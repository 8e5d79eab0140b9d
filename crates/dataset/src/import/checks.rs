//! Warnings about logs that can be read, but may not say what they seem to.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{cell::words, summary::Reason, time};
use crate::{
    compare_ids,
    readers::{Cell, Rows},
};

/// Ids that shops give to visitors whom they do not know.
const NOBODY: [&str; 8] = ["0", "-1", "guest", "anonymous", "none", "null", "unknown", "nobody"];
/// Share of the rows from which on such an id is warned of, if it has this multiple of the median:
/// users can be numbered from 0.
const NOBODY_SHARE: f64 = 0.01;
const NOBODY_MULTIPLE: u64 = 3;
/// A log with fewer rows says little about the share of one user.
const MIN_ROWS: u64 = 200;
/// Share of the rows from which on any user is warned of, if it has this multiple of the median.
const LARGE_SHARE: f64 = 0.05;
const LARGE_MULTIPLE: u64 = 20;

/// Event types of rows without an item, with the number of rows of each.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct WithoutItem(Vec<(String, u64)>);

impl WithoutItem {
    /// Counts a row.
    pub(super) fn add(&mut self, reason: &Reason) {
        if let Reason::NoItem(event) = reason {
            self.add_rows(event, 1);
        }
    }

    fn add_rows(&mut self, event: &str, rows: u64) {
        match self.0.iter_mut().find(|(known, _)| known == event) {
            Some((_, count)) => *count += rows,
            None => self.0.push((event.to_owned(), rows)),
        }
    }

    /// Adds what later rows have counted.
    pub(super) fn merge(&mut self, next: Self) {
        for (event, rows) in next.0 {
            self.add_rows(&event, rows);
        }
    }

    /// A warning for each event type of interest that mostly lacks its item. `with_item` is the
    /// number of rows of a type that have one.
    pub(super) fn warnings(
        &self,
        path: &Path,
        with_item: impl Fn(&str) -> u64,
        is_interest: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        for (event, without) in self.0.iter().filter(|(event, _)| is_interest(event)) {
            let with = with_item(event);
            if *without > with {
                warnings.push(format!(
                    "warning: {}: events {event:?} without an item: {without} of {}; if another \
                     column has it, name that column with --item-column",
                    path.display(),
                    with + without
                ));
            }
        }
        warnings
    }
}

/// Ratings that are neither numbers nor stars, and their number.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct WordRatings {
    first: String,
    rows: usize,
}

impl WordRatings {
    pub(super) fn add(&mut self, cell: &Cell<'_>) {
        if self.rows == 0 {
            self.first = words(cell);
        }
        self.rows += 1;
    }

    /// Adds what later rows have counted.
    pub(super) fn merge(&mut self, next: Self) {
        if self.rows == 0 {
            self.first = next.first;
        }
        self.rows += next.rows;
    }

    pub(super) fn warning(&self, path: &Path) -> Option<String> {
        (self.rows > 0).then(|| {
            format!(
                "warning: {}: ratings that are no numbers: {}, for example {}; their rows count. \
                 If the column has event types, name it with --event-column, and those that are \
                 not known with --event NAME=WEIGHT",
                path.display(),
                self.rows,
                self.first
            )
        })
    }
}

/// Columns of a file without a time column whose values look like times.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct UnreadTimes {
    /// Of each column: whether it had a value, and whether all its values look like times.
    found: Vec<(bool, bool)>,
    rows: usize,
}

impl UnreadTimes {
    /// Rows that are looked at.
    const ROWS: usize = 100;

    /// Looks at the current row, if it is one of the first.
    pub(super) fn look(&mut self, rows: &dyn Rows) {
        if self.rows == Self::ROWS {
            return;
        }
        self.rows += 1;
        self.found.resize(rows.columns().len(), (false, true));
        for (column, (any, all)) in self.found.iter_mut().enumerate() {
            let is_time = match rows.cell(column) {
                Cell::Absent => continue,
                Cell::Time(_) => true,
                Cell::Text(text) => time::is_likely(&text),
                _ => false,
            };
            *any = true;
            *all &= is_time;
        }
    }

    /// Adds what was found in later rows, if these are not too many.
    pub(super) fn merge(&mut self, next: Self) {
        if self.rows == Self::ROWS {
            return;
        }
        self.rows = Self::ROWS.min(self.rows + next.rows);
        self.found.resize(self.found.len().max(next.found.len()), (false, true));
        for ((any, all), (next_any, next_all)) in self.found.iter_mut().zip(next.found) {
            *any |= next_any;
            *all &= next_all;
        }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.found.iter().enumerate().filter(|(_, found)| **found == (true, true)).map(|it| it.0)
    }
}

/// Numbers of rows of all users, for warnings about users who may be many people.
#[derive(Default)]
pub(super) struct UserRows {
    /// Number of users with each number of rows.
    users: BTreeMap<u64, u64>,
    rows: u64,
    /// Users with an id that usually means nobody.
    nobodies: Vec<(String, u64)>,
    /// Users with the most rows, the most first.
    largest: Vec<(String, u64)>,
}

impl UserRows {
    /// Users that can have more than [`LARGE_SHARE`] of the rows.
    const LARGEST: usize = 20;

    /// Counts a user with at least one row.
    pub(super) fn add(&mut self, name: &str, rows: u64) {
        self.rows += rows;
        *self.users.entry(rows).or_default() += 1;
        if is_nobody(name) {
            self.nobodies.push((name.to_owned(), rows));
        }
        let smallest = self.largest.last().map_or(0, |(_, rows)| *rows);
        if self.largest.len() < Self::LARGEST || rows > smallest {
            let at = self.largest.partition_point(|(_, other)| *other >= rows);
            self.largest.insert(at, (name.to_owned(), rows));
            self.largest.truncate(Self::LARGEST);
        }
    }

    /// The warnings, the users with the most rows first.
    pub(super) fn warnings(self) -> Vec<String> {
        let median = self.median();
        let share = |rows: u64| rows as f64 / self.rows as f64;
        let mut users = self.largest;
        users.extend(self.nobodies);
        users.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| compare_ids(&a.0, &b.0)));
        users.dedup();
        let warning = |(name, count): &(String, u64)| {
            let (name, count) = (name, *count);
            let is_large = self.rows >= MIN_ROWS
                && share(count) > LARGE_SHARE
                && count > LARGE_MULTIPLE * median;
            let is_many = share(count) > NOBODY_SHARE && count > NOBODY_MULTIPLE * median;
            let what = if is_nobody(name) && is_many {
                "whose id usually means an unknown visitor"
            } else if is_large {
                "who may be many people, a test account or a program"
            } else {
                return None;
            };
            Some(format!(
                "warning: {count} of {} rows are of user {name}, {what}; all of them become one \
                 sequence. Remove these rows, or empty their user so that a visitor or session \
                 column counts",
                self.rows
            ))
        };
        users.iter().filter_map(warning).collect()
    }

    /// The number of rows of the median user.
    fn median(&self) -> u64 {
        let middle = self.users.values().sum::<u64>() / 2;
        let mut before = 0;
        for (&rows, &users) in &self.users {
            before += users;
            if before > middle {
                return rows;
            }
        }
        0
    }
}

fn is_nobody(name: &str) -> bool {
    NOBODY.iter().any(|word| name.eq_ignore_ascii_case(word))
}
