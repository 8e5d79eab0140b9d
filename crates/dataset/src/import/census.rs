//! What must be known of all rows of a file before the rules can be applied to one of them: the
//! event types, and how times are written.

use serde::{Deserialize, Serialize};

use super::{
    id::Names,
    scan::ScannedRow,
    summary::{Reason, TimeSpan},
    time::{self, TimeKind},
};

/// The event type of a row without one.
pub(super) const NO_EVENT: u16 = u16::MAX;
/// A column with more distinct values holds no event types.
pub(super) const MAX_EVENT_TYPES: usize = 1_000;

/// Numbers of the rows of a file by event type and kind of time.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Census {
    pub(super) events: Names,
    pub(super) groups: Vec<Group>,
    /// Position of each group, by event type and kind of time; empty after a transfer.
    #[serde(skip)]
    positions: Vec<Option<u16>>,
}

/// The rows with one event type and one kind of time.
#[derive(Serialize, Deserialize)]
pub(super) struct Group {
    /// Position in the event types of the file, or [`NO_EVENT`].
    pub(super) event: u16,
    pub(super) kind: Option<TimeKind>,
    pub(super) rows: u64,
    times: TimeSpan,
    /// The times as days of eight digits, while all of them are such.
    days: Option<TimeSpan>,
}

impl Census {
    /// Counts a row; returns the number of its event type and the position of its group.
    pub(super) fn add(&mut self, row: &ScannedRow<'_>) -> (u16, usize) {
        let event = match row.event {
            Some(text) if self.events.names().len() < MAX_EVENT_TYPES => {
                self.events.number(text) as u16
            }
            _ => NO_EVENT,
        };
        let at = self.position(event, row.time.map(|(_, kind)| kind));
        let group = &mut self.groups[at];
        group.rows += 1;
        if let Some((time, kind)) = row.time {
            group.times.add(time);
            if kind == TimeKind::Seconds && group.days.is_some() {
                match time::compact_day(time) {
                    None => group.days = None,
                    Some(day) => group.days.iter_mut().for_each(|days| days.add(day)),
                }
            }
        }
        (event, at)
    }

    /// The position of a group, which is added if it is new.
    fn position(&mut self, event: u16, kind: Option<TimeKind>) -> usize {
        let kinds = TimeKind::ALL.len() + 1;
        let kind_at = kind.map_or(kinds - 1, |kind| kind as usize);
        let event_at = if event == NO_EVENT { 0 } else { usize::from(event) + 1 };
        let slot = event_at * kinds + kind_at;
        if slot >= self.positions.len() {
            self.positions.resize(slot + 1, None);
        }
        if let Some(at) = self.positions[slot] {
            return usize::from(at);
        }
        let at = self.groups.len();
        self.positions[slot] = Some(at as u16);
        let (times, days) = (TimeSpan::default(), Some(TimeSpan::default()));
        self.groups.push(Group { event, kind, rows: 0, times, days });
        at
    }

    /// Adds the census of the next part of the same file; returns where each of its groups is.
    /// This census was not transferred. Event types beyond [`MAX_EVENT_TYPES`] are kept.
    pub(super) fn merge(&mut self, next: &Self) -> Vec<usize> {
        let events: Vec<u16> =
            next.events.names().iter().map(|name| self.events.number(name) as u16).collect();
        let mut positions = Vec::with_capacity(next.groups.len());
        for other in &next.groups {
            let event = events.get(usize::from(other.event)).copied().unwrap_or(NO_EVENT);
            let at = self.position(event, other.kind);
            let group = &mut self.groups[at];
            group.rows += other.rows;
            group.times.merge(&other.times);
            group.days = group.days.zip(other.days).map(|(mut days, other)| {
                days.merge(&other);
                days
            });
            positions.push(at);
        }
        positions
    }

    /// Number of rows of an event type.
    pub(super) fn rows_of_event(&self, name: &str) -> u64 {
        let Some(event) = self.events.names().iter().position(|known| **known == *name) else {
            return 0;
        };
        let of_event = self.groups.iter().filter(|group| usize::from(group.event) == event);
        of_event.map(|group| group.rows).sum()
    }

    /// How times are to be read; `timed` says whether there is a column of times.
    pub(super) fn times(&self, timed: bool) -> Times {
        let mut seconds = self.groups.iter().filter(|it| it.kind == Some(TimeKind::Seconds));
        let are_days = timed && seconds.all(|group| group.days.is_some());
        let mut times = Times { timed, are_days, kind: None };
        // The kind of most times; of equal numbers the last.
        let count = |kind| {
            let of_kind = self.groups.iter().filter(|it| times.kind_of(it.kind) == Some(kind));
            of_kind.map(|group| group.rows).sum::<u64>()
        };
        let kinds = TimeKind::ALL.map(|kind| (count(kind), kind));
        let most = kinds.into_iter().filter(|(rows, _)| *rows > 0).max_by_key(|(rows, _)| *rows);
        times.kind = if timed { most.map(|(_, kind)| kind) } else { None };
        times
    }

    /// The span of the times that are read as `times` says.
    pub(super) fn span(&self, times: Times) -> TimeSpan {
        let mut span = TimeSpan::default();
        for group in self.groups.iter().filter(|it| times.kind_of(it.kind) == times.kind) {
            let days = group.days.filter(|_| times.is_day(group.kind));
            span.merge(&days.unwrap_or(group.times));
        }
        span
    }
}

/// How the times of a file are read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Times {
    /// Whether the file has a column of times.
    timed: bool,
    /// Whether its numbers are days, `20240501`.
    are_days: bool,
    /// The kind of most times.
    pub(super) kind: Option<TimeKind>,
}

impl Times {
    fn is_day(self, kind: Option<TimeKind>) -> bool {
        self.are_days && kind == Some(TimeKind::Seconds)
    }

    fn kind_of(self, kind: Option<TimeKind>) -> Option<TimeKind> {
        if self.is_day(kind) { Some(TimeKind::Date) } else { kind }
    }
}

/// What becomes of the rows of one file, by event type and kind of time.
#[derive(Serialize, Deserialize)]
pub(super) struct FileRules {
    pub(super) times: Times,
    /// Of each event type of the file, its position in all event types, or why it is left out.
    pub(super) events: Vec<Result<u16, Reason>>,
}

/// What becomes of a row.
pub(super) enum Fate<'a> {
    /// It counts, with this position in all event types, or [`NO_EVENT`].
    Counts(u16),
    Bad(String),
    LeftOut(&'a Reason),
}

impl FileRules {
    /// What becomes of rows with an event type of the file and a kind of time.
    pub(super) fn fate(&self, event: u16, kind: Option<TimeKind>) -> Fate<'_> {
        let found = self.times.kind_of(kind);
        if self.times.timed && (found.is_none() || found != self.times.kind) {
            return Fate::Bad(match (self.times.kind, found) {
                (Some(kind), Some(found)) => {
                    format!("expected a time in {kind} as in the rest of the file, found {found}")
                }
                _ => "expected a time, found nothing".to_owned(),
            });
        }
        match self.events.get(usize::from(event)) {
            None => Fate::Counts(NO_EVENT),
            Some(Ok(event)) => Fate::Counts(*event),
            Some(Err(reason)) => Fate::LeftOut(reason),
        }
    }

    /// The time of a row that counts, in microseconds; 0 in a file without times.
    pub(super) fn time(&self, time: Option<(i64, TimeKind)>) -> i64 {
        match time {
            Some((time, kind)) if self.times.timed => {
                let day =
                    if self.times.is_day(Some(kind)) { time::compact_day(time) } else { None };
                day.unwrap_or(time)
            }
            _ => 0,
        }
    }
}
