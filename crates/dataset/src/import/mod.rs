//! Import of interactions and catalogues from files of other programs.

mod assemble;
mod bad_rows;
mod catalogue;
mod catalogue_names;
mod cell;
mod census;
mod checks;
mod columns;
mod events;
pub mod external;
mod files;
mod forgotten;
mod html;
mod id;
mod join;
mod log;
mod log_columns;
mod metadata;
mod names;
mod options;
mod repeated_targets;
mod scan;
mod sequence_rules;
mod sequences;
mod summary;
mod time;
mod title;
mod users;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

pub use bad_rows::BadRow;
pub use files::input_files;
pub use forgotten::ForgottenUsers;
pub use options::{ColumnNames, ImportOptions, Repeats};
pub use summary::{FileSummary, LeftOutRows, ParsedRow, Summary};

use self::{
    catalogue::{Catalogues, Categories},
    log::{Log, LogFacts},
    repeated_targets::RepeatedTargets,
};
use crate::{Catalogue, Dataset, DatasetError};

/// The file with the bad rows in a dataset folder.
const BAD_ROWS: &str = "bad-rows.txt";

/// Files that are told apart in messages.
const MAX_FILES: usize = u16::MAX as usize;

/// Result of [`import`].
#[derive(Clone, Debug)]
pub struct Imported {
    /// The dataset.
    pub dataset: Dataset,
    /// What was read and what was left out.
    pub summary: Summary,
}

impl Imported {
    /// Writes the dataset as [`Dataset::save`], and the bad rows as `bad-rows.txt` in its folder,
    /// if there are any.
    ///
    /// # Errors
    /// As [`Dataset::save`].
    pub fn save(&self, dir: &Path) -> Result<(), DatasetError> {
        self.dataset.save_with(dir, &bad_rows_file(&self.summary))
    }
}

/// The file with the bad rows, if there are any: its name and content.
fn bad_rows_file(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut rows = String::new();
    for row in &summary.bad_rows {
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "{row}");
    }
    if rows.is_empty() { Vec::new() } else { vec![(BAD_ROWS, rows)] }
}

/// Imports interactions and, if there are any, catalogues.
///
/// Formats, encodings and columns are detected; [`ImportOptions`] decide where that is not
/// possible. Rules:
/// - Items and users are sorted by [`compare_ids`](crate::compare_ids), the interactions of a
///   user by time and then by item. Without times, the order of the files counts.
/// - Times become Unix seconds. Numbers that are no dates stay as they are.
/// - Items of the log that the catalogue does not list are added with an empty title. Items of
///   the catalogue without interactions stay in it.
/// - Rows that cannot be read are skipped up to [`ImportOptions::max_bad_rows`].
///
/// # Errors
/// [`DatasetError::Io`] if a file cannot be read, [`DatasetError::Input`] if files or columns
/// cannot be found or contradict each other, [`DatasetError::TooManyBadRows`], and errors of
/// [`Dataset::new`].
pub fn import(options: &ImportOptions) -> Result<Imported, DatasetError> {
    let events = input_files(&options.events)?;
    let catalogue_files = input_files(&options.catalogue)?;
    check_options(&events, options)?;
    if let Some(folder) = events.iter().find(|path| is_sequences(path)) {
        if events.len() > 1 {
            return Err(DatasetError::input(
                folder,
                "is a folder of sequences, which cannot be combined with other files",
            ));
        }
        return import_sequences(folder, &catalogue_files, options);
    }
    let mut log = Log::default();
    for path in &events {
        // A server has just begun to log.
        if events.len() > 1 && files::is_empty_log(path) {
            log.facts.notes.push(format!("{} is empty", path.display()));
            continue;
        }
        log.read(path, options)?;
    }
    log.name_users();
    let timed = log.facts.check(&events[0], options)?;
    let shared_users = log.shared_users();
    log.facts.notes.splice(0..0, shared_users);
    let catalogues =
        Catalogues::of_log(&catalogue_files, options, &log.facts.item_columns, &log.item_ids())?;

    let mut summary =
        Summary { first_rows: assemble::first_rows(&log, timed), ..Summary::default() };
    let (dataset, targets) = assemble::dataset(&mut log, catalogues.items(), timed, options)?;
    summary.repeated_targets = (targets.users, targets.repeated);
    let users = dataset.sequences.len();
    log.facts.complete(&mut summary, &events[0], users, &dataset.catalogue, &catalogues)?;
    finish(&mut summary, &Totals::of(&dataset), catalogues, options);
    Ok(Imported { dataset, summary })
}

/// Whether this is a folder of sequences.
fn is_sequences(path: &Path) -> bool {
    path.join(sequences::SEQUENCES).is_file()
}

/// Refuses options that cannot be used with any file.
fn check_options(events: &[PathBuf], options: &ImportOptions) -> Result<(), DatasetError> {
    let Some(first) = events.first() else {
        return Err(DatasetError::input(Path::new("import"), "needs a file of interactions"));
    };
    if let Some(format) = options.time_format.as_deref().filter(|format| !format.contains('%')) {
        let problem = format!(
            "cannot be read with --time-format {format:?}, which is no format of strptime; expected \
             for example '%d.%m.%Y %H:%M'"
        );
        return Err(DatasetError::input(first, problem));
    }
    if events.len() > MAX_FILES {
        let problem = format!("is one of {} files; join them to at most {MAX_FILES}", events.len());
        return Err(DatasetError::input(first, problem));
    }
    Ok(())
}

impl LogFacts {
    /// Checks what was read against the options; returns whether the log has times.
    fn check(&mut self, first: &Path, options: &ImportOptions) -> Result<bool, DatasetError> {
        self.bad.check(options.max_bad_rows)?;
        let timed = timed(&self.summaries)?;
        if options.min_rating.is_some() && !self.summaries.iter().any(|file| file.has("rating")) {
            let problem = "has no rating column for --min-rating; name it with --rating-column";
            return Err(DatasetError::input(first, problem));
        }
        Ok(timed)
    }

    /// Moves what is known of the log to the summary of its dataset.
    ///
    /// # Errors
    /// [`DatasetError::Input`] if no interaction is left.
    fn complete(
        self,
        summary: &mut Summary,
        first: &Path,
        users: usize,
        catalogue: &Catalogue,
        catalogues: &Catalogues,
    ) -> Result<(), DatasetError> {
        summary.rows = self.bad.total;
        summary.left_out = self.left_out.into_rows();
        if users == 0 {
            let reasons: Vec<String> =
                summary.left_out.iter().map(|it| format!("{} {}", it.rows, it.reason)).collect();
            let problem = if reasons.is_empty() {
                "has no interaction".to_owned()
            } else {
                format!("has no interaction that counts: left out are {}", reasons.join("; "))
            };
            return Err(DatasetError::input(first, problem));
        }
        if !catalogues.summaries.is_empty() {
            let items = catalogue.items().iter().map(|item| item.id.as_str());
            let mut unlisted = items.filter(|id| !catalogues.lists(id));
            let example = unlisted.next().unwrap_or_default().to_owned();
            let count = usize::from(!example.is_empty()) + unlisted.count();
            summary.unlisted = Some((count, example));
        }
        summary.files = self.summaries;
        summary.notes = self.notes;
        summary.bad_rows = self.bad.rows;
        Ok(())
    }
}

/// Numbers of a dataset for its summary.
struct Totals {
    name: String,
    users: usize,
    interactions: usize,
    repeats: bool,
    /// Whether each item of the catalogue has an interaction.
    used: Vec<bool>,
}

impl Totals {
    fn of(dataset: &Dataset) -> Self {
        let mut used = vec![false; dataset.catalogue.len()];
        for item in dataset.sequences.iter().flat_map(|sequence| &sequence.items) {
            used[item.position()] = true;
        }
        Self {
            name: dataset.name.clone(),
            users: dataset.sequences.len(),
            interactions: dataset.interactions(),
            repeats: dataset.repeats,
            used,
        }
    }
}

/// Imports a folder of sequences.
fn import_sequences(
    folder: &Path,
    catalogue_files: &[PathBuf],
    options: &ImportOptions,
) -> Result<Imported, DatasetError> {
    let mut catalogues = Catalogues::default();
    for path in catalogue_files {
        catalogues.read(path, options, &[], Categories::Detected)?;
    }
    let mut dataset = sequences::read(folder, options, &mut catalogues)?;
    catalogues.bad.check(options.max_bad_rows)?;
    let mut targets = RepeatedTargets::default();
    for sequence in &dataset.sequences {
        targets.count(sequence.items.clone());
    }
    dataset.repeats = options.repeats.decide(targets);
    let rows = dataset.interactions() as u64;
    let mut file = FileSummary::new(folder, "folder of sequences".to_owned(), rows, &[]);
    if dataset.sequences.iter().all(|sequence| sequence.times.is_none()) {
        file.times = Some("no times: the order of each line counts".to_owned());
    }
    let repeated_targets = (targets.users, targets.repeated);
    let mut summary = Summary { rows, files: vec![file], repeated_targets, ..Summary::default() };
    finish(&mut summary, &Totals::of(&dataset), catalogues, options);
    Ok(Imported { dataset, summary })
}

/// Completes the summary with what the dataset and the catalogues say.
fn finish(summary: &mut Summary, totals: &Totals, catalogues: Catalogues, options: &ImportOptions) {
    summary.name.clone_from(&totals.name);
    summary.users = totals.users;
    summary.items = totals.used.len();
    summary.interactions = totals.interactions;
    summary.repeats = totals.repeats;
    if !catalogues.summaries.is_empty() {
        summary.unused = Some(totals.used.iter().filter(|used| !**used).count());
    }
    summary.notes.extend(catalogues.note());
    if let Some(warning) = catalogues.warning {
        summary.notes.insert(0, warning);
    }
    summary.files.extend(catalogues.summaries);
    summary.bad_rows.extend(catalogues.bad.rows);
    let (users, repeated) = summary.repeated_targets;
    let share = format!(
        "the last item of {repeated} of {users} users is one that they had before (of users with \
         at least three interactions; an item several times in a row counts once)"
    );
    match (options.repeats, totals.repeats, 2 * repeated > users) {
        (Repeats::Auto, true, _) => summary.notes.push(format!(
            "{share}: items can be recommended again (--repeats drop decides otherwise)"
        )),
        (Repeats::Auto, false, true) => summary.notes.push(format!(
            "{share}: these users are too few to decide, so items are not recommended again \
             (--repeats keep decides otherwise)"
        )),
        (Repeats::Drop, _, true) => summary.notes.insert(
            0,
            format!("warning: {share}, and such items are never recommended; see --repeats keep"),
        ),
        _ => {}
    }
}

/// Whether the log has times. Dates and positions cannot be put into one order.
fn timed(files: &[FileSummary]) -> Result<bool, DatasetError> {
    let with = files.iter().find(|file| file.has("time"));
    let without = files.iter().find(|file| !file.has("time"));
    match (with, without) {
        (Some(with), Some(without)) => Err(DatasetError::input(
            &without.path,
            format!(
                "has no column that is known to be the time, but {} has; name the column with \
                 --time-column, or import the files separately",
                with.path.display()
            ),
        )),
        (with, _) => {
            let dates = files.iter().find(|file| file.has_times && file.are_dates);
            let order = files.iter().find(|file| file.has_times && !file.are_dates);
            if let (Some(dates), Some(order)) = (dates, order) {
                let column = |file: &FileSummary| file.column("time").unwrap_or("").to_owned();
                return Err(DatasetError::input(
                    &order.path,
                    format!(
                        "has numbers that are only an order in its time column {}, but {} has \
                         dates in its time column {}; name another column with --time-column, or \
                         import the files separately",
                        column(order),
                        dates.path.display(),
                        column(dates)
                    ),
                ));
            }
            Ok(with.is_some())
        }
    }
}
