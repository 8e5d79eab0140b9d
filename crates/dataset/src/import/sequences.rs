//! Folders of sequences: `sequences.txt`, `times.txt` and `items.tsv`.

use std::{collections::HashSet, path::Path};

use tandem_protocol::ItemId;

use super::{
    catalogue::{Catalogues, Categories},
    id::{Names, id_fault},
    options::ImportOptions,
    time::{self, SECOND, TimeKind},
};
use crate::{
    Catalogue, Dataset, DatasetError, Item, ItemIndex, Sequence, compare_ids, lines::Lines,
};

/// The file that makes a folder a folder of sequences.
pub(super) const SEQUENCES: &str = "sequences.txt";

/// One line of `sequences.txt` with its number.
struct Line {
    number: u64,
    user: String,
    items: Vec<u32>,
    times: Option<Vec<i64>>,
}

/// Reads a folder of sequence text: `sequences.txt` (`user item item …`, oldest first) and,
/// if they exist, `times.txt` (the same lines with ascending times in place of the items) and
/// `items.tsv` (tab-separated with a header; categories `A > B > C`).
///
/// The folder is taken as it is: the order of a line is kept where times are equal, nothing is
/// left out, and no bad line is skipped.
///
/// # Errors
/// [`DatasetError::Io`] if a file cannot be read, [`DatasetError::Malformed`] for a violation
/// of the format, and errors of [`Dataset::new`].
pub(super) fn read(
    dir: &Path,
    options: &ImportOptions,
    catalogues: &mut Catalogues,
) -> Result<Dataset, DatasetError> {
    let (mut lines, names) = read_sequences(&dir.join(SEQUENCES))?;
    let names = names.names();
    let times = dir.join("times.txt");
    if times.exists() {
        read_times(&times, &mut lines)?;
    }
    let titles = dir.join("items.tsv");
    if titles.exists() {
        catalogues.read(&titles, options, &["item_id".to_owned()], Categories::Arrows)?;
    }
    catalogues.join(&names.iter().map(|name| &**name).collect())?;
    let mut items = catalogues.items();
    let known: HashSet<ItemId> = items.iter().map(|item| item.id.clone()).collect();
    items
        .extend(names.iter().map(ItemId::new).filter(|id| !known.contains(id)).map(Item::untitled));
    items.sort_by(|a, b| compare_ids(a.id.as_str(), b.id.as_str()));
    let catalogue = Catalogue::new(items)?;
    let indices: Vec<ItemIndex> =
        names.iter().filter_map(|name| catalogue.index_of(&ItemId::new(name))).collect();
    debug_assert_eq!(indices.len(), names.len(), "every item is in the catalogue");

    let mut sequences: Vec<Sequence> = lines
        .into_iter()
        .filter(|line| !options.forgotten.contain(&line.user))
        .map(|Line { user, items, times, .. }| {
            let items = items.into_iter().map(|item| indices[item as usize]).collect();
            Sequence { user, items, times }
        })
        .collect();
    sequences.sort_by(|a, b| compare_ids(&a.user, &b.user));
    Dataset::new(options.name.clone(), catalogue, sequences, options.notice.clone())
}

/// The lines, and the names of their items.
fn read_sequences(path: &Path) -> Result<(Vec<Line>, Names), DatasetError> {
    let mut source = Lines::open(path)?;
    let mut names = Names::default();
    let mut users = HashSet::new();
    let mut lines = Vec::new();
    while let Some(text) = source.next_line()? {
        let mut fields = text.split_ascii_whitespace();
        let Some(user) = fields.next().map(str::to_owned) else { continue };
        let mut items = Vec::new();
        let mut fault = None;
        for name in fields {
            fault = fault.or(id_fault(name));
            items.push(names.number(name));
        }
        if let Some(fault) = fault.or_else(|| id_fault(&user)) {
            return Err(source.malformed("ids of users and items", fault));
        }
        if items.is_empty() {
            return Err(
                source.malformed("a user and at least one item", format_args!("user {user} alone"))
            );
        }
        if !users.insert(user.clone()) {
            return Err(
                source.malformed("one line for each user", format_args!("user {user} again"))
            );
        }
        lines.push(Line { number: source.number(), user, items, times: None });
    }
    if lines.is_empty() {
        return Err(source.malformed("a user and at least one item", "the end of the file"));
    }
    Ok((lines, names))
}

/// Adds the times; the file must have the same lines as the sequences.
fn read_times(path: &Path, lines: &mut [Line]) -> Result<(), DatasetError> {
    let mut source = Lines::open(path)?;
    let mut rest = lines.iter_mut();
    while let Some(text) = source.next_line()? {
        let mut fields = text.split_ascii_whitespace();
        let Some(user) = fields.next().map(str::to_owned) else { continue };
        let parsed: Result<Vec<i64>, String> =
            fields.map(|field| parse_time(field).ok_or_else(|| field.to_owned())).collect();
        let times = parsed
            .map_err(|field| source.malformed("times as numbers", format_args!("{field:?}")))?;
        let Some(line) = rest.next() else {
            return Err(source.malformed(
                "as many lines as sequences.txt",
                format_args!("one more, for user {user}"),
            ));
        };
        if user != line.user || times.len() != line.items.len() {
            return Err(source.malformed(
                format_args!(
                    "user {} and {} times as in line {} of sequences.txt",
                    line.user,
                    line.items.len(),
                    line.number
                ),
                format_args!("user {user} and {} times", times.len()),
            ));
        }
        if let Some([before, after]) = times.array_windows().find(|[a, b]| a > b) {
            return Err(source.malformed(
                "ascending times, oldest first",
                format_args!("{after} after {before}"),
            ));
        }
        line.times = Some(times);
    }
    match rest.next() {
        None => Ok(()),
        Some(line) => Err(source.malformed(
            format_args!("times for user {} too, as in sequences.txt", line.user),
            "the end of the file",
        )),
    }
}

/// A time in seconds; numbers in a small unit are converted.
fn parse_time(text: &str) -> Option<i64> {
    match time::parse(text, None)? {
        (_, TimeKind::Date) => None,
        (time, _) => Some(time.div_euclid(SECOND)),
    }
}
