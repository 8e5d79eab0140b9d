use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tandem_model::{ItemTable, ModelError, QuantisedRow, cells::CellIndex};
use tandem_protocol::{ItemId, ItemRow};

use crate::{SessionError, cell_store::CellStore};

/// Maximum number of items outside a list that are compared with it: the cost of a decision
/// does not grow with the catalogue.
const SAMPLE: usize = 1024;

/// Maximum number of rows that are kept only because the site allows their items.
const MAX_ALLOWED_ROWS: usize = 5_000;

/// The item rows that a device holds: those it was sent, and the whole table or some cells of
/// it.
///
/// Grows with what the visitor meets, never with the catalogue; cells stay within a memory
/// bound. Clones share tables and cells.
#[derive(Clone, Debug)]
pub struct RowStore {
    dims: usize,
    whole: Option<Arc<WholeTable>>,
    cells: Option<CellStore>,
    /// Rows that the server sent or that were copied out of cells, by item.
    kept_rows: BTreeMap<ItemId, QuantisedRow>,
    /// Those of the kept rows that were requested only because the site allows their items.
    allowed_rows: HashSet<ItemId>,
    /// Rows of items that were chosen near the newest ones of the history.
    counted_rows: HashMap<ItemId, QuantisedRow>,
    /// Items for which the server has no row.
    unknown: HashSet<ItemId>,
}

/// The rows of the whole catalogue.
#[derive(Debug)]
struct WholeTable {
    table: ItemTable,
    /// Names of the rows, in order.
    items: Vec<ItemId>,
    positions: HashMap<ItemId, usize>,
}

impl RowStore {
    /// An empty store of rows with `dims` values each.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self {
            dims,
            whole: None,
            cells: None,
            kept_rows: BTreeMap::new(),
            allowed_rows: HashSet::new(),
            counted_rows: HashMap::new(),
            unknown: HashSet::new(),
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
        let items: Vec<ItemId> = items.into_iter().collect();
        let positions: HashMap<ItemId, usize> = items.iter().cloned().zip(0..).collect();
        if items.len() != table.len() || positions.len() != table.len() {
            return Err(SessionError::Model(ModelError::Length {
                what: "names of the item table's rows",
                expected: table.len(),
                found: positions.len(),
            }));
        }
        let dims = table.dims();
        let whole = Some(Arc::new(WholeTable { table, items, positions }));
        Ok(Self { whole, ..Self::new(dims) })
    }

    /// No rows yet, and the index of the cells in which they can be fetched. Cells take at most
    /// `max_bytes` of memory ([`DEFAULT_CELL_MEMORY`](crate::DEFAULT_CELL_MEMORY)); one cell is
    /// kept in any case.
    #[must_use]
    pub fn with_cells(index: CellIndex, max_bytes: usize) -> Self {
        let cells = CellStore::new(index, max_bytes);
        Self { dims: cells.dims(), cells: Some(cells), ..Self::new(0) }
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
        for (item, row) in self.decode(rows)? {
            self.allowed_rows.remove(&item);
            self.kept_rows.insert(item, row);
        }
        Ok(())
    }

    /// Keeps rows that were requested only because the site allows their items, or none of them
    /// if one cannot be read. Beyond [`MAX_ALLOWED_ROWS`] it drops those of items that
    /// `is_allowed` no longer allows.
    pub(crate) fn add_allowed(
        &mut self,
        rows: &[ItemRow],
        is_allowed: impl Fn(&ItemId) -> bool,
    ) -> Result<(), SessionError> {
        let decoded = self.decode(rows)?;
        if self.allowed_rows.len() + decoded.len() > MAX_ALLOWED_ROWS {
            let kept_rows = &mut self.kept_rows;
            self.allowed_rows.retain(|item| {
                let stays = is_allowed(item);
                if !stays {
                    kept_rows.remove(item);
                }
                stays
            });
        }
        for (item, row) in decoded {
            if self.kept_rows.insert(item.clone(), row).is_none() {
                self.allowed_rows.insert(item);
            }
        }
        Ok(())
    }

    /// Keeps rows of items that were chosen near the history, or none of them if one cannot be
    /// read. They are no finds of a search.
    pub(crate) fn add_counted(&mut self, rows: &[ItemRow]) -> Result<(), SessionError> {
        let decoded = self.decode(rows)?;
        self.counted_rows.extend(decoded);
        Ok(())
    }

    /// Drops the other rows of items that were chosen near the history.
    pub(crate) fn retain_counted(&mut self, is_used: impl Fn(&ItemId) -> bool) {
        self.counted_rows.retain(|item, _| is_used(item));
    }

    fn decode(&self, rows: &[ItemRow]) -> Result<Vec<(ItemId, QuantisedRow)>, SessionError> {
        rows.iter().map(|row| Ok((row.item.clone(), decode_row(row, self.dims)?))).collect()
    }

    /// Marks those of the requested items that still have no row as unknown to the server.
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
        self.is_in_table(item)
            || self.kept_rows.contains_key(item)
            || self.counted_rows.contains_key(item)
    }

    /// At most [`SAMPLE`] of the items whose rows are here, the same each time: spread evenly
    /// over the whole table if it is here, else the first by id of the kept rows.
    pub(crate) fn sample(&self) -> Vec<ItemId> {
        let Some((_, items)) = self.whole_table() else {
            let sampled = self.kept_rows.keys().filter(|item| !self.allowed_rows.contains(*item));
            return sampled.take(SAMPLE).cloned().collect();
        };
        let slices = items.len().min(SAMPLE);
        // The first item of each of `SAMPLE` equal slices.
        let first = |slice: usize| (slice as u64 * items.len() as u64).div_ceil(slices as u64);
        (0..slices).map(|slice| items[first(slice) as usize].clone()).collect()
    }

    /// The whole table with the names of its rows, if it is here.
    pub(crate) fn whole_table(&self) -> Option<(&ItemTable, &[ItemId])> {
        self.whole.as_ref().map(|whole| (&whole.table, &whole.items[..]))
    }

    /// Items whose rows the server sent or that were copied out of cells, in order of their ids.
    pub(crate) fn kept_items(&self) -> impl Iterator<Item = &ItemId> {
        self.kept_rows.keys()
    }

    /// Whether the item has a row in the whole table or in a cell that is here.
    pub(crate) fn is_in_table(&self, item: &ItemId) -> bool {
        self.position(item).is_some()
    }

    /// The number of the item's cell (0 in the whole table), and the position of its row in it.
    pub(crate) fn position(&self, item: &ItemId) -> Option<(u32, usize)> {
        if let Some(whole) = &self.whole {
            return whole.positions.get(item).map(|position| (0, *position));
        }
        self.cells.as_ref()?.position(item).map(|(id, position)| (id.0, position))
    }

    /// The cells, for a large catalogue.
    pub(crate) fn cells(&self) -> Option<&CellStore> {
        self.cells.as_ref()
    }

    /// The cells, for a large catalogue.
    pub(crate) fn cells_mut(&mut self) -> Option<&mut CellStore> {
        self.cells.as_mut()
    }

    /// Copies the item's row out of its cell or the rows of counted items, so that it stays when
    /// these are dropped.
    pub(crate) fn keep(&mut self, item: &ItemId) {
        self.allowed_rows.remove(item);
        if self.kept_rows.contains_key(item) {
            return;
        }
        if let Some(row) = self.counted_rows.get(item) {
            self.kept_rows.insert(item.clone(), row.clone());
            return;
        }
        let found = self.cells.as_ref().and_then(|cells| cells.find(item));
        if let Some(Ok(row)) = found.and_then(|(cell, position)| cell.rows().row(position)) {
            self.kept_rows.insert(item.clone(), row);
        }
    }

    /// Whether no row of the item can be had: it is not in the whole table, or the server does
    /// not know it.
    pub(crate) fn is_unknown(&self, item: &ItemId) -> bool {
        !self.contains(item) && (self.is_whole() || self.unknown.contains(item))
    }

    /// The item's row that the server sent or that was copied out of a cell.
    pub(crate) fn kept_row(&self, item: &ItemId) -> Option<&QuantisedRow> {
        self.kept_rows.get(item)
    }

    /// Appends the item's values `[dims]` to `out`. Returns whether its row is here.
    pub(crate) fn gather(&self, item: &ItemId, out: &mut Vec<f32>) -> bool {
        if let Some(row) = self.kept_rows.get(item).or_else(|| self.counted_rows.get(item)) {
            out.extend(row.values());
            return true;
        }
        if let Some(whole) = &self.whole {
            let position = whole.positions.get(item);
            return position.is_some_and(|position| whole.table.append_row(*position, out));
        }
        let found = self.cells.as_ref().and_then(|cells| cells.find(item));
        found.is_some_and(|(cell, position)| cell.rows().append_row(position, out))
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
        let sample = |items: [&str; 3]| {
            let mut store = RowStore::new(1);
            for item in items {
                let row = QuantisedRow::quantise(&[1.0]).unwrap();
                store.add(&encode_row(ItemId::new(item), &row)).unwrap();
            }
            store.sample()
        };
        assert_eq!(sample(["b", "c", "a"]), sample(["c", "a", "b"]));
    }
}
