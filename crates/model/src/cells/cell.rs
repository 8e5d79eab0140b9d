use tandem_protocol::ItemId;

use super::reader::Reader;
use crate::{ItemTable, ModelError};

const MAGIC: [u8; 8] = *b"TNDMCEL1";

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

    /// Reads a cell as [`to_bytes`](Self::to_bytes) writes it.
    ///
    /// # Errors
    /// [`ModelError::Format`], [`ModelError::FormatVersion`], [`ModelError::Length`] or
    /// [`ModelError::NotFinite`] if the bytes are not a cell of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (mut reader, _) = Reader::new("cell", MAGIC, bytes)?;
        let (dims, items) = (reader.u32()?, reader.u32()?);
        let mut ids = Vec::new();
        for _ in 0..items {
            let length = reader.u16()?;
            let id = std::str::from_utf8(reader.take(usize::from(length))?);
            let id = id.map_err(|error| {
                ModelError::Format(format!("cell: item id: {error}; export it again"))
            })?;
            ids.push(ItemId::new(id));
        }
        let width = (dims as usize).saturating_add(4);
        let rows = reader.rest(width.saturating_mul(items as usize))?;
        let mut table = Vec::with_capacity(8 + rows.len());
        table.extend_from_slice(&items.to_le_bytes());
        table.extend_from_slice(&dims.to_le_bytes());
        table.extend_from_slice(rows);
        Self::new(ids, ItemTable::from_bytes(table)?)
    }

    /// The cell as a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(self.rows.dims() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.ids.len() as u32).to_le_bytes());
        for id in &self.ids {
            bytes.extend_from_slice(&(id.as_str().len() as u16).to_le_bytes());
            bytes.extend_from_slice(id.as_str().as_bytes());
        }
        bytes.extend_from_slice(self.rows.row_bytes());
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
