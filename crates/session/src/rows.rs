use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use tandem_model::{ItemTable, ModelError, QuantisedRow};
use tandem_protocol::{ItemId, ItemRow};

use crate::SessionError;

/// The item rows a device holds: those it was sent, and the whole table if it has it.
///
/// Grows with what the visitor meets, never with the catalogue. Clones share the whole table.
#[derive(Clone, Debug)]
pub struct RowStore {
    dims: usize,
    pub(crate) whole: Option<Arc<(ItemTable, HashMap<ItemId, usize>)>>,
    pub(crate) met: HashMap<ItemId, QuantisedRow>,
}

impl RowStore {
    /// No rows yet, each of `dims` values.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self { dims, whole: None, met: HashMap::new() }
    }

    /// The whole table, for small catalogues and for work without a network. `items` names
    /// its rows in order.
    ///
    /// # Errors
    /// [`ModelError::Length`] if there are not as many names as rows.
    pub fn whole(
        table: ItemTable,
        items: impl IntoIterator<Item = ItemId>,
    ) -> Result<Self, SessionError> {
        let positions: HashMap<ItemId, usize> =
            items.into_iter().enumerate().map(|(at, item)| (item, at)).collect();
        if positions.len() != table.len() {
            return Err(SessionError::Model(ModelError::Length {
                what: "names of the item table's rows",
                expected: table.len(),
                found: positions.len(),
            }));
        }
        let dims = table.dims();
        Ok(Self { dims, whole: Some(Arc::new((table, positions))), met: HashMap::new() })
    }

    /// Whether it holds the whole catalogue.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Keeps a row that came from the server.
    ///
    /// # Errors
    /// [`SessionError::Row`] or [`SessionError::Model`] if it cannot be read.
    pub fn add(&mut self, row: &ItemRow) -> Result<(), SessionError> {
        let decoded = decode_row(row, self.dims)?;
        self.met.insert(row.item.clone(), decoded);
        Ok(())
    }

    /// Whether the item's row is here.
    #[must_use]
    pub fn contains(&self, item: &ItemId) -> bool {
        let in_whole = self.whole.as_ref().is_some_and(|whole| whole.1.contains_key(item));
        in_whole || self.met.contains_key(item)
    }

    /// Appends the item's values `[dims]` to `out` and says whether it is here.
    pub(crate) fn gather(&self, item: &ItemId, out: &mut Vec<f32>) -> bool {
        if let Some(row) = self.met.get(item) {
            out.extend(row.values());
            return true;
        }
        let row = self.whole.as_ref().and_then(|whole| {
            let (table, positions) = whole.as_ref();
            table.row(*positions.get(item)?)
        });
        match row {
            Some(Ok(row)) => {
                out.extend(row.values());
                true
            }
            _ => false,
        }
    }

    pub(crate) fn dims(&self) -> usize {
        self.dims
    }
}

/// Reads a row as it crosses the wire ([`ItemRow::row`]).
///
/// # Errors
/// [`SessionError::Row`] if it is not Base64, [`SessionError::Model`] if it is not a row of
/// `dims` values.
pub fn decode_row(row: &ItemRow, dims: usize) -> Result<QuantisedRow, SessionError> {
    let bytes = STANDARD.decode(&row.row).map_err(|error| SessionError::Row {
        item: row.item.to_string(),
        reason: error.to_string(),
    })?;
    Ok(QuantisedRow::from_bytes(&bytes, dims)?)
}

/// Writes a row as it crosses the wire.
#[must_use]
pub fn encode_row(item: ItemId, row: &QuantisedRow) -> ItemRow {
    let mut bytes = Vec::with_capacity(4 + row.dims());
    row.write(&mut bytes);
    ItemRow { item, row: STANDARD.encode(bytes) }
}
