//! Which column of a catalogue has the ids of the log.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    bad_rows::BadRow,
    cell::words,
    columns::{Finder, Selected, tokens},
    id::{Names, id_fault},
    metadata::Metadata,
    names::{CATALOGUE_ITEM_OPTION, Role},
    options::ImportOptions,
};
use crate::{
    DatasetError,
    readers::{Cell, Rows},
};

/// The columns of a catalogue that can be the item.
#[derive(Default)]
pub(super) struct ItemColumns {
    /// The best names first.
    candidates: Vec<Candidate>,
    /// Whether the user has named the first.
    named: bool,
    /// Whether the first has the name of the item's column in the log.
    as_in_log: bool,
}

struct Candidate {
    /// Usually one. Of several, each row has at most one value.
    columns: Vec<usize>,
    /// Candidates of one tier have equally good names. `None` if the name was given.
    tier: Option<usize>,
}

impl ItemColumns {
    /// `log_columns` are the names of the items' columns in the log.
    ///
    /// # Errors
    /// [`DatasetError::Input`] if there is none.
    pub(super) fn find(
        finder: &Finder<'_>,
        options: &ImportOptions,
        log_columns: &[String],
    ) -> Result<Self, DatasetError> {
        let known = finder.rows.columns();
        let same = |wanted: &&String| {
            known.iter().any(|name| tokens(name).concat() == tokens(wanted).concat())
        };
        let names = &options.columns;
        let by_option = names.catalogue_item.as_ref().or(names.item.as_ref().filter(same));
        let first = by_option.or_else(|| log_columns.iter().find(same));
        let mut candidates: Vec<Candidate> = finder
            .candidates(Role::Item)
            .into_iter()
            .map(|(columns, tier)| Candidate { columns, tier: Some(tier) })
            .collect();
        if let Some(first) = first {
            let columns = finder.find(Role::Item, Some(first))?.columns;
            candidates.retain(|candidate| candidate.columns != columns);
            candidates.insert(0, Candidate { columns, tier: None });
        } else if candidates.is_empty() {
            // Says that there is none.
            finder.require(Role::Item, None)?;
        }
        Ok(Self { candidates, named: by_option.is_some(), as_in_log: first.is_some() })
    }
}

/// A file of items before its item column is chosen.
pub(super) struct Table {
    pub(super) path: PathBuf,
    /// What a line number counts.
    pub(super) unit: &'static str,
    pub(super) names: Vec<String>,
    pub(super) columns: ItemColumns,
    pub(super) rows: Vec<TableRow>,
    /// The ids of all candidates.
    ids: Names,
}

/// An item with the ids that it may have.
pub(super) struct TableRow {
    pub(super) line: u64,
    /// Candidate columns with a value: the id, or what is there instead.
    ids: Vec<(usize, Result<u32, String>)>,
    /// What is known of the item, and the fields that cannot be read.
    pub(super) metadata: (Metadata, Vec<String>),
}

impl Table {
    pub(super) fn new(path: &Path, unit: &'static str) -> Self {
        Self {
            path: path.to_path_buf(),
            unit,
            names: Vec::new(),
            columns: ItemColumns::default(),
            rows: Vec::new(),
            ids: Names::default(),
        }
    }

    pub(super) fn bad_row(&self, line: u64, reason: String) -> BadRow {
        BadRow { file: self.path.clone(), unit: self.unit, line, reason }
    }

    /// Takes the current row.
    pub(super) fn take(
        &mut self,
        rows: &dyn Rows,
        columns: &ItemColumns,
        metadata: (Metadata, Vec<String>),
    ) {
        let mut ids = Vec::new();
        for &column in columns.candidates.iter().flat_map(|candidate| &candidate.columns) {
            match rows.cell(column) {
                Cell::Absent => {}
                Cell::Text(text) => ids.push((
                    column,
                    match id_fault(&text) {
                        None => Ok(self.ids.number(&text)),
                        Some(found) => Err(found.to_owned()),
                    },
                )),
                other => ids.push((column, Err(words(&other)))),
            }
        }
        self.rows.push(TableRow { line: rows.line(), ids, metadata });
    }

    /// The id of each row in these columns, or what is there instead.
    fn ids(&self, columns: &[usize]) -> Vec<Result<Rc<str>, String>> {
        let id = |row: &TableRow| {
            let found =
                columns.iter().find_map(|column| row.ids.iter().find(|(known, _)| known == column));
            match found {
                None => Err("nothing".to_owned()),
                Some((_, Ok(id))) => Ok(Rc::clone(&self.ids.names()[*id as usize])),
                Some((_, Err(found))) => Err(found.clone()),
            }
        };
        self.rows.iter().map(id).collect()
    }

    /// How many items of the log these columns have.
    fn matches(&self, columns: &[usize], log: &HashSet<&str>) -> usize {
        let mut column = Names::default();
        for id in self.ids(columns).into_iter().flatten() {
            column.number(&id);
        }
        let mut ids = Names::default();
        column.merge_into(&mut ids);
        ids.names().iter().filter(|id| log.contains(&***id)).count()
    }

    fn name(&self, candidate: &Candidate) -> String {
        let names: Vec<&str> = candidate.columns.iter().map(|&at| &*self.names[at]).collect();
        names.join(" or ")
    }
}

/// The item of one file.
pub(super) struct Choice {
    pub(super) selected: Selected,
    /// The id of each row, or what is there instead.
    pub(super) ids: Vec<Result<Rc<str>, String>>,
    /// What each candidate has of the log, if there are several.
    pub(super) matches: Option<String>,
}

/// Chooses the column of each file.
///
/// A column that the user has named is taken. Else the column with the log's own name is taken if
/// it has at least half of the log's items: a short row number can contain all of them by chance.
/// Else the column that has most of them is taken, and of equal ones the best name.
///
/// # Errors
/// [`DatasetError::NoItemInCatalogue`] and [`DatasetError::Input`], as
/// [`Catalogues::join`](super::catalogue::Catalogues::join).
pub(super) fn choose<'a>(
    tables: impl Iterator<Item = &'a Table>,
    log: &HashSet<&str>,
) -> Result<Vec<Choice>, DatasetError> {
    let counted: Vec<(&Table, Vec<usize>)> = tables
        .map(|table| {
            let candidates = table.columns.candidates.iter();
            (table, candidates.map(|candidate| table.matches(&candidate.columns, log)).collect())
        })
        .collect();
    let mut chosen: Vec<usize> =
        counted.iter().map(|(table, matches)| best(table, matches, log.len())).collect();
    let matched = |(at, (_, matches)): (usize, &(&Table, Vec<usize>))| matches[chosen[at]] > 0;
    let any = counted.iter().enumerate().any(matched);
    let unmatched = counted.iter().find(|(table, _)| !table.rows.is_empty());
    if let Some((table, matches)) = unmatched.filter(|_| !any && !log.is_empty()) {
        let at = counted.iter().position(|(other, _)| std::ptr::eq(*other, *table)).unwrap_or(0);
        return Err(DatasetError::NoItemInCatalogue {
            path: table.path.clone(),
            column: table.name(&table.columns.candidates[chosen[at]]),
            items: log.len(),
            example: log.iter().min().copied().unwrap_or_default().to_owned(),
            candidates: list(table, matches),
        });
    }
    // A file without an item of the log has its ids where the other files have them.
    let proven: Vec<String> = counted
        .iter()
        .zip(&chosen)
        .filter(|((_, matches), at)| matches[**at] > 0)
        .map(|((table, _), at)| table.name(&table.columns.candidates[*at]))
        .collect();
    for ((table, matches), at) in counted.iter().zip(&mut chosen) {
        if matches[*at] > 0 || table.columns.named {
            continue;
        }
        let mut candidates = table.columns.candidates.iter();
        if let Some(same) = candidates.position(|it| proven.contains(&table.name(it))) {
            *at = same;
        }
    }
    counted
        .iter()
        .zip(chosen)
        .map(|((table, matches), at)| {
            refuse_ties(table, matches, at)?;
            let candidates = &table.columns.candidates;
            let others = candidates.iter().enumerate().filter(|(other, _)| *other != at);
            let selected = Selected {
                columns: candidates[at].columns.clone(),
                named: table.columns.named,
                passed_over: others.flat_map(|(_, it)| it.columns.iter().copied()).collect(),
            };
            let ids = table.ids(&selected.columns);
            let matches = (candidates.len() > 1)
                .then(|| format!("of the log's {} items: {}", log.len(), list(table, matches)));
            Ok(Choice { selected, ids, matches })
        })
        .collect()
}

/// The position of the candidate that is taken.
fn best(table: &Table, matches: &[usize], items: usize) -> usize {
    let ItemColumns { named, as_in_log, .. } = table.columns;
    if named || as_in_log && 2 * matches[0] >= items {
        return 0;
    }
    // The last of equal maxima is returned, hence the reversed order.
    (0..matches.len()).rev().max_by_key(|&at| matches[at]).unwrap_or(0)
}

/// Refuses a column if another has an equally good name and as many items of the log.
fn refuse_ties(table: &Table, matches: &[usize], at: usize) -> Result<(), DatasetError> {
    let candidates = &table.columns.candidates;
    let Some(tier) = candidates[at].tier else { return Ok(()) };
    let tie = (0..candidates.len()).find(|&other| {
        other != at && candidates[other].tier == Some(tier) && matches[other] == matches[at]
    });
    match tie {
        None => Ok(()),
        Some(other) => Err(DatasetError::input(
            &table.path,
            format!(
                "has two columns that can be the item, {} and {}; choose one with \
                 {CATALOGUE_ITEM_OPTION}",
                table.name(&candidates[at]),
                table.name(&candidates[other])
            ),
        )),
    }
}

/// Candidates with their matches.
fn list(table: &Table, matches: &[usize]) -> String {
    let counts = table.columns.candidates.iter().zip(matches);
    let counts: Vec<String> =
        counts.map(|(candidate, count)| format!("{} {count}", table.name(candidate))).collect();
    counts.join(", ")
}
