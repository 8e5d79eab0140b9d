use serde::{Deserialize, Serialize};

use super::{
    part::{FileStorage, LogPart},
    uses::ItemUses,
};
use crate::{
    DatasetError, ImportOptions,
    import::{
        assemble::SHOWN,
        census::Census,
        id::IdStyle,
        scan::{Scan, ScannedRow},
        users::KINDS,
    },
};

/// Lines that are kept of each group of rows. A group with more of them in one part is no small
/// exception, and its lines are not listed.
const MAX_LINES: usize = 1 << 17;
/// Bad rows that are kept of a part.
const MAX_BAD_ROWS: usize = 1 << 17;

/// What [`survey`] found in a part of a log.
pub struct PartSurvey {
    report: String,
    items: ItemUses,
}

/// What one part says beside its items.
#[derive(Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) scan: Scan,
    pub(super) census: Census,
    /// Beside the groups of the census.
    pub(super) groups: Vec<GroupRows>,
    /// How users are written, by the kind of their column.
    pub(super) users: [IdStyle; KINDS.len()],
    pub(super) items: IdStyle,
    /// Positions of groups, by the number that items have.
    pub(super) uses: Vec<Vec<u32>>,
}

/// Some rows of a group.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct GroupRows {
    pub(super) first: Vec<FirstRow>,
    /// The lines of all rows; `None` if they are too many.
    pub(super) lines: Option<Vec<u64>>,
}

/// One of the first rows of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FirstRow {
    /// Position in the part.
    pub(super) at: u64,
    pub(super) line: u64,
    pub(super) user: String,
    /// Kind of the user's column.
    pub(super) kind: usize,
    pub(super) item: String,
    pub(super) time: i64,
}

/// Reads a part of a log once, for what must be known of all rows.
///
/// # Errors
/// As [`import`](crate::import()) for a file that cannot be read, or whose columns are not found.
pub fn survey(
    part: &LogPart,
    options: &ImportOptions,
    storage: &dyn FileStorage,
) -> Result<PartSurvey, DatasetError> {
    let mut census = Census::default();
    let mut groups: Vec<GroupRows> = Vec::new();
    let mut users = [IdStyle::default(); KINDS.len()];
    let mut item_style = IdStyle::default();
    let mut items = ItemUses::default();
    let mut sets: Vec<u32> = Vec::new();
    let mut at = 0;
    let source = part.source(storage)?;
    let mut scan = Scan::read(source, part.groups.as_ref(), options, |row| {
        let (_, group) = census.add(row);
        if group == groups.len() {
            groups.push(GroupRows { first: Vec::new(), lines: Some(Vec::new()) });
            sets.push(items.set(vec![group as u32]));
        }
        groups[group].add(row, at);
        at += 1;
        users[row.kind].look(row.user);
        item_style.look(row.item);
        items.add(row.item, sets[group]);
        Ok(())
    })?;
    scan.bad.truncate(MAX_BAD_ROWS);
    let uses = items.sets().to_vec();
    let report = Report { scan, census, groups, users, items: item_style, uses };
    let report = serde_json::to_string(&report).map_err(|error| {
        DatasetError::input(part.path(), format!("has a report that cannot be sent: {error}"))
    })?;
    Ok(PartSurvey { report, items })
}

impl GroupRows {
    fn add(&mut self, row: &ScannedRow<'_>, at: u64) {
        if self.first.len() < SHOWN {
            self.first.push(FirstRow {
                at,
                line: row.line,
                user: row.user.to_owned(),
                kind: row.kind,
                item: row.item.to_owned(),
                time: row.time.map_or(0, |(time, _)| time),
            });
        }
        if let Some(lines) = &mut self.lines {
            lines.push(row.line);
            if lines.len() > MAX_LINES {
                self.lines = None;
            }
        }
    }
}

impl PartSurvey {
    /// The report for [`LogSurvey::add_report`](super::LogSurvey::add_report).
    #[must_use]
    pub fn report(&self) -> &str {
        &self.report
    }

    /// Each item once, with a number, for [`LogSurvey::add_item`](super::LogSurvey::add_item).
    pub fn items(&self) -> impl Iterator<Item = (&str, u32)> {
        self.items.items()
    }
}

impl std::fmt::Debug for PartSurvey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartSurvey").field("report", &self.report.len()).finish_non_exhaustive()
    }
}
