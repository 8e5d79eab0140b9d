//! Rows of files of interactions.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{
    bad_rows::{BadRow, BadRows},
    cell::{fault, id, number, rating, value, words},
    checks::{UnreadTimes, WithoutItem, WordRatings},
    columns::{LISTS, bare},
    events::{Meaning, VIEW, meaning},
    id::Names,
    log_columns::{Columns, time_of, user},
    names::Role,
    options::ImportOptions,
    summary::{FileSummary, LeftOut, Reason},
    time::{self, TimeKind},
    users::{Users, prefixed},
};
use crate::{
    DatasetError,
    error::shown,
    event_log,
    readers::{self, Cell, Rows, Step},
};

/// The time of a row without one.
const NO_TIME: i64 = i64::MIN;
/// The event type of a row without one.
pub(super) const NO_EVENT: u16 = u16::MAX;
/// A column with more distinct values holds no event types.
const MAX_EVENT_TYPES: usize = 1_000;

/// Interactions of all files, in the order of the files.
#[derive(Default)]
pub(super) struct Log {
    /// Users of all files, until [`Log::name_users`].
    identities: Users,
    pub(super) users: Names,
    pub(super) items: Names,
    pub(super) rows: Vec<Row>,
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

/// One file while it is read.
struct FileLog<'a> {
    path: &'a Path,
    /// What a line number counts.
    unit: &'static str,
    options: &'a ImportOptions,
    file: u16,
    users: Users,
    /// Rows whose user is in a further column, by that column.
    filled: Vec<(usize, u64)>,
    items: Names,
    events: Names,
    without_item: WithoutItem,
    rows: Vec<(Row, Option<TimeKind>)>,
    /// Users that were looked up among the forgotten ones, and the result of each.
    checked: Names,
    forgotten: Vec<bool>,
    unread_times: UnreadTimes,
    word_ratings: WordRatings,
    /// The column of days that is read together with the time of day.
    date: Option<usize>,
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
        let readers::Opened { mut rows, description, .. } =
            readers::open(path, options.has_header, &LISTS)?;
        let path = shown(path);
        let mut columns = Columns::find(path, &*rows, options)?;
        let mut log = FileLog {
            path,
            unit: rows.unit(),
            options,
            file: self.files.len() as u16,
            users: Users::default(),
            filled: Vec::new(),
            items: Names::default(),
            events: Names::default(),
            without_item: WithoutItem::default(),
            rows: Vec::new(),
            checked: Names::default(),
            forgotten: Vec::new(),
            unread_times: UnreadTimes::default(),
            word_ratings: WordRatings::default(),
            date: None,
        };
        let before = self.bad.total;
        loop {
            let step = rows.advance()?;
            if rows.columns().len() != columns.known {
                columns = Columns::find(path, &*rows, options)?;
            }
            let (reason, lines) = match step {
                Step::End => break,
                Step::Bad { reason, lines } => (reason, lines),
                Step::Row => match log.take(&*rows, &columns, &mut self.left_out) {
                    Ok(()) => {
                        self.bad.total += 1;
                        continue;
                    }
                    Err(reason) => (reason, 1),
                },
            };
            self.bad.total += lines;
            self.bad.add(log.bad_row(rows.line(), reason), lines);
        }
        let mut summary =
            FileSummary::new(path, description, self.bad.total - before, rows.columns());
        let name = |at: usize| bare(&rows.columns()[at]);
        for &(at, count) in &log.filled {
            columns.user.passed_over.retain(|passed| *passed != at);
            let users: Vec<&str> = columns.user.columns.iter().map(|&at| name(at)).collect();
            self.notes.push(format!(
                "{}: rows without {} that take the user from {}: {count}",
                path.display(),
                users.join(" or "),
                name(at)
            ));
        }
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
        if let Some(at) = log.date {
            summary.join_date(at);
        }
        // In the server's own event log, a view is an impression.
        let own_log =
            event_log::FIELDS.iter().all(|name| rows.columns().iter().any(|it| it == name));
        self.item_columns
            .extend(columns.item.columns.iter().map(|&at| bare(&rows.columns()[at]).to_owned()));
        let timed = !columns.time.is_empty();
        if timed {
            log.read_compact_days();
        }
        let event_named = columns.event.named;
        self.finish(&log, &mut summary, timed, event_named, own_log)?;
        self.notes.extend(log.word_ratings.warning(path));
        if !own_log {
            summary.add_unused(log.filled.iter().map(|(at, _)| *at));
        }
        let unread_times = |&at: &usize| !timed && !summary.is_used(at);
        if let Some(at) = log.unread_times.columns().find(unread_times) {
            self.notes.push(format!(
                "warning: {}: column {} looks like times, but is not read; name it with \
                 --time-column",
                path.display(),
                rows.columns()[at]
            ));
        }
        self.summaries.push(summary);
        self.files.push((path.to_path_buf(), log.unit));
        Ok(())
    }

    /// Adds the rows of a file, now that all values of its columns are known.
    fn finish(
        &mut self,
        log: &FileLog<'_>,
        summary: &mut FileSummary,
        timed: bool,
        event_named: bool,
        own_log: bool,
    ) -> Result<(), DatasetError> {
        let events = self.event_types(log, summary, event_named, own_log)?;
        let with_item = log.rows.iter().map(|(row, _)| row.event);
        let is_interest = |event: &str| matches!(log.meaning(event), Meaning::Interest(_));
        self.notes.extend(log.without_item.warnings(
            log.path,
            log.events.names(),
            with_item,
            is_interest,
        ));
        let kind = if timed { majority(&log.rows) } else { None };
        if let Some(kind) = kind {
            let of_kind = log.rows.iter().filter(|(_, found)| *found == Some(kind));
            summary.set_times(kind, of_kind.map(|(row, _)| row.time));
        }
        let users = log.users.merge_into(&mut self.identities);
        let items = log.items.merge_into(&mut self.items);
        self.rows.reserve(log.rows.len());
        for &(mut row, found) in &log.rows {
            if timed && (found.is_none() || found != kind) {
                let reason = match (kind, found) {
                    (Some(kind), Some(found)) => format!(
                        "expected a time in {kind} as in the rest of the file, found {found}"
                    ),
                    _ => "expected a time, found nothing".to_owned(),
                };
                self.bad.add(log.bad_row(u64::from(row.line), reason), 1);
                continue;
            }
            if !timed {
                row.time = 0;
            }
            if row.event != NO_EVENT {
                match &events[usize::from(row.event)] {
                    Ok(event) => row.event = *event,
                    Err(reason) => {
                        let example = || {
                            let user = log.users.name(row.user);
                            let item = &log.items.names()[row.item as usize];
                            log.example(u64::from(row.line), user, item)
                        };
                        self.left_out.add(reason.clone(), example);
                        continue;
                    }
                }
            }
            row.user = users[row.user as usize];
            row.item = items[row.item as usize];
            self.rows.push(row);
        }
        Ok(())
    }

    /// The position in all event types of each type of the file, or why it is left out.
    fn event_types(
        &mut self,
        log: &FileLog<'_>,
        summary: &mut FileSummary,
        named: bool,
        own_log: bool,
    ) -> Result<Vec<Result<u16, Reason>>, DatasetError> {
        let options = log.options;
        let meaning_of = |name: &str| {
            let is_impression = own_log && name == "view" && log.given_weight(name).is_none();
            if is_impression { Meaning::Neutral } else { log.meaning(name) }
        };
        let names = log.events.names();
        let meanings: Vec<Meaning> = names.iter().map(|name| meaning_of(name)).collect();
        let unknown = meanings.iter().all(|it| *it == Meaning::Unknown);
        if unknown && !names.is_empty() {
            let some: Vec<&str> = names.iter().take(5).map(AsRef::as_ref).collect();
            let text = format!(
                "none of the event types is known ({}{}); say which ones count with --event \
                 NAME=WEIGHT",
                some.join(", "),
                if names.len() > some.len() { ", …" } else { "" }
            );
            if named {
                return Err(DatasetError::input(log.path, text));
            }
            summary.forget_events();
            self.notes.push(format!("{}: every row counts, because {text}", log.path.display()));
            return Ok(vec![Ok(NO_EVENT); names.len()]);
        }
        let decide = |(name, meaning): (&std::rc::Rc<str>, Meaning)| {
            let weight = match meaning {
                Meaning::Interest(weight) if weight >= options.min_event_weight => weight,
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
        Ok(names.iter().zip(meanings).map(decide).collect())
    }

    /// Names the users, now that those of all files are known.
    pub(super) fn name_users(&mut self) {
        let (names, numbers) = std::mem::take(&mut self.identities).into_names();
        self.users = names;
        for row in &mut self.rows {
            row.user = numbers[row.user as usize];
        }
    }

    /// Ids of the items that occur in a row.
    pub(super) fn item_ids(&self) -> HashSet<&str> {
        let names = self.items.names();
        self.rows.iter().map(|row| &*names[row.item as usize]).collect()
    }

    /// The weight of an event.
    pub(super) fn weight(&self, event: u16) -> u32 {
        self.event_types.get(usize::from(event)).map_or(VIEW, |event| event.weight)
    }
}

impl FileLog<'_> {
    /// Reads the numbers of the time column as dates, `20240501`, if all of them are.
    fn read_compact_days(&mut self) {
        let numbers = || self.rows.iter().filter(|(_, kind)| *kind == Some(TimeKind::Seconds));
        if !numbers().all(|(row, _)| time::compact_day(row.time).is_some()) {
            return;
        }
        for (row, kind) in &mut self.rows {
            if *kind == Some(TimeKind::Seconds)
                && let Some(day) = time::compact_day(row.time)
            {
                (row.time, *kind) = (day, Some(TimeKind::Date));
            }
        }
    }

    /// The weight that the options give to an event type.
    fn given_weight(&self, name: &str) -> Option<u32> {
        let mut given = self.options.event_weights.iter();
        given.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight)
    }

    /// What an event type means, by the options or else by its name.
    fn meaning(&self, name: &str) -> Meaning {
        match self.given_weight(name) {
            Some(0) => Meaning::Against,
            Some(weight) => Meaning::Interest(weight),
            None => meaning(name),
        }
    }

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

    /// Takes a row, or says why it is bad.
    fn take(
        &mut self,
        rows: &dyn Rows,
        columns: &Columns,
        left_out: &mut LeftOut,
    ) -> Result<(), String> {
        let (user, kind, filled) = user(rows, columns)?;
        if let Some(column) = filled {
            match self.filled.iter_mut().find(|(known, _)| *known == column) {
                Some((_, count)) => *count += 1,
                None => self.filled.push((column, 1)),
            }
        }
        if self.is_forgotten(&user) || filled.is_some() && self.is_forgotten(&prefixed(kind, &user))
        {
            // Without the name.
            left_out.add(Reason::Forgotten, || {
                format!("{}, {} {}", self.path.display(), self.unit, rows.line())
            });
            return Ok(());
        }
        if value(rows, &columns.item) == Cell::Absent && !columns.event.is_empty() {
            let reason = match value(rows, &columns.event) {
                Cell::Text(event) => Reason::NoItem(event.to_string()),
                _ => Reason::NoItemNorEvent,
            };
            self.without_item.add(&reason);
            left_out.add(reason, || self.example(rows.line(), &user, "none"));
            return Ok(());
        }
        let item = id(rows, &columns.item, "an item id")?;
        if columns.time.is_empty() {
            self.unread_times.look(rows);
        }
        let (time, time_kind) = match time_of(rows, columns, self.options.time_format.as_deref())? {
            None => (NO_TIME, None),
            Some(found) => {
                self.date = self.date.or(found.date);
                (found.time, Some(found.kind))
            }
        };
        if let Some(reason) = self.rejected(rows, columns)? {
            left_out.add(reason, || self.example(rows.line(), &user, &item));
            return Ok(());
        }
        let event = match value(rows, &columns.event) {
            Cell::Text(text) if self.events.names().len() < MAX_EVENT_TYPES => {
                self.events.number(&text) as u16
            }
            _ => NO_EVENT,
        };
        let user = self.users.number(kind, &user, filled.is_some());
        let item = self.items.number(&item);
        let line = u32::try_from(rows.line()).unwrap_or(u32::MAX);
        self.rows.push((Row { time, user, item, line, file: self.file, event }, time_kind));
        Ok(())
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
            self.word_ratings.add(&cell);
        }
        Ok(match self.options.min_rating {
            Some(min) if rating.is_none_or(|rating| rating < min) => Some(Reason::LowRating(min)),
            None if rating.is_some_and(|rating| rating <= 0.0) => Some(Reason::NotPositive),
            _ => None,
        })
    }

    fn bad_row(&self, line: u64, reason: String) -> BadRow {
        BadRow { file: self.path.to_path_buf(), unit: self.unit, line, reason }
    }

    fn example(&self, line: u64, user: &str, item: &str) -> String {
        format!("{}, {} {line}: user {user}, item {item}", self.path.display(), self.unit)
    }
}

/// The kind of most times.
fn majority(rows: &[(Row, Option<TimeKind>)]) -> Option<TimeKind> {
    let count = |kind| rows.iter().filter(|(_, found)| *found == Some(kind)).count();
    let kinds = TimeKind::ALL.map(|kind| (count(kind), kind));
    kinds.into_iter().filter(|(count, _)| *count > 0).max_by_key(|(count, _)| *count).map(|it| it.1)
}
