//! Visitors of the demo's log whom the models are not trained on, so that the page can replay
//! them: all of their interactions are taken out of the log.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use crate::{digest::Inputs, failure::Failure};

/// Number of visitors that are kept out.
const VISITORS: usize = 40;
/// Interactions of such a visitor: enough for a history and a replay, not most of the popular items.
const INTERACTIONS: std::ops::RangeInclusive<usize> = 30..=100;
/// Newest interactions that are replayed.
const CLICKS: usize = 10;

/// A visitor as the page reads it, item ids oldest first.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Visitor {
    history: Vec<String>,
    clicks: Vec<String>,
}

/// Writes the log without some visitors to `training`, and these visitors as JSON to `visitors`.
pub(crate) fn split(log: &Path, training: &Path, visitors: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(log).map_err(Failure::file(log))?;
    let (rest, held_out) = split_text(&text).ok_or_else(|| {
        Failure::Check(format!(
            "{}: expected at least {VISITORS} users with {} to {} interactions in lines of user, \
             item, rating and time",
            log.display(),
            INTERACTIONS.start(),
            INTERACTIONS.end()
        ))
    })?;
    let json = serde_json::to_string(&held_out)
        .map_err(|error| Failure::Check(format!("writing the visitors: {error}")))?;
    fs::write(training, rest).map_err(Failure::file(training))?;
    fs::write(visitors, json).map_err(Failure::file(visitors))
}

/// The log without the chosen visitors, and the visitors; `None` if there are too few.
fn split_text(text: &str) -> Option<(String, Vec<Visitor>)> {
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
    if users.len() < VISITORS {
        return None;
    }
    // A fixed choice that does not follow the order of the log.
    let mut chosen: Vec<_> = users.into_iter().collect();
    chosen.sort_by_key(|(user, _)| Inputs::new().text(user).finish());
    chosen.truncate(VISITORS);
    let left_out = |row: &&str| {
        let user = row.split('\t').next().unwrap_or_default();
        chosen.iter().any(|(name, _)| *name == user)
    };
    let kept = rows.iter().filter(|row| !left_out(row));
    let rest =
        std::iter::once(&header).chain(kept).fold(String::new(), |all, row| all + row + "\n");
    let visitors = chosen.iter().map(|(_, items)| visitor(items)).collect();
    Some((rest, visitors))
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
    use std::fmt::Write as _;

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
    fn no_interaction_of_a_replayed_visitor_is_left_in_the_log() {
        let (rest, visitors) = split_text(&log(100, 30)).unwrap();
        assert_eq!(visitors.len(), VISITORS);
        assert_eq!(rest.lines().count(), 1 + 60 * 30);
        let oldest_first: Vec<String> = (1..=30).map(|item: u32| item.to_string()).collect();
        for Visitor { history, clicks } in &visitors {
            assert_eq!([history.as_slice(), clicks].concat(), oldest_first);
            assert_eq!(clicks.len(), CLICKS);
        }
    }

    #[test]
    fn visitors_with_few_or_very_many_interactions_are_not_chosen() {
        assert!(split_text(&log(100, 29)).is_none());
        assert!(split_text(&log(100, 101)).is_none());
    }
}
