use std::time::{Duration, Instant};

use super::{
    StoredEvent,
    read::{COLUMNS, EventRow, event, signed},
};
use crate::{
    Storage, StorageError,
    clock::now,
    database::{Database, constant, with_reader},
};

/// Time in which an event with a lower number may follow one that has been read. Several servers
/// of PostgreSQL write at once, and each gives up after 10 seconds.
const LATE: Duration = Duration::from_mins(1);
/// The same by the clocks of the servers, which may differ.
const LATE_BY_CLOCK_MS: i64 = 5 * 60_000;
/// Number of ranges that are remembered. An event that is sent again uses up a number, too, so
/// visitors who send many again make many; the oldest are forgotten then.
const MAX_MISSING: usize = 1_000;

/// Which events have been read. Begin with the default.
///
/// In PostgreSQL an event can become visible after one with a higher number. The numbers that are
/// left out are remembered for a minute, so that each event is read once.
#[derive(Clone, Debug, Default)]
pub struct EventPosition {
    last: i64,
    missing: Vec<Missing>,
}

/// Numbers that were not there when a higher one was read.
#[derive(Clone, Debug)]
struct Missing {
    first: i64,
    last: i64,
    until: Instant,
}

/// Events that had not been read before.
#[derive(Clone, Debug)]
pub struct NewEvents {
    /// The events, in the order in which they were stored as far as they are read in time.
    pub events: Vec<StoredEvent>,
    /// Where to continue.
    pub next: EventPosition,
    /// Whether more events may be there already.
    pub has_more: bool,
}

impl EventPosition {
    /// Whether the event of this number has been read.
    #[must_use]
    pub fn includes(&self, number: i64) -> bool {
        let is_missing = |it: &Missing| (it.first..=it.last).contains(&number);
        number <= self.last && !self.missing.iter().any(is_missing)
    }

    /// Takes numbers that were read from those that are missing.
    fn found(&mut self, number: i64) {
        let at = self.missing.iter().position(|it| (it.first..=it.last).contains(&number));
        let Some(Missing { first, last, until }) = at.map(|at| self.missing.remove(at)) else {
            return;
        };
        let rest = [(first, number - 1), (number + 1, last)];
        let rest = rest.into_iter().filter(|(first, last)| first <= last);
        self.missing.extend(rest.map(|(first, last)| Missing { first, last, until }));
    }

    /// Goes on to a higher number.
    fn pass(&mut self, number: i64, may_be_late: bool) {
        if may_be_late && number > self.last + 1 {
            let until = Instant::now() + LATE;
            if self.missing.len() >= MAX_MISSING {
                self.missing.remove(0);
            }
            self.missing.push(Missing { first: self.last + 1, last: number - 1, until });
        }
        self.last = number;
    }
}

impl Storage {
    /// At most `limit` of the events that were received at `since` (milliseconds since 1970) or
    /// later and are not among those of the position, and those that have become visible late.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn new_events(
        &self,
        since: u64,
        position: &EventPosition,
        limit: u32,
    ) -> Result<NewEvents, StorageError> {
        let mut next = position.clone();
        next.missing.retain(|it| it.until > Instant::now());
        let newer = format!(
            "SELECT {COLUMNS} FROM events WHERE number > $1 AND received >= $2 \
             ORDER BY number LIMIT $3"
        );
        let late = format!(
            "SELECT {COLUMNS} FROM events JOIN unnest($1::bigint[], $2::bigint[]) \
             AS missing (first_number, last_number) \
             ON number BETWEEN first_number AND last_number WHERE received >= $3 ORDER BY number"
        );
        self.short(move |database| async move {
            let mut events = Vec::new();
            if let Database::Postgres(server) = &database
                && !next.missing.is_empty()
            {
                let (first, last): (Vec<i64>, Vec<i64>) =
                    next.missing.iter().map(|it| (it.first, it.last)).unzip();
                let query = sqlx::query_as(constant(late)).bind(first).bind(last);
                let query = query.bind(signed(since));
                let rows: Vec<EventRow> = query.fetch_all(&mut *server.acquire().await?).await?;
                for row in rows {
                    next.found(row.0);
                    events.extend(event(row));
                }
            }
            let rows: Vec<EventRow> = with_reader!(&database, connection => {
                sqlx::query_as(constant(newer))
                    .bind(next.last)
                    .bind(signed(since))
                    .bind(i64::from(limit))
                    .fetch_all(connection)
                    .await?
            });
            let has_more = rows.len() == limit as usize;
            let has_late = matches!(database, Database::Postgres(_));
            let recent = now() - LATE_BY_CLOCK_MS;
            for row in rows {
                next.pass(row.0, has_late && row.6 >= recent);
                events.extend(event(row));
            }
            Ok(NewEvents { events, next, has_more })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_missing_are_read_later() {
        let mut position = EventPosition::default();
        position.pass(3, false);
        assert!(position.includes(1) && position.includes(3) && !position.includes(4));
        position.pass(9, true);
        assert!(!position.includes(4) && !position.includes(8) && position.includes(9));
        position.found(6);
        let included = (1..=10).filter(|number| position.includes(*number));
        assert_eq!(included.collect::<Vec<_>>(), [1, 2, 3, 6, 9]);
        for number in [4, 5, 8, 7, 7] {
            position.found(number);
        }
        assert!(position.missing.is_empty() && position.includes(5) && !position.includes(10));
    }
}
