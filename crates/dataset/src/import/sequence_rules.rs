//! The rules that look at all rows of one user, in their order.

use std::collections::HashSet;

use super::{
    log::{LogFacts, Row},
    options::ImportOptions,
    summary::{FIRST_DATE, Reason, count},
    time::SECOND,
};
use crate::{Catalogue, ItemIndex};

/// Microseconds in an hour.
const HOUR: i64 = 3_600 * SECOND;

/// The rules for the rows of one user after the other.
pub(super) struct RowRules<'a> {
    facts: &'a LogFacts,
    catalogue: &'a Catalogue,
    timed: bool,
    keep_duplicates: bool,
    /// Number of events in an hour from which on a user is a bot.
    limit: u32,
    removed: &'a mut Removed,
}

/// Rows that these rules have left out, with the first of each rule.
#[derive(Default)]
pub(super) struct Removed {
    duplicates: Counted,
    bots: Counted,
    steps: Counted,
    repeats: Counted,
    /// Number of users that are bots, and the first.
    bot_users: (u64, String),
}

#[derive(Default)]
struct Counted {
    rows: u64,
    first: String,
}

impl Counted {
    fn add(&mut self, example: impl FnOnce() -> String) {
        if self.rows == 0 {
            self.first = example();
        }
        self.rows += 1;
    }
}

impl Removed {
    /// The repeats stay after all.
    pub(super) fn forget_repeats(&mut self) {
        self.repeats = Counted::default();
    }

    /// Adds what was left out to what is known of the log.
    pub(super) fn conclude(self, facts: &mut LogFacts, options: &ImportOptions) {
        let limit = options.max_events_per_user_hour;
        let (bots, first) = self.bot_users;
        if bots > 0 {
            facts.notes.push(format!(
                "left out: {} with more than {limit} events in an hour, for example {first}",
                count(bots, "user")
            ));
        }
        for (reason, counted) in [
            (Reason::Duplicate, self.duplicates),
            (Reason::Bot(limit), self.bots),
            (Reason::Step, self.steps),
            (Reason::Repeat, self.repeats),
        ] {
            if counted.rows > 0 {
                facts.left_out.add_rows(reason, counted.rows, counted.first);
            }
        }
    }
}

impl<'a> RowRules<'a> {
    pub(super) fn new(
        facts: &'a LogFacts,
        catalogue: &'a Catalogue,
        timed: bool,
        options: &ImportOptions,
        removed: &'a mut Removed,
    ) -> Self {
        let keep_duplicates = options.keep_duplicates;
        let limit = options.max_events_per_user_hour;
        Self { facts, catalogue, timed, keep_duplicates, limit, removed }
    }

    /// Applies all rules but that of repeats, which needs to know all users.
    pub(super) fn apply(&mut self, user: &str, rows: &mut Vec<Row>) {
        if self.timed && !self.keep_duplicates {
            self.remove_duplicates(user, rows);
        }
        if self.timed {
            self.remove_bots(user, rows);
        }
        self.merge_steps(user, rows);
    }

    /// Removes the interactions of a user with an item that the user had before.
    pub(super) fn remove_repeats(&mut self, user: &str, rows: &mut Vec<Row>) {
        let mut seen = HashSet::new();
        rows.retain(|row| {
            let is_first = seen.insert(row.item);
            if !is_first {
                self.removed.repeats.add(|| example(self.facts, self.catalogue, user, row));
            }
            is_first
        });
    }

    fn remove_duplicates(&mut self, user: &str, rows: &mut Vec<Row>) {
        let mut before = None;
        rows.retain(|row| {
            let key = (row.time, row.item, row.event);
            let is_same = before.replace(key) == Some(key);
            if is_same {
                self.removed.duplicates.add(|| example(self.facts, self.catalogue, user, row));
            }
            !is_same
        });
    }

    /// Removes all rows of a user with more events than the limit within one hour by the clock,
    /// where times are dates.
    fn remove_bots(&mut self, user: &str, rows: &mut Vec<Row>) {
        let hour = |row: &Row| row.time.div_euclid(HOUR);
        let is_bot = rows
            .chunk_by(|a, b| hour(a) == hour(b))
            .any(|rows| rows.len() > self.limit as usize && rows[0].time >= FIRST_DATE);
        if !is_bot {
            return;
        }
        let (bots, first) = &mut self.removed.bot_users;
        if *bots == 0 {
            user.clone_into(first);
        }
        *bots += 1;
        for row in rows.drain(..) {
            self.removed.bots.add(|| example(self.facts, self.catalogue, user, &row));
        }
    }

    /// The steps of one choice (view, cart, purchase) are one interaction, as long as the user
    /// turns to no other item in between: an event is left out if it follows a lighter one on the
    /// same item.
    fn merge_steps(&mut self, user: &str, rows: &mut Vec<Row>) {
        // Item of the last event that stays, and weight of the last event, also if it does not.
        let (mut item, mut last) = (None, 0);
        rows.retain(|row| {
            let weight = self.facts.weight(row.event);
            let is_step = item == Some(row.item) && weight > last;
            last = weight;
            item = Some(row.item);
            if is_step {
                self.removed.steps.add(|| example(self.facts, self.catalogue, user, row));
            }
            !is_step
        });
    }
}

fn example(facts: &LogFacts, catalogue: &Catalogue, user: &str, row: &Row) -> String {
    let (path, unit) = &facts.files[usize::from(row.file)];
    let item = catalogue.get(ItemIndex(row.item)).id.as_str();
    super::scan::example(path, unit, u64::from(row.line), user, item)
}
