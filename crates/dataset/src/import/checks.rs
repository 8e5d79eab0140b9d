//! Warnings about logs that can be read, but may not say what they seem to.

use std::{path::Path, rc::Rc};

use super::{cell::words, summary::Reason, time};
use crate::readers::{Cell, Rows};

/// Ids that shops give to visitors whom they do not know.
const NOBODY: [&str; 8] = ["0", "-1", "guest", "anonymous", "none", "null", "unknown", "nobody"];
/// Share of the rows from which on such an id is warned of, if it has this multiple of the median:
/// users can be numbered from 0.
const NOBODY_SHARE: f64 = 0.01;
const NOBODY_MULTIPLE: usize = 3;
/// A log with fewer rows says little about the share of one user.
const MIN_ROWS: usize = 200;
/// Share of the rows from which on any user is warned of, if it has this multiple of the median.
const LARGE_SHARE: f64 = 0.05;
const LARGE_MULTIPLE: usize = 20;

/// Event types of rows without an item, with the number of rows of each.
#[derive(Default)]
pub(super) struct WithoutItem(Vec<(String, usize)>);

impl WithoutItem {
    /// Counts a row.
    pub(super) fn add(&mut self, reason: &Reason) {
        let Reason::NoItem(event) = reason else { return };
        match self.0.iter_mut().find(|(known, _)| known == event) {
            Some((_, rows)) => *rows += 1,
            None => self.0.push((event.clone(), 1)),
        }
    }

    /// A warning for each event type of interest that mostly lacks its item. `with_item` are the
    /// types of all other rows, as positions in `names`.
    pub(super) fn warnings(
        &self,
        path: &Path,
        names: &[Rc<str>],
        with_item: impl Iterator<Item = u16>,
        is_interest: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut counts = vec![0_usize; names.len()];
        for event in with_item {
            if let Some(count) = counts.get_mut(usize::from(event)) {
                *count += 1;
            }
        }
        let mut warnings = Vec::new();
        for (event, without) in self.0.iter().filter(|(event, _)| is_interest(event)) {
            let at = names.iter().position(|name| **name == **event);
            let with = at.map_or(0, |at| counts[at]);
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
#[derive(Default)]
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
#[derive(Default)]
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

    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.found.iter().enumerate().filter(|(_, found)| **found == (true, true)).map(|it| it.0)
    }
}

/// Warnings about users who may be many people. `of_rows` is the user of each row, as a position in
/// `names`, which are all users.
pub(super) fn shared_users(
    of_rows: impl ExactSizeIterator<Item = u32>,
    names: &[Rc<str>],
) -> Vec<String> {
    let rows = of_rows.len();
    let mut counts = vec![0_usize; names.len()];
    for user in of_rows {
        counts[user as usize] += 1;
    }
    let mut sorted: Vec<usize> = counts.iter().copied().filter(|count| *count > 0).collect();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let share = |count: usize| count as f64 / rows as f64;
    let warning = |(name, &count): (&Rc<str>, &usize)| {
        let is_nobody = NOBODY.iter().any(|word| name.eq_ignore_ascii_case(word));
        let is_large =
            rows >= MIN_ROWS && share(count) > LARGE_SHARE && count > LARGE_MULTIPLE * median;
        let is_many = share(count) > NOBODY_SHARE && count > NOBODY_MULTIPLE * median;
        let what = if is_nobody && is_many {
            "whose id usually means an unknown visitor"
        } else if is_large {
            "who may be many people, a test account or a program"
        } else {
            return None;
        };
        Some(format!(
            "warning: {count} of {rows} rows are of user {name}, {what}; all of them become one \
             sequence. Remove these rows, or empty their user so that a visitor or session column \
             counts"
        ))
    };
    names.iter().zip(&counts).filter_map(warning).collect()
}
