use std::{collections::HashMap, fmt, path::PathBuf};

use crate::DatasetError;

/// Lines in the message of a refusal.
const SHOWN: usize = 10;

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The file.
    pub file: PathBuf,
    /// What `line` counts: `line`, or `row` in a Parquet file.
    pub unit: &'static str,
    /// The number of the line or row, from 1.
    pub line: u64,
    /// What was expected and found.
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} {}: {}", self.file.display(), self.unit, self.line, self.reason)
    }
}

/// The bad rows of all files of one kind.
#[derive(Debug, Default)]
pub(super) struct BadRows {
    /// Number of rows read, bad ones included.
    pub(super) total: u64,
    /// Number of lines that bad rows take.
    bad: u64,
    pub(super) rows: Vec<BadRow>,
    /// Number of lines of bad rows that are not among `rows`.
    pub(super) unlisted: u64,
}

impl BadRows {
    /// Notes a bad row of several lines; `total` must be counted separately.
    pub(super) fn add(&mut self, row: BadRow, lines: u64) {
        self.bad += lines;
        self.rows.push(row);
    }

    /// Notes bad rows that are too many to list.
    pub(super) fn add_unlisted(&mut self, lines: u64) {
        self.bad += lines;
        self.unlisted += lines;
    }

    /// Sorts the rows, and refuses more bad ones than `max_share` of all rows.
    pub(super) fn check(&mut self, max_share: f64) -> Result<(), DatasetError> {
        self.rows.sort_by(|a, b| a.file.cmp(&b.file).then(a.line.cmp(&b.line)));
        if self.bad == 0 || self.bad as f64 <= max_share * self.total as f64 {
            return Ok(());
        }
        // Rows of one file with the same reason are one line.
        let mut first: Vec<(&BadRow, u64)> = Vec::new();
        let mut known = HashMap::new();
        for row in &self.rows {
            let at = *known.entry((&row.file, &row.reason)).or_insert(first.len());
            match first.get_mut(at) {
                Some((_, rows)) => *rows += 1,
                None => first.push((row, 1)),
            }
        }
        let line = |(row, rows): &(&BadRow, u64)| match rows {
            1 => row.to_string(),
            2 => format!("{row} (and 1 other row)"),
            rows => format!("{row} (and {} other rows)", rows - 1),
        };
        let first: Vec<String> = first.iter().take(SHOWN).map(line).collect();
        Err(DatasetError::TooManyBadRows {
            bad: self.bad,
            total: self.total,
            max_share,
            first: first.join("\n  "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_bad_rows_is_limited() {
        let mut bad = BadRows { total: 100, ..BadRows::default() };
        assert!(bad.check(0.0).is_ok());
        for line in 1..=2 {
            bad.add(BadRow { file: "f".into(), unit: "line", line, reason: "no".into() }, 1);
            assert_eq!(bad.check(0.01).is_ok(), line == 1);
        }
        let text = bad.check(0.01).unwrap_err().to_string();
        assert!(text.contains("2 of 100"), "{text}");
        assert!(text.contains("line 1: no (and 1 other row)"), "{text}");
        bad.add(BadRow { file: "f".into(), unit: "line", line: 3, reason: "long".into() }, 30);
        assert!(bad.check(0.3).is_err());
    }
}
