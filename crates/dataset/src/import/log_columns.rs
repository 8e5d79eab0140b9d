//! The columns of a file of interactions.

use std::{borrow::Cow, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    cell::{fault, id, value, words},
    columns::{Finder, Selected, tokens},
    id::{id_fault, is_no_id},
    names::{Role, fills_user, user_kind},
    options::ImportOptions,
    time::{self, TimeKind},
};
use crate::{
    DatasetError,
    readers::{Cell, Rows},
};
/// The columns of one file.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Columns {
    pub(super) user: Selected,
    pub(super) user_kind: usize,
    /// Columns that name the user where its column is empty, each with its kind.
    pub(super) further_users: Vec<(usize, usize)>,
    pub(super) item: Selected,
    pub(super) time: Selected,
    pub(super) event: Selected,
    pub(super) rating: Selected,
    pub(super) quantity: Selected,
    /// Number of columns of the file when these were found.
    pub(super) known: usize,
}

impl Columns {
    pub(super) fn find(
        path: &Path,
        rows: &dyn Rows,
        options: &ImportOptions,
    ) -> Result<Self, DatasetError> {
        let names = &options.columns;
        let finder = Finder { path, rows, catalogue: false };
        let user = finder.require(Role::User, names.user.as_deref())?;
        let words = |at: usize| tokens(&rows.columns()[at]);
        let further = user.passed_over.iter().filter(|at| fills_user(&words(**at)));
        Ok(Self {
            user_kind: user.columns.first().map_or(0, |&at| user_kind(&words(at))),
            further_users: further.map(|&at| (at, user_kind(&words(at)))).collect(),
            user,
            item: finder.require(Role::Item, names.item.as_deref())?,
            time: finder.find(Role::Time, names.time.as_deref())?,
            event: finder.find(Role::Event, names.event.as_deref())?,
            rating: finder.find(Role::Rating, names.rating.as_deref())?,
            quantity: finder.find(Role::Quantity, names.quantity.as_deref())?,
            known: rows.columns().len(),
        })
    }
}

/// The user of a row, the kind of its column, and the column if it is a further one.
pub(super) fn user<'a>(
    rows: &'a dyn Rows,
    columns: &Columns,
) -> Result<(Cow<'a, str>, usize, Option<usize>), String> {
    let is_empty = match value(rows, &columns.user) {
        Cell::Absent => true,
        Cell::Text(text) => is_no_id(&text),
        _ => false,
    };
    if is_empty {
        for &(column, kind) in &columns.further_users {
            if let Cell::Text(text) = rows.cell(column)
                && id_fault(&text).is_none()
            {
                return Ok((text, kind, Some(column)));
            }
        }
    }
    Ok((id(rows, &columns.user, "a user id")?, columns.user_kind, None))
}

/// The time of a row.
pub(super) struct FoundTime {
    /// As of [`time::parse`].
    pub(super) time: i64,
    pub(super) kind: TimeKind,
    /// The column with the day, if the time's own has only the time of day.
    pub(super) date: Option<usize>,
}

/// The time of a row, or `None` if its cell is empty. `format` is one of `strptime`.
pub(super) fn time_of(
    rows: &dyn Rows,
    columns: &Columns,
    format: Option<&str>,
) -> Result<Option<FoundTime>, String> {
    let cell = value(rows, &columns.time);
    let parsed = match &cell {
        Cell::Absent => return Ok(None),
        Cell::Time(time) => Some((*time, TimeKind::Date, None)),
        Cell::Text(text) => time::parse(text, format)
            .map(|(time, kind)| (time, kind, None))
            .or_else(|| with_date(rows, columns, text, format)),
        _ => None,
    };
    if let Some((time, kind, date)) = parsed {
        return Ok(Some(FoundTime { time, kind, date }));
    }
    let expected = match format {
        None => "a time as a number or as 2024-05-01 10:00:00 (others are read with, for example, \
                 --time-format '%d.%m.%Y %H:%M')"
            .to_owned(),
        Some(format) => format!("a time as {format}"),
    };
    Err(fault(rows, &columns.time, &expected, &words(&cell)))
}

/// A time of day with the day from another column, as in files with `date` and `time`.
fn with_date(
    rows: &dyn Rows,
    columns: &Columns,
    time_of_day: &str,
    format: Option<&str>,
) -> Option<(i64, TimeKind, Option<usize>)> {
    if !time_of_day.contains(':') {
        return None;
    }
    columns.time.passed_over.iter().find_map(|&at| {
        let Cell::Text(date) = rows.cell(at) else { return None };
        let (time, kind) = time::parse(&format!("{date} {time_of_day}"), format)?;
        Some((time, kind, Some(at)))
    })
}
