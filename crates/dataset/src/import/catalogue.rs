//! Rows of files of items.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    rc::Rc,
};

use tandem_protocol::ItemId;

use super::{
    bad_rows::{BadRow, BadRows},
    cell::{fault, value, words},
    columns::{Finder, Selected, bare, tokens},
    html::plain_text,
    id::Names,
    join::{self, ItemColumns, Table},
    metadata::Metadata,
    names::{CATALOGUE_ITEM_OPTION, Role, Tiers},
    options::ImportOptions,
    summary::{FileSummary, count},
    time,
    title::{split_year, year_in_date},
};
use crate::{
    DatasetError, Item,
    error::shown,
    readers::{self, Cell, Rows, Step},
};

/// How categories are separated in one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Categories {
    /// By one of `|`, `>`, `;` and `,`, or a list in brackets.
    Detected,
    /// By a space, as in `RecBole`'s files, whose words for unknown values are absent.
    Recbole,
    /// By ` > `, as in a folder of sequences.
    Arrows,
}

/// Items of all catalogue files.
#[derive(Default)]
pub(super) struct Catalogues {
    ids: Names,
    items: Vec<Metadata>,
    /// Rows for an item that was listed before.
    repeated: u64,
    /// Files that were read and not joined yet.
    tables: Vec<(Table, FileSummary)>,
    pub(super) bad: BadRows,
    pub(super) summaries: Vec<FileSummary>,
    /// That most items of the log are missing.
    pub(super) warning: Option<String>,
}

/// The columns of one file.
struct Columns {
    item: ItemColumns,
    title: Selected,
    year: Selected,
    categories: Selected,
    brand: Selected,
    description: Selected,
    known: usize,
}

impl Columns {
    /// `log_columns` are the names of the items' columns in the log.
    fn find(
        path: &Path,
        rows: &dyn Rows,
        options: &ImportOptions,
        log_columns: &[String],
    ) -> Result<Self, DatasetError> {
        let finder = Finder { path, rows, catalogue: true };
        let names = &options.columns;
        let title = finder.find(Role::Title, names.title.as_deref())?;
        let title = by_language(rows, Role::Title, title);
        let categories = finder.find(Role::Categories, names.category.as_deref())?;
        // A column has one meaning: a description can serve as the title, a brand as the category.
        let other = |role| -> Result<Selected, DatasetError> {
            let found = by_language(rows, role, finder.find(role, None)?);
            let taken = |at: &usize| title.columns.contains(at) || categories.columns.contains(at);
            Ok(if found.columns.iter().any(taken) { Selected::default() } else { found })
        };
        let (brand, description) = (other(Role::Brand)?, other(Role::Description)?);
        Ok(Self {
            item: ItemColumns::find(&finder, options, log_columns)?,
            title,
            year: finder.find(Role::Year, None)?,
            categories,
            brand,
            description,
            known: rows.columns().len(),
        })
    }
}

/// The columns of a text in several languages, `title.en` and `title.de`, if no column has the name
/// itself. Each item takes the first that it has: English, else in the order of the names.
fn by_language(rows: &dyn Rows, role: Role, found: Selected) -> Selected {
    let tiers: Tiers = match role {
        Role::Title => &role.exact()[..2],
        Role::Description => role.exact(),
        _ => return found,
    };
    let names = rows.columns();
    let tier_of = |name: &str| {
        let word = tokens(name).concat();
        tiers.iter().position(|tier| tier.contains(&word.as_str()))
    };
    if found.named || found.columns.iter().any(|&at| tier_of(&names[at]).is_some()) {
        return found;
    }
    let nested = |at: usize| names[at].split_once('.').and_then(|(name, _)| tier_of(name));
    let Some(best) = (0..names.len()).filter_map(nested).min() else { return found };
    let mut columns: Vec<usize> = (0..names.len()).filter(|&at| nested(at) == Some(best)).collect();
    let is_english = |at: usize| names[at].rsplit('.').next() == Some("en");
    columns.sort_by_key(|&at| (!is_english(at), &names[at]));
    Selected { columns, ..found }
}

impl Catalogues {
    /// Reads the files of items of a log, whose items and their columns are given.
    ///
    /// # Errors
    /// As [`Catalogues::read`] and [`Catalogues::join`], and [`DatasetError::TooManyBadRows`].
    pub(super) fn of_log(
        files: &[PathBuf],
        options: &ImportOptions,
        log_columns: &[String],
        log: &HashSet<&str>,
    ) -> Result<Self, DatasetError> {
        let mut catalogues = Self::default();
        for path in files {
            catalogues.read(path, options, log_columns, Categories::Detected)?;
        }
        catalogues.join(log)?;
        catalogues.bad.check(options.max_bad_rows)?;
        Ok(catalogues)
    }

    /// Reads one file. [`Catalogues::join`] decides which of its columns is the item.
    ///
    /// # Errors
    /// [`DatasetError::Io`], and [`DatasetError::Input`] if the columns cannot be found.
    pub(super) fn read(
        &mut self,
        path: &Path,
        options: &ImportOptions,
        log_columns: &[String],
        categories: Categories,
    ) -> Result<(), DatasetError> {
        let readers::Opened { mut rows, description, recbole } =
            readers::open(path, options.has_header, &[])?;
        let categories = if recbole { Categories::Recbole } else { categories };
        let path = shown(path);
        let mut columns = Columns::find(path, &*rows, options, log_columns)?;
        let mut table = Table::new(path, rows.unit());
        let before = self.bad.total;
        loop {
            let step = rows.advance()?;
            if rows.columns().len() != columns.known {
                columns = Columns::find(path, &*rows, options, log_columns)?;
            }
            match step {
                Step::End => break,
                Step::Bad { reason, lines } => {
                    self.bad.total += lines;
                    self.bad.add(table.bad_row(rows.line(), reason), lines);
                }
                Step::Row => {
                    self.bad.total += 1;
                    table.take(&*rows, &columns.item, metadata(&*rows, &columns, categories));
                }
            }
        }
        let rows_read = self.bad.total - before;
        let mut summary = FileSummary::new(path, description, rows_read, rows.columns());
        for (role, selected) in [
            (Role::Title, &columns.title),
            (Role::Year, &columns.year),
            (Role::Categories, &columns.categories),
            (Role::Brand, &columns.brand),
            (Role::Description, &columns.description),
        ] {
            summary.add(role, selected);
        }
        table.names = rows.columns().iter().map(|name| bare(name).to_owned()).collect();
        table.columns = columns.item;
        self.tables.push((table, summary));
        Ok(())
    }

    /// Decides which column of each file is the item, and takes the items.
    ///
    /// # Errors
    /// [`DatasetError::NoItemInCatalogue`] if no file has an item of the log, and
    /// [`DatasetError::Input`] if two columns are equally plausible.
    pub(super) fn join(&mut self, log: &HashSet<&str>) -> Result<(), DatasetError> {
        let tables = std::mem::take(&mut self.tables);
        let choices = join::choose(tables.iter().map(|(table, _)| table), log)?;
        for ((table, mut summary), choice) in tables.into_iter().zip(choices) {
            summary.add_item(&choice.selected);
            summary.add_unused([]);
            summary.matches = choice.matches;
            self.summaries.push(summary);
            self.add(table, choice.ids, &choice.selected);
        }
        let matched = log.iter().filter(|id| self.ids.contains(id)).count();
        if !self.summaries.is_empty() && 2 * matched < log.len() {
            self.warning = Some(format!(
                "warning: the catalogue has only {matched} of the {} items of the log; if another \
                 of its columns has their ids, name it with {CATALOGUE_ITEM_OPTION}",
                log.len()
            ));
        }
        Ok(())
    }

    /// Takes the items of a file; `ids` are those of its rows.
    fn add(&mut self, table: Table, ids: Vec<Result<Rc<str>, String>>, item: &Selected) {
        let mut names = Names::default();
        let mut items: Vec<Metadata> = Vec::new();
        let (path, unit, columns) = (table.path, table.unit, table.names);
        let bad = |line, reason| BadRow { file: path.clone(), unit, line, reason };
        for (row, id) in table.rows.into_iter().zip(ids) {
            let id = match id {
                Ok(id) => id,
                Err(found) => {
                    let field = item.columns.first().map_or("", |&at| &columns[at]);
                    let reason = format!("field {field}: expected an item id, found {found}");
                    self.bad.add(bad(row.line, reason), 1);
                    continue;
                }
            };
            let (metadata, faults) = row.metadata;
            // The item stays; only the field is missing. The row counts as bad once.
            for (number, fault) in faults.into_iter().enumerate() {
                let lines = u64::from(number == 0);
                self.bad.add(bad(row.line, format!("item {id}: {fault}")), lines);
            }
            match items.get_mut(names.number(&id) as usize) {
                None => items.push(metadata),
                Some(known) => {
                    known.fill(metadata);
                    self.repeated += 1;
                }
            }
        }
        for (at, metadata) in names.merge_into(&mut self.ids).into_iter().zip(items) {
            match self.items.get_mut(at as usize) {
                None => self.items.push(metadata),
                Some(known) => {
                    known.fill(metadata);
                    self.repeated += 1;
                }
            }
        }
    }

    /// All items, without counts.
    pub(super) fn items(&self) -> Vec<Item> {
        let named = self.ids.names().iter().zip(&self.items);
        named
            .map(|(id, metadata)| Item {
                title: metadata.title.clone(),
                year: metadata.year,
                genres: metadata.genres.clone(),
                brand: metadata.brand.clone(),
                description: metadata.description.clone(),
                ..Item::untitled(ItemId::new(&**id))
            })
            .collect()
    }

    /// Whether a file lists the item.
    pub(super) fn lists(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// What to tell about rows of the same item.
    pub(super) fn note(&self) -> Option<String> {
        let repeated = self.repeated;
        (repeated > 0).then(|| {
            let (rows, list) =
                (count(repeated, "row"), if repeated == 1 { "lists" } else { "list" });
            format!("{rows} of the catalogue {list} an item again; the first values count")
        })
    }
}

/// The metadata of a row, and the fields that cannot be read.
fn metadata(rows: &dyn Rows, columns: &Columns, categories: Categories) -> (Metadata, Vec<String>) {
    let recbole = categories == Categories::Recbole;
    let mut faults = Vec::new();
    let mut note = |selected: &Selected, expected: &str, cell: &Cell<'_>| {
        faults.push(fault(rows, selected, expected, &words(cell)));
    };

    let title = match value(rows, &columns.title) {
        Cell::Absent => String::new(),
        Cell::Text(text) => text.into_owned(),
        Cell::List(parts) => parts.join(", "),
        other => {
            note(&columns.title, "a title", &other);
            String::new()
        }
    };
    let title = plain_text(&title);
    let (title, year_in_title) = split_year(&title);

    let year = match value(rows, &columns.year) {
        Cell::Absent => None,
        Cell::Text(text) => {
            let year = year_in_date(&text);
            if year.is_none() && !recbole && !is_absent(&text) {
                note(&columns.year, "a year of four digits", &Cell::Text(text));
            }
            year
        }
        Cell::Time(time) => year_in_date(&time::display(time)),
        other => {
            note(&columns.year, "a year", &other);
            None
        }
    };
    let year = year.or(year_in_title);
    // A film can be called `Unknown`; then its year is known.
    let title = if recbole && year.is_none() && is_placeholder(title) { "" } else { title };

    let genres = match value(rows, &columns.categories) {
        Cell::Absent => Vec::new(),
        Cell::Text(text) => split_categories(&text, categories),
        Cell::List(list) => list,
        other => {
            note(&columns.categories, "a list of categories", &other);
            Vec::new()
        }
    };
    let plain = |selected: &Selected| match value(rows, selected) {
        Cell::Text(text) => plain_text(&text).into_owned(),
        Cell::List(parts) => plain_text(&parts.join(" ")).into_owned(),
        _ => String::new(),
    };
    let (brand, description) = (plain(&columns.brand), plain(&columns.description));
    (Metadata { title: title.to_owned(), year, genres, brand, description }, faults)
}

fn split_categories(text: &str, categories: Categories) -> Vec<String> {
    let (text, separator) = match categories {
        Categories::Recbole => (text, " "),
        Categories::Arrows => (text, " > "),
        Categories::Detected => {
            if let Ok(list) = serde_json::from_str::<Vec<String>>(text) {
                return list;
            }
            // A list of objects, as JSON or as Python writes it: `[{'id': 1, 'name': 'Crime'}]`.
            if text.starts_with("[{") {
                return names_of_objects(text);
            }
            // Python's way to write a list: `['Crime', 'Drama']`.
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let inner = inner.unwrap_or(text);
            let separator = ["|", ">", ";", ","].into_iter().find(|it| inner.contains(it));
            (inner, separator.unwrap_or("|"))
        }
    };
    let trim = |part: &str| match categories {
        Categories::Detected => part.trim_matches([' ', '\'', '"', '\t']).to_owned(),
        _ => part.trim().to_owned(),
    };
    let absent = |part: &String| {
        part.is_empty()
            || categories == Categories::Recbole && is_placeholder(part)
            || categories == Categories::Detected && ABSENT.contains(&part.as_str())
    };
    text.split(separator).map(trim).filter(|part| !absent(part)).collect()
}

/// The fields `name` of a list of objects.
fn names_of_objects(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("name") {
        rest = &rest[at + "name".len()..];
        // The name of the field ends with a quote, and its value begins with one.
        let value = rest.strip_prefix(['\'', '"']).map(str::trim_start);
        let value = value.and_then(|text| text.strip_prefix(':')).map(str::trim_start);
        let Some(value) = value else { continue };
        let Some(quote) = value.chars().next().filter(|it| ['\'', '"'].contains(it)) else {
            continue;
        };
        let Some((name, after)) = value[1..].split_once(quote) else { break };
        if !name.trim().is_empty() {
            names.push(name.trim().to_owned());
        }
        rest = after;
    }
    names
}

/// Words for no category.
const ABSENT: [&str; 6] = ["None", "null", "NaN", "nan", "N/A", "(no genres listed)"];

/// Whether a text says that there is no value.
fn is_absent(text: &str) -> bool {
    const WORDS: [&str; 10] =
        ["n/a", "na", "none", "null", "nan", "unknown", "undefined", "tba", "tbd", "n.a."];
    let word = text.trim();
    word.chars().all(|it| matches!(it, '-' | '?' | '–' | '—'))
        || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Words of `RecBole`'s files for an unknown value, with their misspelling.
fn is_placeholder(text: &str) -> bool {
    ["unknown", "unkonwn"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_split_as_they_are_written() {
        let split = |text| split_categories(text, Categories::Detected).join("/");
        assert_eq!(split("Crime|Drama"), "Crime/Drama");
        assert_eq!(split("Shoes > Trail Running"), "Shoes/Trail Running");
        assert_eq!(split("Toys, Games > Puzzles"), "Toys, Games/Puzzles");
        assert_eq!(split("Crime, Drama"), "Crime/Drama");
        assert_eq!(split("['Crime', 'Drama']"), "Crime/Drama");
        assert_eq!(split(r#"["Sci-Fi", "Film, noir"]"#), "Sci-Fi/Film, noir");
        assert_eq!(split("Children's"), "Children's");
        assert_eq!(
            split("[{'id': 80, 'name': 'Crime'}, {'id': 18, 'name': 'Drama'}]"),
            "Crime/Drama"
        );
        assert_eq!(split(r#"[{"name": "Children's", "id": 1}]"#), "Children's");
        assert_eq!(split("[{'id': 80}]"), "");
        for none in ["None", "nan", "(no genres listed)", "[]", "['None']"] {
            assert_eq!(split(none), "", "{none}");
        }
        assert_eq!(split(" | "), "");
        let recbole = split_categories("Drama unknown Children's", Categories::Recbole);
        assert_eq!(recbole, ["Drama", "Children's"]);
        assert_eq!(split_categories("Y & Z, A > B", Categories::Arrows), ["Y & Z, A", "B"]);
    }
}
