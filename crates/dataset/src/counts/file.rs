//! The file of a [`CountTable`].

use std::{collections::HashMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{CountOptions, CountTable};
use crate::{Catalogue, DatasetError, ItemIndex, files::write_atomically};

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
        let mut starts = vec![0_u64];
        let (mut targets, mut weights) = (Vec::new(), Vec::new());
        for row in &self.rows {
            for (target, weight) in row {
                targets.extend(target.0.to_le_bytes());
                weights.extend(weight.to_le_bytes());
            }
            starts.push((weights.len() / 4) as u64);
        }
        let starts: Vec<u8> = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
        let popularity: Vec<u8> = self.popularity.iter().flat_map(|it| it.to_le_bytes()).collect();
        let view = |dtype: Dtype, bytes| TensorView::new(dtype, vec![len(bytes, dtype)], bytes);
        let tensors = [
            ("starts", view(Dtype::U64, &starts)),
            ("targets", view(Dtype::U32, &targets)),
            ("weights", view(Dtype::F32, &weights)),
            ("popularity", view(Dtype::F32, &popularity)),
        ];
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
        let file = tensors
            .into_iter()
            .map(|(name, view)| Ok((name, view?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|tensors| safetensors::serialize(tensors, Some(facts)))
            .map_err(|error| refused(path, "a valid file", &error))?;
        write_atomically(path, &file).map_err(DatasetError::io("write", path))
    }

    /// Reads a table of this catalogue.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be read, [`DatasetError::Vectors`] if it is
    /// damaged, of another format or of another catalogue.
    pub fn read(catalogue: &Catalogue, path: &Path) -> Result<Self, DatasetError> {
        let bytes = fs::read(path).map_err(DatasetError::io("read", path))?;
        let damaged =
            |error: safetensors::SafeTensorError| refused(path, "a safetensors file", &error);
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
        let good = |row: &Vec<(ItemIndex, f32)>| {
            row.windows(2).all(|pair| pair[0].0 < pair[1].0)
                && row.iter().all(|(to, weight)| {
                    to.position() < items && weight.is_finite() && *weight >= 0.0
                })
        };
        let counted = popularity.iter().all(|count| count.is_finite() && *count >= 0.0);
        if !(rows.iter().all(good) && counted) {
            return Err(refused(
                path,
                "weights of at least 0 towards items of the catalogue, in order",
                &"others",
            ));
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

fn len(bytes: &[u8], dtype: Dtype) -> usize {
    bytes.len() * 8 / dtype.bitsize()
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
