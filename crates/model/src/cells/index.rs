use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{
    cell::Cell,
    four_bits::{self, fits, pack, unpack},
    reader::Reader,
};
use crate::{ItemTable, ModelError, QuantisedRow, products::dot};

/// Version 1 stores 8 bits per value of a centroid, version 2 stores 4 bits.
const MAGIC: [u8; 8] = *b"TNDMCIX2";

/// Number of a cell in its [`CellIndex`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

/// What the index knows about a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellEntry {
    /// Vector that ranks the cell for a query; trained on queries, not the mean row.
    pub centroid: QuantisedRow,
    /// Number of items.
    pub items: u32,
    /// Size of the file in bytes.
    pub bytes: u32,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// The centroids and file hashes of all cells of an item table.
///
/// ```
/// use tandem_model::{ItemTable, QuantisedRow, cells::{Cell, CellEntry, CellId, CellIndex}};
///
/// let rows = ItemTable::quantise(&[1.0, 0.0, 0.9, 0.1], 2)?;
/// let file = Cell::new(vec!["a".into(), "b".into()], rows)?.to_bytes();
/// let centroid = QuantisedRow::quantise(&[0.95, 0.05])?;
/// let index = CellIndex::new(2, vec![CellEntry::new(centroid, 2, &file)])?;
///
/// let near = index.nearest(&[1.0, 0.0], 3)?;
/// assert_eq!(near, [CellId(0)]);
/// assert_eq!(index.open(CellId(0), &file)?.ids()[1].as_str(), "b");
/// # Ok::<(), tandem_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CellIndex {
    centroids: ItemTable,
    /// Items, bytes and SHA-256 of every cell.
    files: Vec<(u32, u32, [u8; 32])>,
}

impl CellEntry {
    /// The entry of a cell with this centroid and number of items, written as `file`
    /// ([`Cell::to_bytes`]).
    #[must_use]
    pub fn new(centroid: QuantisedRow, items: u32, file: &[u8]) -> Self {
        let bytes = u32::try_from(file.len()).unwrap_or(u32::MAX);
        Self { centroid, items, bytes, sha256: Sha256::digest(file).into() }
    }

    /// File name relative to the manifest: `cells/<sha256>`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("cells/{}", self.sha256_hex())
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hexadecimal(&self.sha256)
    }
}

impl CellIndex {
    /// An index of cells whose rows have `dims` values.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without cells, [`ModelError::Length`] for a centroid of another
    /// width.
    pub fn new(dims: usize, cells: Vec<CellEntry>) -> Result<Self, ModelError> {
        if cells.is_empty() {
            return Err(ModelError::Empty("the cell index"));
        }
        let mut centroids = ItemTable::new(dims)?;
        let mut files = Vec::with_capacity(cells.len());
        for cell in cells {
            centroids.push(&cell.centroid)?;
            files.push((cell.items, cell.bytes, cell.sha256));
        }
        Ok(Self { centroids, files })
    }

    /// Reads an index as [`to_bytes`](Self::to_bytes) writes it, of either version.
    ///
    /// # Errors
    /// [`ModelError::Format`], [`ModelError::FormatVersion`], [`ModelError::Length`],
    /// [`ModelError::Empty`] or [`ModelError::NotFinite`] if the bytes are not an index of this
    /// version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (mut reader, version) = Reader::new("cell index", MAGIC, bytes)?;
        let (dims, count, items) = (reader.u32()? as usize, reader.u32()?, reader.u32()?);
        let mut cells = Vec::new();
        for _ in 0..count {
            let centroid = if version == 1 {
                QuantisedRow::from_bytes(reader.take(dims.saturating_add(4))?, dims)?
            } else {
                let packed = reader.take(four_bits::width(dims))?;
                QuantisedRow::from_bytes(&unpack("cell index", packed, dims)?, dims)?
            };
            let (items, bytes, sha256) = (reader.u32()?, reader.u32()?, reader.sha256()?);
            cells.push(CellEntry { centroid, items, bytes, sha256 });
        }
        reader.rest(0)?;
        let index = Self::new(dims, cells)?;
        if index.items() != u64::from(items) {
            return Err(ModelError::Format(format!(
                "cell index: expected {items} items in all cells, found {}; export it again",
                index.items()
            )));
        }
        Ok(index)
    }

    /// The index as a file: version 2 if 4 bits are enough for the values of all centroids
    /// ([`QuantisedRow::quantise_to_4_bits`]), else version 1.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let packs = self.centroids.stored_rows().all(fits);
        let mut bytes = MAGIC.to_vec();
        bytes[7] = if packs { b'2' } else { b'1' };
        let items = u32::try_from(self.items()).unwrap_or(u32::MAX);
        for number in [self.dims() as u32, self.files.len() as u32, items] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (row, (items, file_bytes, sha256)) in self.centroids.stored_rows().zip(&self.files) {
            if packs {
                pack(row, &mut bytes);
            } else {
                bytes.extend_from_slice(&row.scale().to_le_bytes());
                bytes.extend_from_slice(row.quantised());
            }
            bytes.extend_from_slice(&items.to_le_bytes());
            bytes.extend_from_slice(&file_bytes.to_le_bytes());
            bytes.extend_from_slice(sha256);
        }
        bytes
    }

    /// The `n` cells whose centroids have the largest inner product with `query` `[dims]`,
    /// best first.
    ///
    /// # Errors
    /// As [`ItemTable::top_k`].
    pub fn nearest(&self, query: &[f32], n: usize) -> Result<Vec<CellId>, ModelError> {
        let hits = self.centroids.top_k(query, n, |_| true)?;
        Ok(hits.iter().map(|hit| CellId(hit.position as u32)).collect())
    }

    /// These cells in the order of [`nearest`](Self::nearest). Reads no other centroids, so it
    /// costs the less the fewer cells there are.
    ///
    /// # Errors
    /// [`ModelError::Length`] for a query of another width, [`ModelError::UnknownCell`] if there
    /// is no such cell.
    pub fn sorted(
        &self,
        query: &[f32],
        cells: impl IntoIterator<Item = CellId>,
    ) -> Result<Vec<CellId>, ModelError> {
        if query.len() != self.dims() {
            let (expected, found) = (self.dims(), query.len());
            return Err(ModelError::Length { what: "values of a query", expected, found });
        }
        let mut centroid = Vec::with_capacity(self.dims());
        let mut scored = Vec::new();
        for id in cells {
            centroid.clear();
            if !self.centroids.append_row(id.0 as usize, &mut centroid) {
                return Err(ModelError::UnknownCell { cell: id.0, cells: self.files.len() });
            }
            // Adding 0 turns −0 into 0: they are equal scores.
            scored.push((dot(query, &centroid) + 0.0, id));
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(scored.into_iter().map(|(_, id)| id).collect())
    }

    /// Reads the file of a cell after a check against the index.
    ///
    /// # Errors
    /// [`ModelError::UnknownCell`] if the index has no such cell, [`ModelError::Integrity`] if
    /// the bytes do not have the hash of the index, [`ModelError::Length`] if the cell has
    /// another width or number of items, and as [`Cell::from_bytes`].
    pub fn open(&self, id: CellId, bytes: &[u8]) -> Result<Cell, ModelError> {
        let entry = self.entry(id)?;
        let found: [u8; 32] = Sha256::digest(bytes).into();
        if found != entry.sha256 {
            return Err(ModelError::Integrity {
                expected: hexadecimal(&entry.sha256),
                found: hexadecimal(&found),
            });
        }
        let cell = Cell::from_bytes(bytes)?;
        for (what, expected, found) in [
            ("dimensions of a cell", self.dims(), cell.rows().dims()),
            ("items of a cell", entry.items as usize, cell.ids().len()),
        ] {
            if expected != found {
                return Err(ModelError::Length { what, expected, found });
            }
        }
        Ok(cell)
    }

    /// What the index knows about a cell.
    ///
    /// # Errors
    /// [`ModelError::UnknownCell`] if there is no such cell.
    pub fn entry(&self, id: CellId) -> Result<CellEntry, ModelError> {
        let unknown = ModelError::UnknownCell { cell: id.0, cells: self.files.len() };
        let (Some(&(items, bytes, sha256)), Some(centroid)) =
            (self.files.get(id.0 as usize), self.centroids.row(id.0 as usize))
        else {
            return Err(unknown);
        };
        Ok(CellEntry { centroid: centroid?, items, bytes, sha256 })
    }

    /// Size of a cell's file in bytes; 0 if there is no such cell.
    #[must_use]
    pub fn file_bytes(&self, id: CellId) -> usize {
        self.files.get(id.0 as usize).map_or(0, |(_, bytes, _)| *bytes as usize)
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no cells, which [`new`](Self::new) refuses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Number of items in all cells.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.files.iter().map(|(items, ..)| u64::from(*items)).sum()
    }

    /// Width of a row.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.centroids.dims()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
