//! Visitors of the demo's log whom the models are not trained on: all of their interactions are
//! taken out of the log. The page replays some of them, and the decision about calls is calibrated
//! on others, because a visitor of the page is new to the models as well.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{digest::Inputs, failure::Failure};

/// Number of visitors that are kept out to be replayed.
const VISITORS: usize = 40;
/// Number of visitors that are kept out for the calibration.
const CALIBRATION: usize = 100;
/// Clicks of a session of the calibration.
pub(crate) const SESSION: usize = 20;
/// Interactions of such a visitor: enough for a history and a replay, not most of the popular items.
const INTERACTIONS: std::ops::RangeInclusive<usize> = 30..=100;
/// Newest interactions that are replayed.
const CLICKS: usize = 10;

/// Text that changes when the division does.
pub(crate) fn division() -> String {
    format!(
        "{VISITORS} replayed for {CLICKS} clicks, {CALIBRATION} for the calibration with sessions of \
         {SESSION} clicks, of those with {} to {} interactions",
        INTERACTIONS.start(),
        INTERACTIONS.end()
    )
}

/// A visitor as the page reads it, item ids oldest first.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Visitor {
    history: Vec<String>,
    clicks: Vec<String>,
}

/// The files that [`split`] writes.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The log without the visitors that are kept out.
    pub(crate) training: PathBuf,
    /// The log of the calibration.
    pub(crate) calibration: PathBuf,
    /// The visitors to replay (JSON).
    pub(crate) visitors: PathBuf,
}

/// A user with interactions: time, item for the order of equal times, and item.
type User<'a> = (&'a str, Vec<(u64, u64, &'a str)>);

/// Divides a log.
pub(crate) fn split(log: &Path, parts: &Parts) -> Result<(), Failure> {
    let text = fs::read_to_string(log).map_err(Failure::file(log))?;
    let split = split_text(&text).ok_or_else(|| {
        Failure::Check(format!(
            "{}: expected at least {} users with {} to {} interactions in lines of user, item, \
             rating and time",
            log.display(),
            VISITORS + CALIBRATION,
            INTERACTIONS.start(),
            INTERACTIONS.end()
        ))
    })?;
    let json = serde_json::to_string(&split.visitors)
        .map_err(|error| Failure::Check(format!("writing the visitors: {error}")))?;
    let contents = [(&parts.training, split.training), (&parts.calibration, split.calibration)];
    for (path, content) in contents.into_iter().chain([(&parts.visitors, json)]) {
        fs::write(path, content).map_err(Failure::file(path))?;
    }
    Ok(())
}

/// The contents of [`Parts`].
struct Split {
    training: String,
    calibration: String,
    visitors: Vec<Visitor>,
}

/// Divides the text of a log; `None` if too few visitors can be kept out.
fn split_text(text: &str) -> Option<Split> {
    let mut lines = text.lines();
    let header = lines.next()?;
    let rows: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let mut users: BTreeMap<&str, Vec<(u64, u64, &str)>> = BTreeMap::new();
    for row in &rows {
        let mut cells = row.split('\t');
        let (user, item) = (cells.next()?, cells.next()?);
        let time = cells.nth(1)?.parse().ok()?;
        // Equal times are ordered by item, as the import does.
        users.entry(user).or_default().push((time, item.parse().ok()?, item));
    }
    users.retain(|_, items| INTERACTIONS.contains(&items.len()));
    if users.len() < VISITORS + CALIBRATION {
        return None;
    }
    // A fixed choice that does not follow the order of the log.
    let mut chosen: Vec<_> = users.into_iter().collect();
    chosen.sort_by_key(|(user, _)| Inputs::new().text(user).finish());
    chosen.truncate(VISITORS + CALIBRATION);
    let left_out = |row: &&str| {
        let user = row.split('\t').next().unwrap_or_default();
        chosen.iter().any(|(name, _)| *name == user)
    };
    let kept = rows.iter().filter(|row| !left_out(row));
    let training =
        std::iter::once(&header).chain(kept).fold(String::new(), |all, row| all + row + "\n");
    let calibration = chosen.split_off(VISITORS);
    let visitors = chosen.iter().map(|(_, items)| visitor(items)).collect();
    Some(Split { training, calibration: sessions(header, &calibration), visitors })
}

/// A log with two users for each visitor: the beginning of the visit, where a visitor of the page
/// is, and all of it. A session is the newest clicks of a user.
fn sessions(header: &str, visitors: &[User<'_>]) -> String {
    let mut log = format!("{header}\n");
    for (user, items) in visitors {
        let mut items = items.clone();
        items.sort_unstable();
        for (name, length) in [("begins", SESSION + 1), ("returns", items.len())] {
            for (time, _, item) in &items[..length] {
                // A string takes everything.
                let _ = writeln!(log, "{user}-{name}\t{item}\t1\t{time}");
            }
        }
    }
    log
}

fn visitor(items: &[(u64, u64, &str)]) -> Visitor {
    let mut items = items.to_vec();
    items.sort_unstable();
    let names: Vec<String> = items.iter().map(|(_, _, item)| (*item).to_owned()).collect();
    let (history, clicks) = names.split_at(names.len() - CLICKS);
    Visitor { history: history.to_vec(), clicks: clicks.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(users: usize, interactions: usize) -> String {
        let mut text = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n".to_owned();
        // Newest first, and two items at each time.
        for number in (0..interactions).rev() {
            for user in 0..users {
                writeln!(text, "{user}\t{}\t3\t{}", number + 1, number / 2).unwrap();
            }
        }
        text
    }

    #[test]
    fn no_interaction_of_a_visitor_that_is_kept_out_is_left_in_the_log() {
        let Split { training, calibration, visitors } = split_text(&log(200, 30)).unwrap();
        assert_eq!(visitors.len(), VISITORS);
        assert_eq!(training.lines().count(), 1 + 60 * 30);
        let of = |text: &str| -> Vec<String> {
            let users = text.lines().skip(1).filter_map(|row| row.split(['\t', '-']).next());
            let mut users: Vec<String> = users.map(str::to_owned).collect();
            users.sort();
            users.dedup();
            users
        };
        let (trained, calibrated) = (of(&training), of(&calibration));
        assert_eq!((trained.len(), calibrated.len()), (60, CALIBRATION));
        assert!(calibrated.iter().all(|user| !trained.contains(user)));
        let oldest_first: Vec<String> = (1..=30).map(|item: u32| item.to_string()).collect();
        for Visitor { history, clicks } in &visitors {
            assert_eq!([history.as_slice(), clicks].concat(), oldest_first);
            assert_eq!(clicks.len(), CLICKS);
        }
    }

    #[test]
    fn a_visitor_of_the_calibration_begins_a_visit_and_returns() {
        let items: Vec<(u64, u64, &str)> =
            (0..30).rev().map(|time| (time, time, if time == 0 { "a" } else { "b" })).collect();
        let log = sessions("user\titem\trating\ttime", &[("7", items)]);
        let rows: Vec<&str> = log.lines().collect();
        assert_eq!((rows.len(), rows[1]), (1 + 21 + 30, "7-begins\ta\t1\t0"));
        assert_eq!((rows[21], rows[22]), ("7-begins\tb\t1\t20", "7-returns\ta\t1\t0"));
    }

    #[test]
    fn visitors_with_few_or_very_many_interactions_are_not_chosen() {
        assert!(split_text(&log(200, 29)).is_none());
        assert!(split_text(&log(200, 101)).is_none());
        assert!(split_text(&log(100, 30)).is_none());
    }
}
