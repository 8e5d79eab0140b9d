use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tandem_model::{ItemTable, ModelError, QuantisedRow};
use tandem_protocol::{ItemId, ItemRow};

use crate::SessionError;

/// Maximum number of items outside a list that are compared with it: the cost of a decision
/// does not grow with the catalogue.
const SAMPLE: usize = 1024;

/// The item rows that a device holds: those it was sent, and the whole table if it has it.
///
/// Grows with what the visitor meets, never with the catalogue. Clones share the whole table.
#[derive(Clone, Debug)]
pub struct RowStore {
    dims: usize,
    whole: Option<Arc<WholeTable>>,
    /// Rows that came from the server.
    met: HashMap<ItemId, QuantisedRow>,
    /// Items for which the server has no row.
    unknown: HashSet<ItemId>,
    /// Items of the whole table, for [`sample`](Self::sample).
    sample: Arc<[ItemId]>,
}

/// The rows of the whole catalogue.
#[derive(Debug)]
struct WholeTable {
    table: ItemTable,
    positions: HashMap<ItemId, usize>,
}

impl RowStore {
    /// An empty store of rows with `dims` values each.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self {
            dims,
            whole: None,
            met: HashMap::new(),
            unknown: HashSet::new(),
            sample: Arc::default(),
        }
    }

    /// The whole table, for small catalogues and for work without a network. `items` are the
    /// names of its rows in order.
    ///
    /// # Errors
    /// [`ModelError::Length`] if there are not as many names as rows.
    pub fn whole(
        table: ItemTable,
        items: impl IntoIterator<Item = ItemId>,
    ) -> Result<Self, SessionError> {
        // True for the first item of each of `SAMPLE` equal slices of the table.
        let slice = |at: usize| (at as u64 * SAMPLE as u64) / (table.len() as u64).max(1);
        let is_first = |at: usize| at == 0 || table.len() <= SAMPLE || slice(at) != slice(at - 1);
        let mut sample = Vec::new();
        let mut positions = HashMap::new();
        for (at, item) in items.into_iter().enumerate() {
            if is_first(at) {
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
        let whole = Some(Arc::new(WholeTable { table, positions }));
        Ok(Self { whole, sample: sample.into(), ..Self::new(dims) })
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
        self.add_all(std::slice::from_ref(row))
    }

    /// Keeps rows that came from the server, or none of them if one cannot be read.
    pub(crate) fn add_all(&mut self, rows: &[ItemRow]) -> Result<(), SessionError> {
        let decode = |row: &ItemRow| Ok((row.item.clone(), decode_row(row, self.dims)?));
        let decoded: Vec<_> = rows.iter().map(decode).collect::<Result<_, SessionError>>()?;
        self.met.extend(decoded);
        Ok(())
    }

    /// Records that the server was asked for these rows: it has no others of them.
    pub(crate) fn note_unknown(&mut self, requested: &[ItemId]) {
        let without = requested.iter().filter(|item| !self.contains(item)).cloned();
        let without: Vec<ItemId> = without.collect();
        self.unknown.extend(without);
    }

    /// Whether the item's row is not here and the server may have it.
    pub(crate) fn is_missing(&self, item: &ItemId) -> bool {
        !self.contains(item) && !self.unknown.contains(item)
    }

    /// Whether the item's row is here.
    #[must_use]
    pub fn contains(&self, item: &ItemId) -> bool {
        let in_whole = self.whole.as_ref().is_some_and(|whole| whole.positions.contains_key(item));
        in_whole || self.met.contains_key(item)
    }

    /// At most [`SAMPLE`] of the items whose rows are here, the same each time: spread evenly
    /// over the whole table if it is here, else the first by name of those that were sent.
    pub(crate) fn sample(&self) -> Vec<ItemId> {
        if self.whole.is_some() {
            return self.sample.to_vec();
        }
        let mut met: Vec<&ItemId> = self.met.keys().collect();
        met.sort_unstable();
        met.into_iter().take(SAMPLE).cloned().collect()
    }

    /// The row that the server sent for an item.
    pub(crate) fn met(&self, item: &ItemId) -> Option<&QuantisedRow> {
        self.met.get(item)
    }

    /// Appends the item's values `[dims]` to `out`. Returns whether its row is here.
    pub(crate) fn gather(&self, item: &ItemId, out: &mut Vec<f32>) -> bool {
        if let Some(row) = self.met.get(item) {
            out.extend(row.values());
            return true;
        }
        let row = self.whole.as_ref().and_then(|whole| {
            let position = whole.positions.get(item)?;
            whole.table.row(*position)
        });
        match row {
            Some(Ok(row)) => {
                out.extend(row.values());
                true
            }
            _ => false,
        }
    }

    /// Calls `take` with every item here and its values `[dims]`, which it may change.
    pub(crate) fn for_each(&self, mut take: impl FnMut(&ItemId, &mut [f32])) {
        let mut values = vec![0.0; self.dims];
        let mut give = |item: &ItemId, row: &QuantisedRow| {
            for (value, held) in values.iter_mut().zip(row.values()) {
                *value = held;
            }
            take(item, &mut values);
        };
        for (item, row) in &self.met {
            give(item, row);
        }
        let Some(whole) = &self.whole else { return };
        for (item, &position) in &whole.positions {
            if self.met.contains_key(item) {
                continue;
            }
            if let Some(Ok(row)) = whole.table.row(position) {
                give(item, &row);
            }
        }
    }

    pub(crate) fn dims(&self) -> usize {
        self.dims
    }
}

/// Decodes a row from its wire format ([`ItemRow::row`]).
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

/// Encodes a row in its wire format.
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
        // Slices of 2.5 items start at 0, 2.5, 5, 7.5, 10, each at the next whole item.
        assert_eq!((of_more.len(), first), (SAMPLE, vec!["0", "3", "5", "8", "10"]));
    }

    #[test]
    fn a_sample_does_not_depend_on_the_order_in_which_rows_came() {
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
