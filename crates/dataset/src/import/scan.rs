//! The rows of one file of interactions, one after the other. What a row means is decided here,
//! whether all rows are held in memory or are sorted outside of it.

use std::path::Path;

use super::{
    cell::{fault, id, number, rating, value, words},
    checks::{UnreadTimes, WithoutItem, WordRatings},
    columns::{LISTS, bare},
    id::Names,
    log_columns::{Columns, time_of, user},
    options::ImportOptions,
    summary::{LeftOut, Reason},
    time::TimeKind,
    users::prefixed,
};
use crate::{
    DatasetError,
    error::shown,
    readers::{self, Cell, RowGroups, Rows, Source, Step},
};

/// A row that names a user and an item. Whether it counts is decided when the whole file is known.
pub(super) struct ScannedRow<'a> {
    pub(super) user: &'a str,
    /// Kind of the user's column.
    pub(super) kind: usize,
    /// Whether the user is of a further column, because its own is empty.
    pub(super) filled: bool,
    pub(super) item: &'a str,
    /// As of [`time::parse`](super::time::parse).
    pub(super) time: Option<(i64, TimeKind)>,
    pub(super) event: Option<&'a str>,
    pub(super) line: u64,
}

/// What a file says beside its rows. Files are read in parts, whose scans are merged.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Scan {
    /// Format, compression and encoding, for people.
    pub(super) description: String,
    /// Whether lines are rows of a Parquet file.
    are_rows: bool,
    pub(super) column_names: Vec<String>,
    pub(super) columns: Columns,
    /// Number of rows read, bad ones included.
    pub(super) rows: u64,
    /// Number of lines that bad rows take.
    pub(super) bad_lines: u64,
    /// Line, reason and number of lines of bad rows.
    pub(super) bad: Vec<(u64, String, u64)>,
    /// Rows whose user is in a further column, by that column.
    pub(super) filled: Vec<(usize, u64)>,
    pub(super) left_out: LeftOut,
    pub(super) without_item: WithoutItem,
    pub(super) unread_times: UnreadTimes,
    pub(super) word_ratings: WordRatings,
    /// The column of days that is read together with the time of day.
    pub(super) date: Option<usize>,
}

/// A scan while it goes on.
struct Scanner<'a> {
    path: &'a Path,
    options: &'a ImportOptions,
    scan: Scan,
    /// Users that were looked up among the forgotten ones, and the result of each.
    checked: Names,
    forgotten: Vec<bool>,
}

impl Scan {
    /// Reads the content of a file, or a part of a Parquet file, and calls `take` for each row.
    ///
    /// # Errors
    /// [`DatasetError::Io`], [`DatasetError::Input`] if the columns cannot be found, and errors of
    /// `take`.
    pub(super) fn read(
        source: Source,
        part: Option<&RowGroups>,
        options: &ImportOptions,
        mut take: impl FnMut(&ScannedRow<'_>) -> Result<(), DatasetError>,
    ) -> Result<Self, DatasetError> {
        let path = source.path().to_path_buf();
        let path = shown(&path);
        let readers::Opened { mut rows, description, .. } =
            readers::open_source(source, options.has_header, &LISTS, part)?;
        let mut columns = Columns::find(path, &*rows, options)?;
        let are_rows = rows.unit() == ROW;
        let scan = Self { description, are_rows, ..Self::default() };
        let (checked, forgotten) = (Names::default(), Vec::new());
        let mut scanner = Scanner { path, options, scan, checked, forgotten };
        loop {
            let step = rows.advance()?;
            if rows.columns().len() != columns.known {
                columns = Columns::find(path, &*rows, options)?;
            }
            let (reason, lines) = match step {
                Step::End => break,
                Step::Bad { reason, lines } => (reason, lines),
                Step::Row => match scanner.row(&*rows, &columns, &mut take) {
                    Ok(taken) => {
                        taken?;
                        scanner.scan.rows += 1;
                        continue;
                    }
                    Err(reason) => (reason, 1),
                },
            };
            scanner.scan.rows += lines;
            scanner.scan.bad_lines += lines;
            scanner.scan.bad.push((rows.line(), reason, lines));
        }
        let mut scan = scanner.scan;
        scan.column_names = rows.columns().to_vec();
        scan.columns = columns;
        Ok(scan)
    }

    /// What a line number counts.
    pub(super) fn unit(&self) -> &'static str {
        unit(self.are_rows)
    }

    /// The name of a column without its type.
    pub(super) fn name(&self, column: usize) -> &str {
        bare(&self.column_names[column])
    }

    /// Adds the scan of the next part of the same file.
    pub(super) fn merge(&mut self, next: Self) {
        self.rows += next.rows;
        self.bad_lines += next.bad_lines;
        self.bad.extend(next.bad);
        for (column, rows) in next.filled {
            add_filled(&mut self.filled, column, rows);
        }
        self.left_out.merge(next.left_out);
        self.without_item.merge(next.without_item);
        self.unread_times.merge(next.unread_times);
        self.word_ratings.merge(next.word_ratings);
        self.date = self.date.or(next.date);
    }
}

/// What the lines of a Parquet file are called.
const ROW: &str = "row";

fn unit(are_rows: bool) -> &'static str {
    if are_rows { ROW } else { "line" }
}

fn add_filled(filled: &mut Vec<(usize, u64)>, column: usize, rows: u64) {
    match filled.iter_mut().find(|(known, _)| *known == column) {
        Some((_, count)) => *count += rows,
        None => filled.push((column, rows)),
    }
}

/// A row for the example of a reason.
pub(super) fn example(path: &Path, unit: &str, line: u64, user: &str, item: &str) -> String {
    format!("{}, {unit} {line}: user {user}, item {item}", path.display())
}

impl Scanner<'_> {
    /// Whether the user asked to be forgotten. Hashed once for each name.
    fn is_forgotten(&mut self, user: &str) -> bool {
        let list = &self.options.forgotten;
        if list.is_empty() {
            return false;
        }
        let number = self.checked.number(user) as usize;
        if number == self.forgotten.len() {
            self.forgotten.push(list.contain(user));
        }
        self.forgotten[number]
    }

    /// Hands a row to `take` unless it is left out, or says why it is bad.
    fn row(
        &mut self,
        rows: &dyn Rows,
        columns: &Columns,
        take: &mut impl FnMut(&ScannedRow<'_>) -> Result<(), DatasetError>,
    ) -> Result<Result<(), DatasetError>, String> {
        let (user, kind, filled) = user(rows, columns)?;
        if let Some(column) = filled {
            add_filled(&mut self.scan.filled, column, 1);
        }
        let unit = unit(self.scan.are_rows);
        if self.is_forgotten(&user) || filled.is_some() && self.is_forgotten(&prefixed(kind, &user))
        {
            // Without the name.
            self.scan.left_out.add(Reason::Forgotten, || {
                format!("{}, {unit} {}", self.path.display(), rows.line())
            });
            return Ok(Ok(()));
        }
        if value(rows, &columns.item) == Cell::Absent && !columns.event.is_empty() {
            let reason = match value(rows, &columns.event) {
                Cell::Text(event) => Reason::NoItem(event.to_string()),
                _ => Reason::NoItemNorEvent,
            };
            self.scan.without_item.add(&reason);
            let example = || example(self.path, unit, rows.line(), &user, "none");
            self.scan.left_out.add(reason, example);
            return Ok(Ok(()));
        }
        let item = id(rows, &columns.item, "an item id")?;
        if columns.time.is_empty() {
            self.scan.unread_times.look(rows);
        }
        let found = time_of(rows, columns, self.options.time_format.as_deref())?;
        if let Some(found) = &found {
            self.scan.date = self.scan.date.or(found.date);
        }
        if let Some(reason) = self.rejected(rows, columns)? {
            let example = || example(self.path, unit, rows.line(), &user, &item);
            self.scan.left_out.add(reason, example);
            return Ok(Ok(()));
        }
        let event = value(rows, &columns.event);
        let event = if let Cell::Text(text) = &event { Some(&**text) } else { None };
        Ok(take(&ScannedRow {
            user: &user,
            kind,
            filled: filled.is_some(),
            item: &item,
            time: found.map(|found| (found.time, found.kind)),
            event,
            line: rows.line(),
        }))
    }

    /// Whether rating or quantity say that the item is not wanted.
    fn rejected(&mut self, rows: &dyn Rows, columns: &Columns) -> Result<Option<Reason>, String> {
        let cell = value(rows, &columns.quantity);
        match number(&cell) {
            Some(quantity) if quantity <= 0.0 => return Ok(Some(Reason::Quantity)),
            None if cell != Cell::Absent => {
                return Err(fault(
                    rows,
                    &columns.quantity,
                    "a quantity as a number",
                    &words(&cell),
                ));
            }
            _ => {}
        }
        if columns.rating.is_empty() {
            return Ok(None);
        }
        let cell = value(rows, &columns.rating);
        let rating = rating(&cell);
        if rating.is_none()
            && cell != Cell::Absent
            && (columns.rating.named || self.options.min_rating.is_some())
        {
            return Err(fault(rows, &columns.rating, "a rating as a number", &words(&cell)));
        }
        let is_event = columns.rating.columns == columns.event.columns;
        if rating.is_none() && cell != Cell::Absent && !is_event {
            self.scan.word_ratings.add(&cell);
        }
        Ok(match self.options.min_rating {
            Some(min) if rating.is_none_or(|rating| rating < min) => Some(Reason::LowRating(min)),
            None if rating.is_some_and(|rating| rating <= 0.0) => Some(Reason::NotPositive),
            _ => None,
        })
    }
}
