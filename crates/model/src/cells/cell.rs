use tandem_protocol::ItemId;

use super::{four_bits, ids, packed, reader::Reader};
use crate::{ItemTable, ModelError};

/// Version 1 stores 8 bits per value of a row, version 2 stores 4 bits. Version 3 stores 5 bits
/// of the difference from the mean row, and ids by what they do not share.
const MAGIC: [u8; 8] = *b"TNDMCEL3";

/// A part of the item table, with the ids of its items.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    ids: Vec<ItemId>,
    rows: ItemTable,
}

impl Cell {
    /// A cell of these items and their rows.
    ///
    /// # Errors
    /// [`ModelError::Length`] if there are not as many ids as rows or an id is longer than
    /// 65,535 bytes, [`ModelError::NotFinite`] if the scale of a row is not finite.
    pub fn new(ids: Vec<ItemId>, rows: ItemTable) -> Result<Self, ModelError> {
        if ids.len() != rows.len() {
            return Err(ModelError::Length {
                what: "ids of a cell",
                expected: rows.len(),
                found: ids.len(),
            });
        }
        let most = usize::from(u16::MAX);
        if let Some(id) = ids.iter().find(|id| id.as_str().len() > most) {
            let found = id.as_str().len();
            return Err(ModelError::Length { what: "bytes of an item id", expected: most, found });
        }
        if rows.stored_rows().any(|row| !row.scale().is_finite()) {
            return Err(ModelError::NotFinite { what: "scale of a row in a cell".into() });
        }
        Ok(Self { ids, rows })
    }

    /// Reads a cell of any version.
    ///
    /// # Errors
    /// [`ModelError::Format`], [`ModelError::FormatVersion`], [`ModelError::Length`] or
    /// [`ModelError::NotFinite`] if the bytes are not a cell of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (mut reader, version) = Reader::new("cell", MAGIC, bytes)?;
        let (dims, items) = (reader.u32()?, reader.u32()?);
        if version == 3 {
            let ids = ids::read(&mut reader, items)?;
            return Self::new(ids, packed::unpack(reader, items as usize, dims as usize)?);
        }
        let mut ids = Vec::new();
        for _ in 0..items {
            let length = reader.u16()?;
            let id = std::str::from_utf8(reader.take(usize::from(length))?);
            let id = id.map_err(|error| {
                ModelError::Format(format!("cell: item id: {error}; export it again"))
            })?;
            ids.push(ItemId::new(id));
        }
        let wide = dims as usize;
        let width = if version == 1 { wide.saturating_add(4) } else { four_bits::width(wide) };
        let rows = reader.rest(width.saturating_mul(items as usize))?;
        let mut table = [items.to_le_bytes(), dims.to_le_bytes()].concat();
        if version == 1 {
            table.extend_from_slice(rows);
        } else {
            for row in rows.chunks_exact(width) {
                table.extend(four_bits::unpack("cell", row, wide)?);
            }
        }
        Self::new(ids, ItemTable::from_bytes(table)?)
    }

    /// The cell as a file that has its rows exactly.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header(1);
        for id in &self.ids {
            bytes.extend_from_slice(&(id.as_str().len() as u16).to_le_bytes());
            bytes.extend_from_slice(id.as_str().as_bytes());
        }
        bytes.extend_from_slice(self.rows.row_bytes());
        bytes
    }

    /// The cell as a file with 5 bits per value, which has its rows nearly: the error of a value is
    /// at most a thirtieth of the row's largest difference from the mean of the cell. Ids take the
    /// fewest bytes if they are sorted.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] for rows so large that their mean is not finite.
    pub fn to_packed_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut bytes = self.header(3);
        ids::write(&self.ids, &mut bytes);
        packed::pack(&self.rows, &mut bytes)?;
        Ok(bytes)
    }

    /// Bytes of a row of `dims` values in [`to_packed_bytes`](Self::to_packed_bytes).
    #[must_use]
    pub fn packed_row_bytes(dims: usize) -> usize {
        packed::width(dims)
    }

    fn header(&self, version: u8) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes[7] = b'0' + version;
        bytes.extend_from_slice(&(self.rows.dims() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.ids.len() as u32).to_le_bytes());
        bytes
    }

    /// The ids of the items, in the order of the rows.
    #[must_use]
    pub fn ids(&self) -> &[ItemId] {
        &self.ids
    }

    /// The rows, for [`Search::scan`](crate::search::Search::scan).
    #[must_use]
    pub fn rows(&self) -> &ItemTable {
        &self.rows
    }
}
