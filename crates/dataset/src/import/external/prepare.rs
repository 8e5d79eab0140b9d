use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    file_report::{FileReport, Group},
    part::LogFiles,
    rules::{FileKeys, LogRules, Styles},
    survey::Report,
    uses::ItemUses,
};
use crate::{
    Catalogue, DatasetError, ImportOptions, ParsedRow,
    import::{
        assemble::{self, SHOWN, parsed_row},
        catalogue::Catalogues,
        census::{Fate, MAX_EVENT_TYPES},
        files::input_files,
        id::{IdStyle, meant},
        log::{LogFacts, bad_row},
        scan::example,
    },
};

/// A group of rows: the part that it is in, and its position there.
type GroupAt = (usize, usize);

/// The surveys of all parts of a log.
pub struct LogSurvey {
    options: ImportOptions,
    files: LogFiles,
    reports: Vec<Option<Report>>,
    items: ItemUses,
    /// Of each part, the number in `items` of each of its numbers.
    numbers: Vec<Vec<u32>>,
    /// The groups of all parts. A group in `items` is a position here.
    groups: Vec<GroupAt>,
}

/// A log whose rows are yet to be sorted.
pub struct PreparedLog {
    pub(super) options: ImportOptions,
    pub(super) facts: LogFacts,
    pub(super) catalogue: Catalogue,
    pub(super) catalogues: Catalogues,
    pub(super) first_rows: Vec<ParsedRow>,
    pub(super) first_file: PathBuf,
    pub(super) timed: bool,
}

/// What the files say together.
#[derive(Default)]
struct Collected {
    facts: LogFacts,
    keys: Vec<FileKeys>,
    /// The groups whose rows count, with how items are written there.
    counting: HashMap<GroupAt, bool>,
    /// User and item, time, event type.
    first_rows: Vec<((String, String), i64, u16)>,
    has_filled: bool,
}

impl LogSurvey {
    /// Begins with a log whose parts are to be surveyed.
    #[must_use]
    pub fn new(options: &ImportOptions, files: LogFiles) -> Self {
        let parts = files.parts.len();
        Self {
            options: options.clone(),
            files,
            reports: (0..parts).map(|_| None).collect(),
            items: ItemUses::default(),
            numbers: vec![Vec::new(); parts],
            groups: Vec::new(),
        }
    }

    /// Takes the report of a part, given by its position.
    ///
    /// # Errors
    /// [`DatasetError::Transfer`] if the report is damaged or of another version of the program.
    pub fn add_report(&mut self, part: usize, report: &str) -> Result<(), DatasetError> {
        let damaged = |found: String| DatasetError::Transfer { expected: "a report", found };
        let report: Report =
            serde_json::from_str(report).map_err(|error| damaged(error.to_string()))?;
        let Some(place) = self.reports.get_mut(part).filter(|place| place.is_none()) else {
            return Err(damaged(format!("a report of part {part}, which is not expected")));
        };
        let first = self.groups.len() as u32;
        self.groups.extend((0..report.census.groups.len()).map(|group| (part, group)));
        for set in &report.uses {
            let number = self.items.set(set.iter().map(|group| first + group).collect());
            self.numbers[part].push(number);
        }
        *place = Some(report);
        Ok(())
    }

    /// Takes an item of a part whose report was taken.
    ///
    /// # Errors
    /// [`DatasetError::Transfer`] if the report was not taken.
    pub fn add_item(&mut self, part: usize, item: &str, number: u32) -> Result<(), DatasetError> {
        let numbers = self.numbers.get(part).and_then(|it| it.get(number as usize));
        let Some(&set) = numbers else {
            let found = format!("an item of part {part} before its report");
            return Err(DatasetError::Transfer { expected: "a report", found });
        };
        self.items.add(item, set);
        Ok(())
    }

    /// Applies the rules that look at whole files, and reads the catalogue.
    ///
    /// # Errors
    /// As [`import`](crate::import()), [`DatasetError::OnlyInMemory`], and
    /// [`DatasetError::Transfer`] if a report is missing.
    pub fn prepare(mut self) -> Result<(LogRules, PreparedLog), DatasetError> {
        let options = self.options;
        let catalogue_files = input_files(&options.catalogue)?;
        let mut collected = Collected::default();
        let mut end = 0;
        for (path, is_empty) in &self.files.files {
            if *is_empty {
                collected.facts.notes.push(format!("{} is empty", path.display()));
                continue;
            }
            let (first, file) = (end, collected.keys.len());
            let rest = self.files.parts[first..].iter();
            end += rest.take_while(|part| usize::from(part.file) == file).count();
            let report = FileReport::merge(first, &mut self.reports[first..end])?;
            collected.add(path, report, &options)?;
        }
        let Collected { mut facts, keys, counting, first_rows, has_filled } = collected;
        let first_file = self.files.files[0].0.clone();
        let timed = facts.check(&first_file, &options)?;
        if facts.bad.unlisted > 0 {
            let what =
                format!("is of a log with {} bad rows more than are listed", facts.bad.unlisted);
            return Err(DatasetError::only_in_memory(&first_file, what));
        }
        let ids = items_that_count(&self.items, &self.groups, &counting);
        drop(self.items);
        let catalogues = {
            let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
            Catalogues::of_log(&catalogue_files, &options, &facts.item_columns, &ids)?
        };
        let catalogue = assemble::catalogue(catalogues.items(), ids.iter().map(String::as_str))?;
        let weights = (0..=facts.event_types.len()).map(|event| facts.weight(event as u16));
        let rules =
            LogRules { files: keys, weights: weights.collect(), timed, with_dropped: has_filled };
        let first_rows = first_rows.into_iter().take(SHOWN);
        let first_rows = first_rows
            .map(|(names, time, event)| parsed_row(&facts, timed, names, time, event))
            .collect();
        let prepared =
            PreparedLog { options, facts, catalogue, catalogues, first_rows, first_file, timed };
        Ok((rules, prepared))
    }
}

impl Collected {
    /// Adds a file, now that all of it was read.
    fn add(
        &mut self,
        path: &Path,
        report: FileReport,
        options: &ImportOptions,
    ) -> Result<(), DatasetError> {
        let FileReport { scan, census, mut groups, users, items } = report;
        if census.events.names().len() >= MAX_EVENT_TYPES {
            let what = format!("has {MAX_EVENT_TYPES} event types or more");
            return Err(DatasetError::only_in_memory(path, what));
        }
        self.has_filled |= !scan.filled.is_empty();
        let unit = scan.unit();
        let rules = self.facts.conclude(path, scan, &census, options)?;
        let styles = Styles { users: users.map(IdStyle::are_floats), items: items.are_floats() };
        groups.sort_by_key(Group::begin);
        let mut shown = Vec::new();
        for group in &groups {
            let rows = &census.groups[group.at];
            match rules.fate(rows.event, rows.kind) {
                Fate::Counts(event) => {
                    self.counting.extend(group.origins.iter().map(|at| (*at, styles.items)));
                    shown.extend(
                        group.first.iter().map(|(part, row)| (part, row, event, rows.kind)),
                    );
                }
                Fate::LeftOut(reason) => {
                    let example = group.first.first().map_or_else(String::new, |(_, row)| {
                        example(path, unit, row.line, &row.user, &row.item)
                    });
                    self.facts.left_out.add_rows(reason.clone(), rows.rows, example);
                }
                Fate::Bad(reason) => {
                    let listed = group.lines.as_deref().unwrap_or_default();
                    for &line in listed {
                        self.facts.bad.add(bad_row(path, unit, line, reason.clone()), 1);
                    }
                    self.facts.bad.add_unlisted(rows.rows - listed.len() as u64);
                }
            }
        }
        shown.sort_by_key(|(part, row, _, _)| (**part, row.at));
        for (_, row, event, kind) in shown.into_iter().take(SHOWN) {
            let user = meant(&row.user, styles.users[row.kind]).into_owned();
            let item = meant(&row.item, styles.items).into_owned();
            let time = rules.time(kind.map(|kind| (row.time, kind)));
            self.first_rows.push(((user, item), time, event));
        }
        let events = census.events.names().iter().map(ToString::to_string).collect();
        self.keys.push(FileKeys { rules, events, styles });
        Ok(())
    }
}

/// The ids of the items with a row that counts.
fn items_that_count(
    items: &ItemUses,
    groups: &[GroupAt],
    counting: &HashMap<GroupAt, bool>,
) -> HashSet<String> {
    let styles = |set: &Vec<u32>| {
        let found = set.iter().filter_map(|group| counting.get(&groups[*group as usize]));
        found.copied().collect::<HashSet<bool>>()
    };
    let sets: Vec<HashSet<bool>> = items.sets().iter().map(styles).collect();
    let mut ids = HashSet::new();
    for (item, set) in items.items() {
        ids.extend(sets[set as usize].iter().map(|&floats| meant(item, floats).into_owned()));
    }
    ids
}

impl std::fmt::Debug for LogSurvey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSurvey").field("files", &self.files).finish_non_exhaustive()
    }
}

impl PreparedLog {
    /// Number of items of the dataset, which are in memory.
    #[must_use]
    pub fn items(&self) -> usize {
        self.catalogue.len()
    }
}

impl std::fmt::Debug for PreparedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedLog").field("items", &self.items()).finish_non_exhaustive()
    }
}
