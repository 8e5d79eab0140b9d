//! The session's history as JavaScript gets it: only what changed since the last time.

use serde::Serialize;
use tandem_protocol::ItemId;

/// A change of the history. The new history is the `kept` items that follow the first
/// `dropped` ones of the old history, and then `added`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub(crate) struct HistoryChange {
    pub(crate) dropped: usize,
    pub(crate) kept: usize,
    pub(crate) added: Vec<ItemId>,
}

/// The history as it is, and as it was last reported.
#[derive(Debug, Default)]
pub(crate) struct HistoryReport {
    current: Vec<ItemId>,
    reported: Vec<ItemId>,
}

impl HistoryReport {
    /// Notes the history as it is.
    pub(crate) fn note(&mut self, history: &[ItemId]) {
        self.current.clear();
        self.current.extend_from_slice(history);
    }

    /// What changed since the last call.
    pub(crate) fn take_change(&mut self) -> HistoryChange {
        let change = change(&self.reported, &self.current);
        self.reported.clone_from(&self.current);
        change
    }
}

/// A session appends to its history, takes the newest items back and drops the oldest. If
/// the change is of another kind, all after the common beginning is sent again.
fn change(old: &[ItemId], new: &[ItemId]) -> HistoryChange {
    let common = |rest: &[ItemId]| rest.iter().zip(new).take_while(|(a, b)| a == b).count();
    let shifted = (0..old.len()).find_map(|dropped| {
        let rest = &old[dropped..];
        let kept = common(rest);
        // Without a difference before the end of either.
        (kept > 0 && kept == rest.len().min(new.len())).then_some((dropped, kept))
    });
    let (dropped, kept) = shifted.unwrap_or_else(|| (0, common(old)));
    HistoryChange { dropped, kept, added: new[kept..].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(names: &str) -> Vec<ItemId> {
        names.chars().map(|name| ItemId::new(name.to_string())).collect()
    }

    fn check(old: &str, new: &str, dropped: usize, kept: usize, added: &str) {
        let mut report = HistoryReport::default();
        report.note(&items(old));
        report.take_change();
        report.note(&items(new));
        let expected = HistoryChange { dropped, kept, added: items(added) };
        assert_eq!(report.take_change(), expected, "{old} to {new}");
        assert_eq!(report.take_change().added, [], "{new} again");
    }

    #[test]
    fn a_click_an_undo_and_a_trim_are_reported_as_such() {
        check("", "ab", 0, 0, "ab");
        check("ab", "abc", 0, 2, "c");
        check("abc", "ab", 0, 2, "");
        check("abcd", "bcde", 1, 3, "e");
        check("aaab", "aabc", 1, 3, "c");
        check("abcdef", "def", 3, 3, "");
        check("abc", "", 0, 0, "");
        check("abc", "xyz", 0, 0, "xyz");
        check("abc", "abx", 0, 2, "x");
    }
}
