use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    bad_rows::BadRow,
    columns::Selected,
    names::Role,
    time::{self, SECOND, TimeKind},
};

/// Numbers from here on, as seconds since 1970, are dates: 1973-03-03. Smaller ones are an order.
pub(super) const FIRST_DATE: i64 = 100_000_000 * SECOND;

/// Columns of a file that are named as not used; a file can have thousands.
const UNUSED: usize = 15;

/// What an import has read, and what it has left out. Its `Display` is several lines of text.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Short name of the dataset.
    pub name: String,
    /// Number of users of the dataset.
    pub users: usize,
    /// Number of items of the dataset.
    pub items: usize,
    /// Number of interactions of the dataset.
    pub interactions: usize,
    /// Number of rows of interactions that were read, bad ones included.
    pub rows: u64,
    /// The files, in the order in which they were read.
    pub files: Vec<FileSummary>,
    /// The first interactions as they were understood, at most three.
    pub first_rows: Vec<ParsedRow>,
    /// Interactions and users that were left out.
    pub left_out: Vec<LeftOutRows>,
    /// Number of items of the log that the catalogue lacks, with one of them. `None` without a
    /// catalogue.
    pub unlisted: Option<(usize, String)>,
    /// Number of items of the catalogue without an interaction. `None` without a catalogue.
    pub unused: Option<usize>,
    /// Rows that could not be read, and fields of items.
    pub bad_rows: Vec<BadRow>,
    /// Whether items can be recommended again.
    pub repeats: bool,
    /// Number of users with at least three interactions, and of those whose last item is one that
    /// they had before. An item several times in a row counts once.
    pub repeated_targets: (usize, usize),
    /// What else to know. Warnings come first.
    pub notes: Vec<String>,
}

/// How one file was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileSummary {
    /// The file.
    pub path: PathBuf,
    /// Format, compression and encoding.
    pub format: String,
    /// Number of rows, bad ones included.
    pub rows: u64,
    /// What was found, with its column: `user`, `user_id`.
    pub columns: Vec<(&'static str, String)>,
    /// In a catalogue with several columns that can be the item: how many items of the log each
    /// of them has.
    pub matches: Option<String>,
    /// How times are written, with the first and the last, or that there are none.
    pub times: Option<String>,
    /// Columns that are not read; first those that could have been taken.
    pub passed_over: Vec<String>,
    names: Vec<String>,
    /// Positions of the columns that are read.
    used: Vec<usize>,
    /// Whether times are dates, not positions.
    pub(super) are_dates: bool,
    /// Whether there are times at all.
    pub(super) has_times: bool,
}

/// An interaction as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ParsedRow {
    pub user: String,
    pub item: String,
    pub time: Option<String>,
    pub event: Option<String>,
}

/// Rows that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutRows {
    /// Why.
    pub reason: String,
    /// Number of rows.
    pub rows: u64,
    /// The first of them.
    pub example: String,
}

/// Why a row that can be read is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reason {
    EventAgainst(String),
    NeutralEvent(String),
    UnknownEvent(String),
    LightEvent(String),
    NoItem(String),
    NoItemNorEvent,
    NotPositive,
    LowRating(f64),
    Quantity,
    Duplicate,
    Bot(u32),
    Step,
    Repeat,
    Forgotten,
}

impl Reason {
    /// The reason after a number of rows.
    fn text(&self, rows: u64) -> String {
        let one = rows == 1;
        let events = if one { "event" } else { "events" };
        let number = |single, plural| String::from(if one { single } else { plural });
        match self {
            Self::EventAgainst(name) => {
                let are = number("is a dislike or return", "are dislikes or returns");
                format!("{events} {name:?}, which {are}")
            }
            Self::NeutralEvent(name) => {
                let do_not = number("does not", "do not");
                format!("{events} {name:?}, which {do_not} name a choice")
            }
            Self::UnknownEvent(name) => {
                let are = number("is", "are");
                format!("{events} {name:?}, which {are} not known (--event {name:?}=1 decides)")
            }
            Self::LightEvent(name) => {
                format!("{events} {name:?}, whose weight is below --min-event-weight")
            }
            Self::NoItem(name) => format!("{events} {name:?} without an item"),
            Self::NoItemNorEvent => number(
                "row without an item and without an event type",
                "rows without an item and without an event type",
            ),
            Self::NotPositive => number(
                "rating of 0 or less (--min-rating decides)",
                "ratings of 0 or less (--min-rating decides)",
            ),
            Self::LowRating(min) => format!("{} below {min}, or none", number("rating", "ratings")),
            Self::Quantity => number(
                "quantity of 0 or less, which is a return",
                "quantities of 0 or less, which are returns",
            ),
            Self::Duplicate => number(
                "exact duplicate (--keep-duplicates decides)",
                "exact duplicates (--keep-duplicates decides)",
            ),
            Self::Bot(limit) => format!(
                "{events} of users with more than {limit} in an hour (--max-events-per-user-hour)"
            ),
            Self::Forgotten => number(
                "row of a user who asked to be forgotten",
                "rows of users who asked to be forgotten",
            ),
            Self::Step => format!(
                "{events} after a lighter one on the same item, such as a cart after a view"
            ),
            Self::Repeat => number(
                "interaction with an item that the user had before (--repeats keep keeps it)",
                "interactions with an item that the user had before (--repeats keep keeps them)",
            ),
        }
    }
}

/// Counts of what is left out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LeftOut(Vec<(Reason, u64, String)>);

impl LeftOut {
    /// Counts a row; the first of each reason is the example.
    pub(super) fn add(&mut self, reason: Reason, example: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|(known, _, _)| *known == reason) {
            Some((_, rows, _)) => *rows += 1,
            None => self.0.push((reason, 1, example())),
        }
    }

    /// Counts several rows, of which the first is the example.
    pub(super) fn add_rows(&mut self, reason: Reason, rows: u64, example: String) {
        match self.0.iter_mut().find(|(known, _, _)| *known == reason) {
            Some((_, count, _)) => *count += rows,
            None => self.0.push((reason, rows, example)),
        }
    }

    /// Adds what later rows have counted.
    pub(super) fn merge(&mut self, next: Self) {
        for (reason, rows, example) in next.0 {
            self.add_rows(reason, rows, example);
        }
    }

    pub(super) fn into_rows(self) -> Vec<LeftOutRows> {
        let rows = |(reason, rows, example): (Reason, u64, String)| LeftOutRows {
            reason: reason.text(rows),
            rows,
            example,
        };
        self.0.into_iter().map(rows).collect()
    }
}

impl FileSummary {
    pub(super) fn new(path: &Path, format: String, rows: u64, names: &[String]) -> Self {
        Self {
            path: path.to_path_buf(),
            format,
            rows,
            columns: Vec::new(),
            matches: None,
            times: None,
            passed_over: Vec::new(),
            names: names.to_vec(),
            used: Vec::new(),
            are_dates: false,
            has_times: false,
        }
    }

    /// Notes the columns of a role.
    pub(super) fn add(&mut self, role: Role, selected: &Selected) {
        let name = |&at: &usize| self.names[at].clone();
        if !selected.is_empty() {
            let columns: Vec<String> = selected.columns.iter().map(name).collect();
            let noun = role.noun().trim_start_matches("the ");
            self.columns.push((noun, columns.join(" or ")));
        } else if role == Role::Time {
            self.times = Some("no times: the order of the file counts".to_owned());
        }
        self.used.extend(&selected.columns);
        self.passed_over.extend(selected.passed_over.iter().map(name));
    }

    /// Notes that a column has the day, and the one of the time only the time of day.
    pub(super) fn join_date(&mut self, date: usize) {
        let name = &self.names[date];
        self.passed_over.retain(|other| other != name);
        if let Some((_, column)) = self.columns.iter_mut().find(|(noun, _)| *noun == "time") {
            *column = format!("{name} and {column}");
        }
        self.used.push(date);
    }

    /// Whether a column has a role.
    pub(super) fn is_used(&self, column: usize) -> bool {
        self.used.contains(&column)
    }

    /// Adds all columns without a role to those that are not read, apart from `further` ones.
    pub(super) fn add_unused(&mut self, further: impl IntoIterator<Item = usize>) {
        self.used.extend(further);
        for (at, name) in self.names.iter().enumerate() {
            if !self.used.contains(&at) && !self.passed_over.contains(name) {
                self.passed_over.push(name.clone());
            }
        }
    }

    /// Notes the item's column of a catalogue, before the other columns.
    pub(super) fn add_item(&mut self, selected: &Selected) {
        let others = std::mem::take(&mut self.columns);
        self.add(Role::Item, selected);
        self.columns.extend(others);
        // A name of the item can be the title.
        let columns = &self.columns;
        let used = |name: &String| columns.iter().any(|(_, used)| used == name);
        self.passed_over.retain(|name| !used(name));
    }

    /// Whether there is a column of a role.
    pub(super) fn has(&self, noun: &str) -> bool {
        self.column(noun).is_some()
    }

    /// The column of a role, if there is one.
    pub(super) fn column(&self, noun: &str) -> Option<&str> {
        self.columns.iter().find(|(known, _)| *known == noun).map(|(_, column)| &**column)
    }

    /// The event column turned out to hold no event types.
    pub(super) fn forget_events(&mut self) {
        if let Some(at) = self.columns.iter().position(|(noun, _)| *noun == "event type") {
            let (_, column) = self.columns.remove(at);
            self.passed_over.push(column);
        }
    }

    /// Notes how times are written and their span.
    pub(super) fn set_times(&mut self, kind: TimeKind, span: &TimeSpan) {
        let &TimeSpan { first, last, dates, rows: all } = span;
        self.has_times = true;
        self.are_dates = kind != TimeKind::Seconds || dates * 2 > all;
        self.times = Some(if self.are_dates {
            let unit = if kind == TimeKind::Date { "" } else { " since 1970" };
            format!("{kind}{unit}, {} to {}", time::display(first), time::display(last))
        } else {
            format!("numbers, {} to {}: their order counts", first / SECOND, last / SECOND)
        });
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "{}: {}, {}", file.path.display(), file.format, count(file.rows, "row"))?;
            for (noun, column) in &file.columns {
                writeln!(f, "  {noun}: {column}")?;
            }
            for line in [&file.matches, &file.times].into_iter().flatten() {
                writeln!(f, "  {line}")?;
            }
            if !file.passed_over.is_empty() {
                let names = &file.passed_over;
                write!(f, "  not used: {}", names[..names.len().min(UNUSED)].join(", "))?;
                match names.len().saturating_sub(UNUSED) {
                    0 => writeln!(f)?,
                    more => writeln!(f, " and {more} more")?,
                }
            }
        }
        if !self.first_rows.is_empty() {
            writeln!(f, "first rows:")?;
        }
        for row in &self.first_rows {
            write!(f, "  user {}, item {}", row.user, row.item)?;
            for part in [&row.time, &row.event].into_iter().flatten() {
                write!(f, ", {part}")?;
            }
            writeln!(f)?;
        }
        if !self.left_out.is_empty() {
            writeln!(f, "left out:")?;
        }
        for LeftOutRows { reason, rows, example } in &self.left_out {
            writeln!(f, "  {rows} {reason}; first: {example}")?;
        }
        if let Some(first) = self.bad_rows.first() {
            let bad = count(self.bad_rows.len() as u64, "bad row");
            writeln!(f, "{bad}, listed in bad-rows.txt; first: {first}")?;
        }
        if let Some((items, example)) = self.unlisted.as_ref().filter(|(items, _)| *items > 0) {
            let items = count(*items as u64, "item");
            writeln!(f, "{items} of the log not in the catalogue, for example {example}")?;
        }
        if let Some(unused) = self.unused.filter(|unused| *unused > 0) {
            let items = count(unused as u64, "item");
            writeln!(f, "{items} of the catalogue without an interaction")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        write!(
            f,
            "{}: {}, {}, {}",
            self.name,
            count(self.users as u64, "user"),
            count(self.items as u64, "item"),
            count(self.interactions as u64, "interaction")
        )
    }
}

/// A number with its noun.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The first and the last of several times, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct TimeSpan {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Number of times that are dates, not positions.
    pub(super) dates: u64,
    pub(super) rows: u64,
}

impl Default for TimeSpan {
    fn default() -> Self {
        Self { first: i64::MAX, last: i64::MIN, dates: 0, rows: 0 }
    }
}

impl TimeSpan {
    pub(super) fn add(&mut self, time: i64) {
        let dates = u64::from(time >= FIRST_DATE);
        self.merge(&Self { first: time, last: time, dates, rows: 1 });
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.dates += other.dates;
        self.rows += other.rows;
    }
}
