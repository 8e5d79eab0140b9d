use super::survey::{FirstRow, Report};
use crate::{
    DatasetError,
    import::{assemble::SHOWN, census::Census, id::IdStyle, scan::Scan, users::KINDS},
};

/// All parts of one file together.
pub(super) struct FileReport {
    pub(super) scan: Scan,
    pub(super) census: Census,
    pub(super) groups: Vec<Group>,
    pub(super) users: [IdStyle; KINDS.len()],
    pub(super) items: IdStyle,
}

/// Some rows of a group of the census.
#[derive(Default)]
pub(super) struct Group {
    /// Position in the census.
    pub(super) at: usize,
    /// Of each part that has rows of the group, its position, and that of the group in its report.
    pub(super) origins: Vec<(usize, usize)>,
    /// The first rows, each with the position of its part.
    pub(super) first: Vec<(usize, FirstRow)>,
    /// The lines of all rows; `None` if they are too many.
    pub(super) lines: Option<Vec<u64>>,
}

impl Group {
    /// Where its first row is: part, and position there.
    pub(super) fn begin(&self) -> Option<(usize, u64)> {
        self.first.first().map(|(part, row)| (*part, row.at))
    }
}

impl FileReport {
    /// Takes the reports of the parts of a file; `first` is the position of its first part.
    ///
    /// # Errors
    /// [`DatasetError::Transfer`] if one is missing.
    pub(super) fn merge(first: usize, parts: &mut [Option<Report>]) -> Result<Self, DatasetError> {
        let mut scan: Option<Scan> = None;
        let mut census = Census::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut users = [IdStyle::default(); KINDS.len()];
        let mut items = IdStyle::default();
        for (part, report) in (first..).zip(parts) {
            let missing = || DatasetError::Transfer {
                expected: "a report",
                found: format!("none of part {part}"),
            };
            let report = report.take().ok_or_else(missing)?;
            match &mut scan {
                None => scan = Some(report.scan),
                Some(scan) => scan.merge(report.scan),
            }
            let positions = census.merge(&report.census);
            for (from, (at, rows)) in positions.into_iter().zip(report.groups).enumerate() {
                if at == groups.len() {
                    groups.push(Group { at, lines: Some(Vec::new()), ..Group::default() });
                }
                let group = &mut groups[at];
                group.origins.push((part, from));
                group.first.extend(rows.first.into_iter().map(|row| (part, row)));
                group.first.truncate(SHOWN);
                group.lines = group.lines.take().zip(rows.lines).map(|(mut all, lines)| {
                    all.extend(lines);
                    all
                });
            }
            for (style, found) in users.iter_mut().zip(report.users) {
                style.merge(found);
            }
            items.merge(report.items);
        }
        let found = "a file without a part".to_owned();
        let scan = scan.ok_or(DatasetError::Transfer { expected: "a report", found })?;
        Ok(Self { scan, census, groups, users, items })
    }
}
