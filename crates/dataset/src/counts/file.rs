//! The file of a [`CountTable`].

use std::{borrow::Cow, collections::HashMap, fs, io, path::Path};

use safetensors::{Dtype, SafeTensorError, SafeTensors, View};

use super::{CountOptions, CountTable};
use crate::{Catalogue, DatasetError, ItemIndex, files::FileDraft};

/// Value of `format` in the metadata of the file.
const FORMAT: &str = "tandem.counts.1";

impl CountTable {
    /// Writes the table atomically, in `safetensors` format: `starts` (U64, `[items + 1]`),
    /// `targets` (U32) and `weights` (F32) of the pairs, row by row, and `popularity` (F32,
    /// `[items]`).
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be written.
    pub fn write(&self, catalogue: &Catalogue, path: &Path) -> Result<(), DatasetError> {
        let CountOptions { half_life, max_neighbours } = self.options;
        let facts = [
            ("format", FORMAT.to_owned()),
            ("catalogue_hash", catalogue.hash().to_owned()),
            ("half_life", half_life.map_or_else(String::new, |seconds| seconds.to_string())),
            ("max_neighbours", max_neighbours.to_string()),
            ("origin", self.origin.to_string()),
            ("newest", self.newest.to_string()),
        ];
        let facts: HashMap<String, String> =
            facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let columns = COLUMNS.map(|(name, part)| (name, Column::new(self, part)));
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            let draft = FileDraft::new(path)?;
            let permissions = fs::metadata(draft.path())?.permissions();
            let written = safetensors::serialize_to_file(columns, Some(facts), draft.path());
            written.map_err(|error| match error {
                SafeTensorError::IoError(error) => error,
                other => io::Error::other(other),
            })?;
            // That has put another file in the place of the draft, for its owner only.
            fs::set_permissions(draft.path(), permissions)?;
            fs::File::open(draft.path())?.sync_all()?;
            draft.publish()
        };
        write().map_err(DatasetError::io("write", path))
    }

    /// Reads a table of this catalogue.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be read, [`DatasetError::Vectors`] if it is
    /// damaged, of another format or of another catalogue.
    pub fn read(catalogue: &Catalogue, path: &Path) -> Result<Self, DatasetError> {
        let bytes = fs::read(path).map_err(DatasetError::io("read", path))?;
        let damaged = |error: SafeTensorError| refused(path, "a safetensors file", &error);
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let facts = header.metadata().clone().unwrap_or_default();
        let fact = |key: &str| facts.get(key).map_or("", String::as_str);
        if fact("format") != FORMAT {
            let found = format!("format {:?}", fact("format"));
            return Err(refused(path, "a table of counts (format tandem.counts.1)", &found));
        }
        if fact("catalogue_hash") != catalogue.hash() {
            return Err(refused(path, "counts of this catalogue", &"those of another one"));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let tensor = |name, dtype| {
            let tensor = file.tensor(name).map_err(damaged)?;
            if tensor.dtype() != dtype {
                let found = format!("{name} as {:?}", tensor.dtype());
                return Err(refused(path, &format!("{name} as {dtype:?}"), &found));
            }
            Ok(tensor.data().to_vec())
        };
        let starts =
            words::<8>(&tensor("starts", Dtype::U64)?).map(u64::from_le_bytes).collect::<Vec<_>>();
        let targets =
            words::<4>(&tensor("targets", Dtype::U32)?).map(u32::from_le_bytes).collect::<Vec<_>>();
        let weights =
            words::<4>(&tensor("weights", Dtype::F32)?).map(f32::from_le_bytes).collect::<Vec<_>>();
        let popularity = words::<4>(&tensor("popularity", Dtype::F32)?)
            .map(f32::from_le_bytes)
            .collect::<Vec<_>>();
        let items = catalogue.len();
        let in_order = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let sizes = (starts.len(), popularity.len(), weights.len());
        if sizes != (items + 1, items, targets.len())
            || !in_order
            || starts[0] != 0
            || starts[items] != targets.len() as u64
        {
            return Err(refused(path, "rows of pairs for each item", &format!("{sizes:?}")));
        }
        let rows: Vec<Vec<(ItemIndex, f32)>> = starts
            .windows(2)
            .map(|row| {
                (row[0] as usize..row[1] as usize)
                    .map(|at| (ItemIndex(targets[at]), weights[at]))
                    .collect()
            })
            .collect();
        if let Some((what, expected, found)) = fault(&rows, &popularity) {
            return Err(refused(path, expected, &format!("{found} in {what}")));
        }
        let number = |key| {
            fact(key)
                .parse::<i64>()
                .map_err(|error| refused(path, &format!("a number as {key}"), &error))
        };
        let half_life = match fact("half_life") {
            "" => None,
            text => Some(
                text.parse()
                    .ok()
                    .filter(|it: &f64| it.is_finite() && *it > 0.0)
                    .ok_or_else(|| refused(path, "a half-life above 0", &text))?,
            ),
        };
        let max_neighbours = usize::try_from(number("max_neighbours")?).unwrap_or(0).max(1);
        Ok(Self {
            options: CountOptions { half_life, max_neighbours },
            rows,
            popularity,
            origin: number("origin")?,
            newest: number("newest")?,
        })
    }
}

/// The first value that no counting gives: where it is, what was expected, and the value.
fn fault(
    rows: &[Vec<(ItemIndex, f32)>],
    popularity: &[f32],
) -> Option<(String, &'static str, String)> {
    let is_count = |value: f32| value.is_finite() && value >= 0.0;
    let number = "a number of at least 0";
    for (from, row) in rows.iter().enumerate() {
        let what = || format!("the counts of item {from}");
        if let Some((to, _)) = row.iter().find(|(to, _)| to.position() >= rows.len()) {
            let found = format!("item {}", to.position());
            return Some((what(), "items of the catalogue", found));
        }
        if let Some(pair) = row.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let found = format!("item {} after {}", pair[1].0.position(), pair[0].0.position());
            return Some((what(), "items in ascending order", found));
        }
        if let Some((_, weight)) = row.iter().find(|(_, weight)| !is_count(*weight)) {
            return Some((what(), number, weight.to_string()));
        }
    }
    let (item, count) = popularity.iter().enumerate().find(|(_, count)| !is_count(**count))?;
    Some((format!("the popularity of item {item}"), number, count.to_string()))
}

/// The tensors of a file.
const COLUMNS: [(&str, Part); 4] = [
    ("starts", Part::Starts),
    ("targets", Part::Targets),
    ("weights", Part::Weights),
    ("popularity", Part::Popularity),
];

/// What a tensor has of a table.
#[derive(Clone, Copy)]
enum Part {
    Starts,
    Targets,
    Weights,
    Popularity,
}

/// A tensor whose bytes are made when they are written: a table may be half of the memory.
struct Column<'a> {
    table: &'a CountTable,
    part: Part,
    shape: [usize; 1],
}

impl<'a> Column<'a> {
    fn new(table: &'a CountTable, part: Part) -> Self {
        let length = match part {
            Part::Starts => table.rows.len() + 1,
            Part::Targets | Part::Weights => table.pairs(),
            Part::Popularity => table.popularity.len(),
        };
        Self { table, part, shape: [length] }
    }
}

impl View for Column<'_> {
    fn dtype(&self) -> Dtype {
        match self.part {
            Part::Starts => Dtype::U64,
            Part::Targets => Dtype::U32,
            Part::Weights | Part::Popularity => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        let pairs = || self.table.rows.iter().flatten();
        match self.part {
            Part::Starts => {
                let mut start = 0_u64;
                bytes.extend(start.to_le_bytes());
                for row in &self.table.rows {
                    start += row.len() as u64;
                    bytes.extend(start.to_le_bytes());
                }
            }
            Part::Targets => pairs().for_each(|(target, _)| bytes.extend(target.0.to_le_bytes())),
            Part::Weights => pairs().for_each(|(_, weight)| bytes.extend(weight.to_le_bytes())),
            Part::Popularity => {
                self.table.popularity.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
            }
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.shape[0] * self.dtype().bitsize() / 8
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

fn refused(path: &Path, expected: &str, found: &dyn std::fmt::Display) -> DatasetError {
    DatasetError::Vectors {
        path: Some(path.to_path_buf()),
        expected: expected.to_owned(),
        found: format!("{found}; run tandem train counts again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;

    #[test]
    fn a_table_is_read_as_it_was_written_and_damage_is_refused() {
        let catalogue = |ids: &[&str]| {
            Catalogue::new(ids.iter().map(|&id| Item::untitled(id.into())).collect()).unwrap()
        };
        let shop = catalogue(&["a", "b", "c"]);
        let options = CountOptions { half_life: Some(10.0), max_neighbours: 2 };
        let mut table = CountTable::new(3, options);
        table.add(&[ItemIndex(0)], ItemIndex(2), 7);
        table.add(&[ItemIndex(0), ItemIndex(2)], ItemIndex(1), 9);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.safetensors");
        table.write(&shop, &path).unwrap();
        assert_eq!(CountTable::read(&shop, &path).unwrap(), table);
        let beside = folder.path().join("beside");
        fs::write(&beside, b"").unwrap();
        let permissions = |path: &Path| fs::metadata(path).unwrap().permissions();
        assert_eq!(permissions(&path), permissions(&beside), "others may read it");
        fs::remove_file(beside).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no drafts are left");

        let error = CountTable::read(&catalogue(&["a", "b"]), &path).unwrap_err().to_string();
        assert!(
            error.contains("counts of this catalogue") && error.contains("train counts"),
            "{error}"
        );
        let good = fs::read(&path).unwrap();
        for length in [0, 4, good.len() / 2, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(CountTable::read(&shop, &path).unwrap_err().blames_input(), "{length}");
        }
        // Every single byte changed: an error or a table, never a panic.
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0xff;
            fs::write(&path, &bytes).unwrap();
            if let Ok(read) = CountTable::read(&shop, &path) {
                read.add_scores(&[ItemIndex(0)], &mut [0.0; 3]);
            }
        }
    }
}
