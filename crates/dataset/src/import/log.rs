//! Rows of files of interactions.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{
    bad_rows::{BadRow, BadRows},
    census::{Census, Fate, FileRules, NO_EVENT},
    checks::UserRows,
    events::{Meaning, VIEW, meaning},
    id::Names,
    names::Role,
    options::ImportOptions,
    scan::{Scan, example},
    summary::{FileSummary, LeftOut, Reason},
    time::TimeKind,
    users::Users,
};
use crate::{DatasetError, error::shown, event_log, readers::Source};

/// The time of a row without one.
const NO_TIME: i64 = i64::MIN;

/// Interactions of all files, in the order of the files.
#[derive(Default)]
pub(super) struct Log {
    /// Users of all files, until [`Log::name_users`].
    identities: Users,
    pub(super) users: Names,
    pub(super) items: Names,
    pub(super) rows: Vec<Row>,
    pub(super) facts: LogFacts,
}

/// What the files say beside their rows.
#[derive(Default)]
pub(super) struct LogFacts {
    pub(super) event_types: Vec<EventType>,
    /// Each file, and what its line numbers count.
    pub(super) files: Vec<(PathBuf, &'static str)>,
    pub(super) bad: BadRows,
    pub(super) left_out: LeftOut,
    pub(super) summaries: Vec<FileSummary>,
    /// Names of the columns that hold the items.
    pub(super) item_columns: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// An event type that is read as interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventType {
    pub(super) name: String,
    pub(super) weight: u32,
}

/// One interaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Microseconds since 1970, or the source's own number; 0 in a log without times.
    pub(super) time: i64,
    pub(super) user: u32,
    pub(super) item: u32,
    pub(super) line: u32,
    pub(super) file: u16,
    /// Position in the event types, or [`NO_EVENT`].
    pub(super) event: u16,
}

impl Log {
    /// Reads one file.
    ///
    /// # Errors
    /// [`DatasetError::Io`], and [`DatasetError::Input`] if the columns cannot be found.
    pub(super) fn read(
        &mut self,
        path: &Path,
        options: &ImportOptions,
    ) -> Result<(), DatasetError> {
        let file = self.facts.files.len() as u16;
        let (mut users, mut items) = (Users::default(), Names::default());
        let mut census = Census::default();
        let mut rows: Vec<(Row, Option<TimeKind>)> = Vec::new();
        let scan = Scan::read(Source::open(path)?, None, options, |row| {
            let (event, _) = census.add(row);
            let user = users.number(row.kind, row.user, row.filled);
            let item = items.number(row.item);
            let (time, kind) = row.time.map_or((NO_TIME, None), |(time, it)| (time, Some(it)));
            let line = line_number(row.line);
            rows.push((Row { time, user, item, line, file, event }, kind));
            Ok(())
        })?;
        let path = shown(path);
        let unit = scan.unit();
        let rules = self.facts.conclude(path, scan, &census, options)?;
        let all_users = users.merge_into(&mut self.identities);
        let all_items = items.merge_into(&mut self.items);
        self.rows.reserve(rows.len());
        for (mut row, kind) in rows {
            match rules.fate(row.event, kind) {
                Fate::Counts(event) => row.event = event,
                Fate::Bad(reason) => {
                    self.facts.bad.add(bad_row(path, unit, u64::from(row.line), reason), 1);
                    continue;
                }
                Fate::LeftOut(reason) => {
                    let user = users.name(row.user);
                    let item = &items.names()[row.item as usize];
                    let line = u64::from(row.line);
                    self.facts
                        .left_out
                        .add(reason.clone(), || example(path, unit, line, user, item));
                    continue;
                }
            }
            row.time = rules.time(kind.map(|kind| (row.time, kind)));
            row.user = all_users[row.user as usize];
            row.item = all_items[row.item as usize];
            self.rows.push(row);
        }
        Ok(())
    }

    /// Names the users, now that those of all files are known.
    pub(super) fn name_users(&mut self) {
        let (names, numbers) = std::mem::take(&mut self.identities).into_names();
        self.users = names;
        for row in &mut self.rows {
            row.user = numbers[row.user as usize];
        }
    }

    /// Warnings about users who may be many people.
    pub(super) fn shared_users(&self) -> Vec<String> {
        let mut counts = vec![0_u64; self.users.names().len()];
        for row in &self.rows {
            counts[row.user as usize] += 1;
        }
        let mut users = UserRows::default();
        for (name, &rows) in self.users.names().iter().zip(&counts).filter(|(_, rows)| **rows > 0) {
            users.add(name, rows);
        }
        users.warnings()
    }

    /// Ids of the items that occur in a row.
    pub(super) fn item_ids(&self) -> HashSet<&str> {
        let names = self.items.names();
        self.rows.iter().map(|row| &*names[row.item as usize]).collect()
    }
}

/// The line of a [`Row`].
pub(super) fn line_number(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

pub(super) fn bad_row(path: &Path, unit: &'static str, line: u64, reason: String) -> BadRow {
    BadRow { file: path.to_path_buf(), unit, line, reason }
}

impl LogFacts {
    /// Takes what a file says, now that all of it was read; returns the rules for its rows.
    ///
    /// # Errors
    /// [`DatasetError::Input`] if a column that was named has no event type that is known.
    pub(super) fn conclude(
        &mut self,
        path: &Path,
        mut scan: Scan,
        census: &Census,
        options: &ImportOptions,
    ) -> Result<FileRules, DatasetError> {
        let unit = scan.unit();
        self.bad.total += scan.rows;
        let mut unlisted = scan.bad_lines;
        for (line, reason, lines) in std::mem::take(&mut scan.bad) {
            unlisted -= lines;
            self.bad.add(bad_row(path, unit, line, reason), lines);
        }
        self.bad.add_unlisted(unlisted);
        self.left_out.merge(std::mem::take(&mut scan.left_out));
        let mut summary =
            FileSummary::new(path, scan.description.clone(), scan.rows, &scan.column_names);
        for &(at, count) in &scan.filled {
            scan.columns.user.passed_over.retain(|passed| *passed != at);
            let users = &scan.columns.user.columns;
            let users: Vec<&str> = users.iter().map(|&at| scan.name(at)).collect();
            self.notes.push(format!(
                "{}: rows without {} that take the user from {}: {count}",
                path.display(),
                users.join(" or "),
                scan.name(at)
            ));
        }
        let columns = &scan.columns;
        for (role, selected) in [
            (Role::User, &columns.user),
            (Role::Item, &columns.item),
            (Role::Time, &columns.time),
            (Role::Event, &columns.event),
            (Role::Rating, &columns.rating),
            (Role::Quantity, &columns.quantity),
        ] {
            summary.add(role, selected);
        }
        if let Some(at) = scan.date {
            summary.join_date(at);
        }
        // In the server's own event log, a view is an impression.
        let own_log =
            event_log::FIELDS.iter().all(|name| scan.column_names.iter().any(|it| it == name));
        self.item_columns.extend(columns.item.columns.iter().map(|&at| scan.name(at).to_owned()));
        let timed = !columns.time.is_empty();
        let times = census.times(timed);
        let meanings = Meanings { options, own_log, named: columns.event.named };
        let events = self.event_types(path, &census.events, &mut summary, &meanings)?;
        self.notes.extend(scan.without_item.warnings(
            path,
            |event| census.rows_of_event(event),
            |event| matches!(meanings.by_name(event), Meaning::Interest(_)),
        ));
        if let Some(kind) = times.kind {
            summary.set_times(kind, &census.span(times));
        }
        self.notes.extend(scan.word_ratings.warning(path));
        if !own_log {
            summary.add_unused(scan.filled.iter().map(|(at, _)| *at));
        }
        let unread_times = |&at: &usize| !timed && !summary.is_used(at);
        if let Some(at) = scan.unread_times.columns().find(unread_times) {
            self.notes.push(format!(
                "warning: {}: column {} looks like times, but is not read; name it with \
                 --time-column",
                path.display(),
                scan.column_names[at]
            ));
        }
        self.summaries.push(summary);
        self.files.push((path.to_path_buf(), unit));
        Ok(FileRules { times, events })
    }

    /// The position in all event types of each type of the file, or why it is left out.
    fn event_types(
        &mut self,
        path: &Path,
        names: &Names,
        summary: &mut FileSummary,
        meanings: &Meanings<'_>,
    ) -> Result<Vec<Result<u16, Reason>>, DatasetError> {
        let names = names.names();
        let found: Vec<Meaning> = names.iter().map(|name| meanings.of(name)).collect();
        let unknown = found.iter().all(|it| *it == Meaning::Unknown);
        if unknown && !names.is_empty() {
            let some: Vec<&str> = names.iter().take(5).map(AsRef::as_ref).collect();
            let text = format!(
                "none of the event types is known ({}{}); say which ones count with --event \
                 NAME=WEIGHT",
                some.join(", "),
                if names.len() > some.len() { ", …" } else { "" }
            );
            if meanings.named {
                return Err(DatasetError::input(path, text));
            }
            summary.forget_events();
            self.notes.push(format!("{}: every row counts, because {text}", path.display()));
            return Ok(vec![Ok(NO_EVENT); names.len()]);
        }
        let decide = |(name, meaning): (&std::rc::Rc<str>, Meaning)| {
            let weight = match meaning {
                Meaning::Interest(weight) if weight >= meanings.options.min_event_weight => weight,
                Meaning::Interest(_) => return Err(Reason::LightEvent(name.to_string())),
                Meaning::Against => return Err(Reason::EventAgainst(name.to_string())),
                Meaning::Neutral => return Err(Reason::NeutralEvent(name.to_string())),
                Meaning::Unknown => return Err(Reason::UnknownEvent(name.to_string())),
            };
            let known = self.event_types.iter().position(|known| *known.name == **name);
            let position = known.unwrap_or_else(|| {
                self.event_types.push(EventType { name: name.to_string(), weight });
                self.event_types.len() - 1
            });
            Ok(position as u16)
        };
        Ok(names.iter().zip(found).map(decide).collect())
    }

    /// The weight of an event.
    pub(super) fn weight(&self, event: u16) -> u32 {
        self.event_types.get(usize::from(event)).map_or(VIEW, |event| event.weight)
    }
}

/// What the event types of one file mean.
struct Meanings<'a> {
    options: &'a ImportOptions,
    /// Whether the file is the server's own event log.
    own_log: bool,
    /// Whether the user has named the column.
    named: bool,
}

impl Meanings<'_> {
    /// The weight that the options give to an event type.
    fn given_weight(&self, name: &str) -> Option<u32> {
        let mut given = self.options.event_weights.iter();
        given.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight)
    }

    /// What an event type means, by the options or else by its name.
    fn by_name(&self, name: &str) -> Meaning {
        match self.given_weight(name) {
            Some(0) => Meaning::Against,
            Some(weight) => Meaning::Interest(weight),
            None => meaning(name),
        }
    }

    fn of(&self, name: &str) -> Meaning {
        let is_impression = self.own_log && name == "view" && self.given_weight(name).is_none();
        if is_impression { Meaning::Neutral } else { self.by_name(name) }
    }
}
