//! The files that a shop has, as a dataset.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tandem_dataset::{
    Catalogue, Dataset, Item, ItemIndex, Sequence, compare_ids,
    files::{Sha256Hex, sha256_hex_of_file},
    readers::{self, Provenance},
};
use tandem_protocol::ItemId;

use super::{page::thousands, write_text};
use crate::failure::BadInput;

/// The file of a server's event log with clicks and purchases.
const SERVER_LOG: &str = "interactions.jsonl";
/// The file that remembers the inputs of a folder of releases.
const RECORD: &str = "inputs.json";

/// Log files and the catalogue, as absolute paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// Files, or folders of a server's event log.
    events: Vec<PathBuf>,
    catalogue: Option<PathBuf>,
}

/// A dataset, and what was read as text for people.
#[derive(Debug)]
pub(super) struct ReadLog {
    pub(super) dataset: Dataset,
    pub(super) summary: String,
}

impl Inputs {
    /// # Errors
    /// [`BadInput`] for a file that does not exist.
    pub(crate) fn new(events: &[PathBuf], catalogue: Option<&Path>) -> Result<Self> {
        let absolute = |path: &Path| -> Result<PathBuf> {
            fs::metadata(path)
                .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
            Ok(std::path::absolute(path)?)
        };
        let events = events.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
        Ok(Self { events, catalogue: catalogue.map(absolute).transpose()? })
    }

    /// The inputs of the last run in `out`; `None` without one.
    pub(crate) fn recorded(out: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(out.join(RECORD)).ok()?).ok()
    }

    /// Remembers the inputs for the next run in `out`.
    pub(crate) fn record(&self, out: &Path) -> Result<()> {
        write_text(&out.join(RECORD), &serde_json::to_string_pretty(self)?)
    }

    /// These files, with `catalogue` where there is none.
    pub(crate) fn with_catalogue_of(mut self, other: Option<&Self>) -> Self {
        self.catalogue = self.catalogue.or_else(|| other?.catalogue.clone());
        self
    }

    /// These files, with `catalogue` if one is given.
    pub(crate) fn with_catalogue(self, catalogue: Option<&Path>) -> Result<Self> {
        match catalogue {
            Some(_) => Self::new(&self.events, catalogue),
            None => Ok(self),
        }
    }

    /// The log files. A folder stands for the event log of a server.
    fn files(&self) -> Vec<PathBuf> {
        let file = |path: &PathBuf| {
            if path.is_dir() { path.join(SERVER_LOG) } else { path.clone() }
        };
        self.events.iter().map(file).collect()
    }

    /// A hash of the names' endings and of the content of all files.
    pub(super) fn digest(&self) -> Result<String> {
        let mut digest = Sha256Hex::default();
        for path in self.files().iter().chain(&self.catalogue) {
            let hash = sha256_hex_of_file(path)
                .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
            digest.update(format!("{:?} {hash}\n", path.extension()));
        }
        Ok(digest.finish())
    }

    /// Reads all files. This is the only place that knows how.
    pub(super) fn read(&self, name: &str) -> Result<ReadLog> {
        let mut logs = Vec::new();
        let mut summary = String::new();
        // The first log that is of the same format as the catalogue is read together with it.
        let mut catalogue = self.catalogue.as_deref();
        for path in self.files() {
            let format = Format::of(&path)?;
            let known = catalogue.take_if(|it| Format::of(it).is_ok_and(|it| it == format));
            let dataset = format.read(&path, known, name)?;
            summary += &format!(
                "{}: {} interactions of {} users with {} items\n",
                path.display(),
                thousands(dataset.interactions()),
                thousands(dataset.sequences.len()),
                thousands(dataset.catalogue.len()),
            );
            if let Some(path) = known {
                let titled =
                    dataset.catalogue.items().iter().filter(|item| !item.title.is_empty()).count();
                summary += &format!("{}: titles of {} items\n", path.display(), thousands(titled));
            }
            logs.push(dataset);
        }
        if let Some(path) = catalogue {
            return Err(BadInput(format!(
                "{}: expected a catalogue of the same format as one of the event files; convert it",
                path.display()
            ))
            .into());
        }
        Ok(ReadLog { dataset: join(logs, name)?, summary })
    }
}

/// How a file is written, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
    /// `.inter` for interactions, `.item` for a catalogue.
    RecBole,
}

impl Format {
    fn of(path: &Path) -> Result<Self, BadInput> {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            Some("inter" | "item") => Ok(Self::RecBole),
            _ => Err(BadInput(format!(
                "{}: expected a file that ends in .csv, .jsonl, .inter or .item; convert it, or rename it",
                path.display()
            ))),
        }
    }

    fn read(self, log: &Path, catalogue: Option<&Path>, name: &str) -> Result<Dataset> {
        let provenance = Provenance { name: name.to_owned(), notice: None };
        Ok(match self {
            Self::Csv => readers::csv(log, catalogue, provenance)?,
            Self::JsonLines => readers::jsonl(log, catalogue, provenance)?,
            Self::RecBole => readers::recbole(log, catalogue, provenance)?,
        })
    }
}

/// One dataset of several: all items, and each user's interactions by time, or in the order of
/// the files if some have no time.
fn join(mut logs: Vec<Dataset>, name: &str) -> Result<Dataset> {
    if logs.len() == 1 {
        return logs.pop().context("there is no log");
    }
    let mut items: BTreeMap<ItemId, Item> = BTreeMap::new();
    for item in logs.iter().flat_map(|log| log.catalogue.items()) {
        let known = items.entry(item.id.clone()).or_insert_with(|| item.clone());
        if known.title.is_empty() {
            *known = item.clone();
        }
    }
    let mut items: Vec<Item> = items.into_values().collect();
    items.sort_by(|a, b| compare_ids(a.id.as_str(), b.id.as_str()));
    let catalogue = Catalogue::new(items)?;

    let mut users: BTreeMap<String, Vec<(Option<i64>, ItemIndex)>> = BTreeMap::new();
    for log in &logs {
        for Sequence { user, items, times } in &log.sequences {
            let visits = users.entry(user.clone()).or_default();
            for (at, item) in items.iter().enumerate() {
                let time = times.as_ref().map(|times| times[at]);
                let item = catalogue.index_of(&log.catalogue.get(*item).id);
                visits.push((time, item.context("an item is missing from the joined catalogue")?));
            }
        }
    }
    let sequence = |(user, mut visits): (String, Vec<(Option<i64>, ItemIndex)>)| {
        if visits.iter().all(|(time, _)| time.is_some()) {
            // The same event in two files, such as in two exports, counts once.
            let mut seen = HashSet::new();
            visits.retain(|visit| seen.insert(*visit));
            visits.sort();
        }
        let times = visits.iter().map(|(time, _)| *time).collect();
        let items = visits.into_iter().map(|(_, item)| item).collect();
        Sequence { user, items, times }
    };
    let mut sequences: Vec<Sequence> = users.into_iter().map(sequence).collect();
    sequences.sort_by(|a, b| compare_ids(&a.user, &b.user));
    Ok(Dataset::new(name, catalogue, sequences, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_log_and_the_log_of_a_server_are_one_dataset() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("clicks.csv"), "user,item,timestamp\n1,b,2\n1,a,1\n2,c,1\n").unwrap();
        fs::write(path("items.csv"), "item,title\na,Apple\nb,Bread\n").unwrap();
        fs::create_dir(path("log")).unwrap();
        let line = "{\"user\":\"1\",\"item\":\"d\",\"timestamp\":0}\n";
        fs::write(path("log").join(SERVER_LOG), line).unwrap();

        let events = [path("clicks.csv"), path("log")];
        let inputs = Inputs::new(&events, Some(&path("items.csv"))).unwrap();
        let digest = inputs.digest().unwrap();
        let ReadLog { dataset, summary } = inputs.read("shop").unwrap();
        let ids = |user: usize| -> Vec<&str> {
            let items = dataset.sequences[user].items.iter();
            items.map(|item| dataset.catalogue.get(*item).id.as_str()).collect()
        };
        assert_eq!((ids(0), ids(1)), (vec!["d", "a", "b"], vec!["c"]));
        assert_eq!(dataset.catalogue.items()[0].title, "Apple");
        assert!(summary.contains("items.csv: titles of 2 items"), "{summary}");

        inputs.record(folder.path()).unwrap();
        assert_eq!(Inputs::recorded(folder.path()), Some(inputs.clone()));
        fs::write(path("clicks.csv"), "user,item,timestamp\n1,b,2\n").unwrap();
        assert_ne!(inputs.digest().unwrap(), digest);
        fs::write(path("clicks.txt"), "").unwrap();
        let said = Inputs::new(&[path("clicks.txt")], None).unwrap().read("shop").unwrap_err();
        assert!(said.to_string().contains("ends in .csv, .jsonl, .inter or .item"), "{said}");
    }
}
