//! The file of a [`CountTable`]. It is written and read in small pieces: a table may be half of the
//! memory, so there is no room for its bytes beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use serde::Serialize;

use super::{CountOptions, CountTable};
use crate::{Catalogue, DatasetError, ItemIndex, files::FileDraft};

/// Value of `format` in the metadata of the file.
const FORMAT: &str = "tandem.counts.1";
/// Bytes of the header's length, and what the header is filled up to.
const WORD: usize = 8;
/// Maximum size of a header. This one has 500 bytes.
const MAX_HEADER: u64 = 1 << 20;

/// The header of a file in `safetensors` format, always in the same order.
#[derive(Serialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    facts: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<&'static str, TensorInfo>,
}

impl CountTable {
    /// Writes the table atomically, in `safetensors` format: `starts` (U64, `[items + 1]`),
    /// `targets` (U32) and `weights` (F32) of the pairs, row by row, and `popularity` (F32,
    /// `[items]`). The same table gives the same bytes.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be written.
    pub fn write(&self, catalogue: &Catalogue, path: &Path) -> Result<(), DatasetError> {
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            let mut file = FileDraft::new(path)?;
            let mut header = serde_json::to_vec(&self.header(catalogue))?;
            header.resize(header.len().next_multiple_of(WORD), b' ');
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            let mut start = 0_u64;
            file.write_all(&start.to_le_bytes())?;
            for row in &self.rows {
                start += row.len() as u64;
                file.write_all(&start.to_le_bytes())?;
            }
            for count in &self.popularity {
                file.write_all(&count.to_le_bytes())?;
            }
            for (_, weight) in self.rows.iter().flatten() {
                file.write_all(&weight.to_le_bytes())?;
            }
            for (target, _) in self.rows.iter().flatten() {
                file.write_all(&target.0.to_le_bytes())?;
            }
            file.publish()
        };
        write().map_err(DatasetError::io("write", path))
    }

    fn header(&self, catalogue: &Catalogue) -> Header {
        let CountOptions { half_life, max_neighbours } = self.options;
        let facts = BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("catalogue_hash", catalogue.hash().to_owned()),
            ("half_life", half_life.map_or_else(String::new, |seconds| seconds.to_string())),
            ("max_neighbours", max_neighbours.to_string()),
            ("origin", self.origin.to_string()),
            ("newest", self.newest.to_string()),
        ]);
        let mut end = 0;
        let mut tensor = |dtype: Dtype, length: usize| {
            let start = end;
            end += length * dtype.bitsize() / 8;
            TensorInfo { dtype, shape: vec![length], data_offsets: (start, end) }
        };
        // In the order in which they are written.
        let tensors = BTreeMap::from([
            ("starts", tensor(Dtype::U64, self.rows.len() + 1)),
            ("popularity", tensor(Dtype::F32, self.popularity.len())),
            ("weights", tensor(Dtype::F32, self.pairs())),
            ("targets", tensor(Dtype::U32, self.pairs())),
        ]);
        Header { facts, tensors }
    }

    /// Reads a table of this catalogue.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be read, [`DatasetError::Vectors`] if it is
    /// damaged, of another format or of another catalogue.
    pub fn read(catalogue: &Catalogue, path: &Path) -> Result<Self, DatasetError> {
        let file = TensorFile::open(path)?;
        if file.fact("format") != FORMAT {
            let found = format!("format {:?}", file.fact("format"));
            return Err(refused(path, "a table of counts (format tandem.counts.1)", &found));
        }
        if file.fact("catalogue_hash") != catalogue.hash() {
            return Err(refused(path, "counts of this catalogue", &"those of another one"));
        }
        let read = |error| DatasetError::io("read", path)(error);
        let items = catalogue.len();
        let starts = file.column("starts", Dtype::U64)?.map(|it| it.map(u64::from_le_bytes));
        let starts = starts.collect::<io::Result<Vec<u64>>>().map_err(read)?;
        let popularity = file.column("popularity", Dtype::F32)?;
        let targets = file.column("targets", Dtype::U32)?;
        let weights = file.column("weights", Dtype::F32)?;
        let in_order = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let pairs = targets.left;
        if (starts.len() as u64, popularity.left, weights.left)
            != (items as u64 + 1, items as u64, pairs)
            || !in_order
            || starts[0] != 0
            || starts[items] != pairs
        {
            let expected = format!("a row and a count for each of the {items} items");
            let found = format!(
                "{} rows, {} counts, {pairs} targets and {} weights",
                starts.len().saturating_sub(1),
                popularity.left,
                weights.left
            );
            return Err(refused(path, &expected, &found));
        }
        let popularity = popularity.map(|it| it.map(f32::from_le_bytes));
        let popularity = popularity.collect::<io::Result<Vec<f32>>>().map_err(read)?;
        let mut all = targets.zip(weights).map(|(target, weight)| -> io::Result<_> {
            Ok((ItemIndex(u32::from_le_bytes(target?)), f32::from_le_bytes(weight?)))
        });
        let rows = starts.windows(2).map(|row| {
            let length = (row[1] - row[0]) as usize;
            let mut pairs = Vec::with_capacity(length);
            for pair in all.by_ref().take(length) {
                pairs.push(pair?);
            }
            Ok(pairs)
        });
        let rows = rows.collect::<io::Result<Vec<_>>>().map_err(read)?;
        if let Some((what, expected, found)) = fault(&rows, &popularity) {
            return Err(refused(path, expected, &format!("{found} in {what}")));
        }
        let number = |key| {
            let number = file.fact(key).parse::<i64>();
            number.map_err(|error| refused(path, &format!("a number as {key}"), &error))
        };
        let half_life = match file.fact("half_life") {
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

/// A file in `safetensors` format whose tensors are read in small pieces.
struct TensorFile<'a> {
    path: &'a Path,
    header: Metadata,
    /// Position of the first tensor.
    start: u64,
}

impl<'a> TensorFile<'a> {
    /// Opens a file that has the size that its header says.
    fn open(path: &'a Path) -> Result<Self, DatasetError> {
        let open = || -> io::Result<(Vec<u8>, u64)> {
            let mut file = File::open(path)?;
            let mut length = [0; WORD];
            file.read_exact(&mut length)?;
            let mut header = Vec::new();
            file.take(u64::from_le_bytes(length).min(MAX_HEADER)).read_to_end(&mut header)?;
            Ok((header, fs::metadata(path)?.len()))
        };
        let damaged = |error: &dyn std::fmt::Display| refused(path, "a safetensors file", error);
        let (header, size) = open().map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(&"a file without a header"),
            _ => DatasetError::io("read", path)(error),
        })?;
        let start = (WORD + header.len()) as u64;
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(&error))?;
        let expected = start.saturating_add(header.data_len() as u64);
        if size != expected {
            return Err(damaged(&format_args!("one of {size} bytes that should have {expected}")));
        }
        Ok(Self { path, header, start })
    }

    /// A text of the header; empty without it.
    fn fact(&self, key: &str) -> &str {
        let facts = self.header.metadata().as_ref();
        facts.and_then(|facts| facts.get(key)).map_or("", String::as_str)
    }

    /// The values of a tensor, each of `N` bytes.
    fn column<const N: usize>(&self, name: &str, dtype: Dtype) -> Result<Column<N>, DatasetError> {
        let found = self.header.info(name);
        let Some(info) = found.filter(|info| info.dtype == dtype) else {
            let found = found.map_or_else(|| "none".to_owned(), |info| format!("{:?}", info.dtype));
            let expected = format!("{name} as {dtype:?}");
            return Err(refused(self.path, &expected, &found));
        };
        let open = || -> io::Result<Column<N>> {
            let mut file = File::open(self.path)?;
            file.seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64))?;
            let left = (info.data_offsets.1 - info.data_offsets.0) / N;
            Ok(Column { file: BufReader::new(file), left: left as u64 })
        };
        open().map_err(DatasetError::io("read", self.path))
    }
}

/// The rest of a tensor of values of `N` bytes.
struct Column<const N: usize> {
    file: BufReader<File>,
    /// Number of values.
    left: u64,
}

impl<const N: usize> Iterator for Column<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut value = [0; N];
        Some(self.file.read_exact(&mut value).map(|()| value))
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
        let written = fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&written).unwrap();
        let starts = file.tensor("starts").unwrap();
        assert_eq!((starts.shape(), starts.data().len()), (&[4][..], 32));
        assert_eq!(file.tensor("targets").unwrap().shape(), [table.pairs()]);
        table.write(&shop, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), written);
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
        let whole = good.len();
        let short = format!("one of {} bytes that should have {whole}", whole - 1);
        for (length, found) in [
            (0, "a file without a header"),
            (4, "a file without a header"),
            (whole / 2, "safetensors file"),
            (whole - 1, &short),
        ] {
            fs::write(&path, &good[..length]).unwrap();
            let error = CountTable::read(&shop, &path).unwrap_err();
            assert!(error.blames_input() && error.to_string().contains(found), "{error}");
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
