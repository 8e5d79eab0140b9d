use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use tandem_model::{ItemTable, ModelError, QuantisedRow};
use tandem_protocol::{ItemId, ItemRow};

use crate::SessionError;

/// At most so many items outside a list are compared with it: the cost of a decision does
/// not grow with the catalogue.
const SAMPLE: usize = 1024;

/// The item rows a device holds: those it was sent, and the whole table if it has it.
///
/// Grows with what the visitor meets, never with the catalogue. Clones share the whole table.
#[derive(Clone, Debug)]
pub struct RowStore {
    dims: usize,
    pub(crate) whole: Option<Arc<(ItemTable, HashMap<ItemId, usize>)>>,
    pub(crate) met: HashMap<ItemId, QuantisedRow>,
    /// Of the whole table, for [`sample`](Self::sample).
    sample: Arc<[ItemId]>,
}

impl RowStore {
    /// No rows yet, each of `dims` values.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self { dims, whole: None, met: HashMap::new(), sample: Arc::default() }
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
        // Of positions 0, 1, … those at which one of the `SAMPLE` shares of the table begins.
        let share = |at: usize| (at as u64 * SAMPLE as u64) / (table.len() as u64).max(1);
        let begins = |at: usize| at == 0 || table.len() <= SAMPLE || share(at) != share(at - 1);
        let mut sample = Vec::new();
        let mut positions = HashMap::new();
        for (at, item) in items.into_iter().enumerate() {
            if begins(at) {
                sample.push(item.clone());
            }
            positions.insert(item, at);
        }
        if positions.len() != table.len() {
            return Err(SessionError::Model(ModelError::Length {
                what: "names of the item table's rows",
                expected: table.len(),
                found: positions.len(),
            }));
        }
        let dims = table.dims();
        let whole = Some(Arc::new((table, positions)));
        Ok(Self { dims, whole, met: HashMap::new(), sample: sample.into() })
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

    /// At most [`SAMPLE`] of the items whose rows are here, the same each time: spread evenly
    /// over the whole table if it is here, else the first by name of those that were met.
    pub(crate) fn sample(&self) -> Vec<ItemId> {
        if self.whole.is_some() {
            return self.sample.to_vec();
        }
        let mut met: Vec<&ItemId> = self.met.keys().collect();
        met.sort_unstable();
        met.into_iter().take(SAMPLE).cloned().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn store(items: usize) -> RowStore {
        let table = ItemTable::quantise(&vec![0.5; items], 1).unwrap();
        RowStore::whole(table, (0..items).map(|item| ItemId::new(item.to_string()))).unwrap()
    }

    #[test]
    fn a_sample_is_spread_evenly_and_bounded() {
        assert_eq!(store(3).sample().len(), 3);
        assert_eq!(store(SAMPLE).sample().len(), SAMPLE);
        let of_more = store(SAMPLE * 5 / 2).sample();
        let first: Vec<&str> = of_more.iter().take(5).map(ItemId::as_str).collect();
        // Shares of 2½ items begin at 0, 2½, 5, 7½, 10, each with the next whole item.
        assert_eq!((of_more.len(), first), (SAMPLE, vec!["0", "3", "5", "8", "10"]));
    }

    #[test]
    fn of_rows_that_were_met_a_sample_does_not_depend_on_their_order() {
        let met = |items: [&str; 3]| {
            let mut store = RowStore::new(1);
            for item in items {
                let row = QuantisedRow::quantise(&[1.0]).unwrap();
                store.add(&encode_row(ItemId::new(item), &row)).unwrap();
            }
            store.sample()
        };
        assert_eq!(met(["b", "c", "a"]), met(["c", "a", "b"]));
    }
}
