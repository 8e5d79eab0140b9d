//! The dataset folder.

mod draft;

use std::{
    borrow::Cow,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub(crate) use self::draft::{DatasetDraft, SequenceFile};
use crate::{Catalogue, Dataset, DatasetError, Item, ItemIndex, Sequence, lines::Lines};

/// Version of the folder format. [`Dataset::load`] reads only this version.
pub const FORMAT_VERSION: u32 = 1;

const HEADER: &str = "dataset.json";
const CATALOGUE: &str = "catalogue.jsonl";
const SEQUENCES: &str = "sequences.jsonl";

/// `dataset.json`: the properties that the other two files must have.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    version: u32,
    name: String,
    notice: Option<String>,
    catalogue_hash: String,
    users: usize,
    items: usize,
    interactions: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    repeats: bool,
}

/// One line of `sequences.jsonl`.
#[derive(Serialize, Deserialize)]
struct SequenceLine<'a> {
    user: Cow<'a, str>,
    items: Cow<'a, [ItemIndex]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<Cow<'a, [i64]>>,
}

impl Dataset {
    /// Writes the folder `dir` atomically and replaces an older dataset. It contains
    /// `dataset.json` with the totals, `catalogue.jsonl` with one [`Item`] per line in
    /// catalogue order, and `sequences.jsonl` with one user per line, whose items are positions
    /// in the catalogue from 0.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if a file cannot be written, [`DatasetError::NotReplaceable`] if
    /// `dir` contains something else than a dataset.
    pub fn save(&self, dir: &Path) -> Result<(), DatasetError> {
        self.save_with(dir, &[])
    }

    /// As [`Dataset::save`], with further text files (name and content).
    pub(crate) fn save_with(
        &self,
        dir: &Path,
        files: &[(&str, String)],
    ) -> Result<(), DatasetError> {
        let draft = DatasetDraft::new(dir)?;
        let mut sequences = draft.sequences(SEQUENCES, self.catalogue.len())?;
        for sequence in &self.sequences {
            sequences.write(sequence)?;
        }
        let Self { name, catalogue, notice, repeats, .. } = self;
        draft.publish(sequences, name, notice.as_deref(), *repeats, catalogue, files)
    }

    /// Reads a folder that [`Dataset::save`] wrote.
    ///
    /// # Errors
    /// As [`DatasetFolder::open`] and [`DatasetFolder::for_each_sequence`].
    pub fn load(dir: &Path) -> Result<Self, DatasetError> {
        let folder = DatasetFolder::open(dir)?;
        let mut sequences = Vec::new();
        folder.for_each_sequence(|sequence| sequences.push(sequence))?;
        let DatasetFolder { header, catalogue, .. } = folder;
        let Header { name, notice, repeats, .. } = header;
        Ok(Self { name, catalogue, sequences, notice, repeats })
    }

    /// Reads the catalogue of a folder that [`Dataset::save`] wrote, without the sequences.
    ///
    /// # Errors
    /// As [`DatasetFolder::open`].
    pub fn load_catalogue(dir: &Path) -> Result<Catalogue, DatasetError> {
        DatasetFolder::open(dir).map(|folder| folder.catalogue)
    }
}

/// A dataset folder of which only the catalogue is in memory, for logs of any size.
#[derive(Debug)]
pub struct DatasetFolder {
    dir: PathBuf,
    header: Header,
    /// The items, as in [`Dataset::catalogue`].
    pub catalogue: Catalogue,
}

impl DatasetFolder {
    /// Reads the catalogue of a folder that [`Dataset::save`] wrote.
    ///
    /// # Errors
    /// [`DatasetError::Io`] for a missing file, [`DatasetError::Malformed`] for a line that
    /// violates the format, [`DatasetError::Version`] for another format version, and
    /// [`DatasetError::Inconsistent`] for a catalogue that contradicts `dataset.json`.
    pub fn open(dir: &Path) -> Result<Self, DatasetError> {
        let (header, catalogue) = read_catalogue(dir)?;
        Ok(Self { dir: dir.to_owned(), header, catalogue })
    }

    /// Calls `take` with each sequence of [`Dataset::sequences`], one after the other.
    ///
    /// # Errors
    /// As [`DatasetFolder::open`], and [`DatasetError::Inconsistent`] at the end if there were more
    /// or fewer users or interactions than in `dataset.json`.
    pub fn for_each_sequence(&self, mut take: impl FnMut(Sequence)) -> Result<(), DatasetError> {
        let Self { dir, header, catalogue } = self;
        let path = dir.join(SEQUENCES);
        let (mut users, mut interactions) = (0, 0);
        for_each_line(&path, "a sequence", |line: SequenceLine<'_>, number| {
            let SequenceLine { user, items, times } = line;
            let (user, items) = (user.into_owned(), items.into_owned());
            let sequence = Sequence { user, items, times: times.map(Cow::into_owned) };
            sequence.check(catalogue.len()).map_err(|error| match error {
                DatasetError::InvalidSequence { expected, found, .. } => {
                    DatasetError::malformed(&path, number, expected, found)
                }
                other => other,
            })?;
            users += 1;
            interactions += sequence.items.len();
            take(sequence);
            Ok(())
        })?;
        check_count(dir, SEQUENCES, "the number of users", header.users, users)?;
        check_count(dir, SEQUENCES, "the number of interactions", header.interactions, interactions)
    }
}

fn read_catalogue(dir: &Path) -> Result<(Header, Catalogue), DatasetError> {
    let header = read_header(&dir.join(HEADER))?;
    let mut items: Vec<Item> = Vec::new();
    for_each_line(&dir.join(CATALOGUE), "an item", |item, _| {
        items.push(item);
        Ok(())
    })?;
    check_count(dir, CATALOGUE, "the number of items", header.items, items.len())?;
    let catalogue = Catalogue::new(items)?;
    if header.catalogue_hash != catalogue.hash() {
        return Err(DatasetError::Inconsistent {
            path: dir.join(CATALOGUE),
            what: "the catalogue hash",
            expected: header.catalogue_hash,
            found: catalogue.hash().to_owned(),
        });
    }
    Ok((header, catalogue))
}

/// Checks a number of `dataset.json` against one of another file.
fn check_count(
    dir: &Path,
    file: &str,
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), DatasetError> {
    if expected == found {
        return Ok(());
    }
    Err(DatasetError::Inconsistent {
        path: dir.join(file),
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// Only a dataset or an empty folder is replaced.
fn refuse_foreign(dir: &Path) -> Result<(), DatasetError> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DatasetError::io("replace", dir)(error)),
        Ok(_) if dir.join(HEADER).is_file() => Ok(()),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(DatasetError::NotReplaceable { path: dir.to_path_buf() }),
        },
    }
}

fn read_header(path: &Path) -> Result<Header, DatasetError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let bytes = fs::read(path).map_err(DatasetError::io("read", path))?;
    let malformed = |error: serde_json::Error| {
        let line = error.line().max(1) as u64;
        DatasetError::malformed(path, line, "the header of a dataset", error)
    };
    // The version first: a header of another version may have other fields.
    let Version { version } = serde_json::from_slice(&bytes).map_err(malformed)?;
    if version != u64::from(FORMAT_VERSION) {
        let (path, expected) = (path.to_path_buf(), FORMAT_VERSION);
        return Err(DatasetError::Version { path, expected, found: version });
    }
    serde_json::from_slice(&bytes).map_err(malformed)
}

fn json_line(writer: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, value)?;
    writer.write_all(b"\n")
}

fn for_each_line<T: for<'a> Deserialize<'a>>(
    path: &Path,
    what: &str,
    mut take: impl FnMut(T, u64) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        match serde_json::from_str(line) {
            Ok(value) => take(value, lines.number())?,
            Err(error) => return Err(lines.malformed(format_args!("{what} in JSON"), error)),
        }
    }
    Ok(())
}
