use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tandem_model::{
    ModelError,
    cells::{Cell, CellId, CellIndex},
};
use tandem_protocol::ItemId;

/// Default of the memory for cells, in bytes.
pub const DEFAULT_CELL_MEMORY: usize = 8 << 20;

/// Memory per item of a cell beside its row and the text of its id, in bytes, about: the id in
/// the cell and in the map of positions.
const BYTES_PER_ITEM: usize = 96;

/// Memory per byte of a cell's file, about: files have 4 bits per value, memory has 8, and the
/// map of positions.
const MEMORY_PER_FILE: usize = 8;

/// Maximum number of cells that are nearest.
const MAX_NEAREST: usize = 64;

/// Which cells are the nearest to a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    /// Number of cells, at least.
    pub(crate) cells: usize,
    /// Further ones, as long as the files of all of them have no more bytes.
    pub(crate) bytes: usize,
}

/// The cells of a large catalogue that are here, within a memory bound. The least recently
/// used cell is dropped first.
#[derive(Clone, Debug)]
pub(crate) struct CellStore {
    index: Arc<CellIndex>,
    held: BTreeMap<CellId, HeldCell>,
    /// The cell and the position in it of each item.
    positions: HashMap<ItemId, (CellId, usize)>,
    bytes: usize,
    max_bytes: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Clone, Debug)]
struct HeldCell {
    cell: Arc<Cell>,
    bytes: usize,
    /// When it was used last.
    used: u64,
}

impl CellStore {
    pub(crate) fn new(index: CellIndex, max_bytes: usize) -> Self {
        Self {
            index: Arc::new(index),
            held: BTreeMap::new(),
            positions: HashMap::new(),
            bytes: 0,
            max_bytes,
            clock: 0,
        }
    }

    pub(crate) fn dims(&self) -> usize {
        self.index.dims()
    }

    /// Those of the cells nearest to `query` that are not here. The others count as used.
    pub(crate) fn wanted(
        &mut self,
        query: &[f32],
        near: Nearest,
    ) -> Result<Vec<CellId>, ModelError> {
        let mut nearest = self.index.nearest(query, near.cells.max(MAX_NEAREST))?;
        // Cells that do not fit would be dropped and fetched again and again.
        let mut bytes = near.bytes.min(self.max_bytes / MEMORY_PER_FILE);
        let mut count = 0;
        for id in &nearest {
            let size = self.index.file_bytes(*id);
            if count >= near.cells && size > bytes {
                break;
            }
            bytes = bytes.saturating_sub(size);
            count += 1;
        }
        nearest.truncate(count);
        self.clock += 1;
        nearest.retain(|id| match self.held.get_mut(id) {
            Some(held) => {
                held.used = self.clock;
                false
            }
            None => true,
        });
        Ok(nearest)
    }

    /// The nearest cells to `query` that are not here, with at most `bytes` or one cell. All
    /// cells that are nearer stay within the memory bound together with them, and those that are
    /// here count as used.
    pub(crate) fn further(
        &mut self,
        query: &[f32],
        bytes: usize,
        is_usable: impl Fn(CellId) -> bool,
    ) -> Result<Vec<CellId>, ModelError> {
        let mut memory = self.max_bytes / MEMORY_PER_FILE;
        let (mut bytes, mut further) = (bytes, Vec::new());
        self.clock += 1;
        let nearest = self.index.nearest(query, self.index.len())?;
        for id in nearest.into_iter().filter(|id| is_usable(*id)) {
            let size = self.index.file_bytes(id);
            if size > memory {
                break;
            }
            memory -= size;
            if let Some(held) = self.held.get_mut(&id) {
                held.used = self.clock;
                continue;
            }
            if size > bytes && !further.is_empty() {
                break;
            }
            bytes = bytes.saturating_sub(size);
            further.push(id);
        }
        Ok(further)
    }

    /// Checks and keeps a cell. Drops the least recently used ones beyond the memory bound, but
    /// never this one.
    pub(crate) fn accept(&mut self, id: CellId, file: &[u8]) -> Result<(), ModelError> {
        let cell = Arc::new(self.index.open(id, file)?);
        self.remove(id);
        let names: usize = cell.ids().iter().map(|item| item.as_str().len()).sum();
        let bytes = cell.rows().as_bytes().len() + names + cell.ids().len() * BYTES_PER_ITEM;
        self.bytes += bytes;
        self.clock += 1;
        for (position, item) in cell.ids().iter().enumerate() {
            self.positions.insert(item.clone(), (id, position));
        }
        self.held.insert(id, HeldCell { cell, bytes, used: self.clock });
        while self.bytes > self.max_bytes && self.held.len() > 1 {
            let oldest = self.held.iter().min_by_key(|(_, held)| held.used).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            self.remove(oldest);
        }
        Ok(())
    }

    fn remove(&mut self, id: CellId) {
        let Some(held) = self.held.remove(&id) else { return };
        self.bytes -= held.bytes;
        for item in held.cell.ids() {
            if self.positions.get(item).is_some_and(|(cell, _)| *cell == id) {
                self.positions.remove(item);
            }
        }
    }

    /// The cells that are here, the nearest to `query` first.
    pub(crate) fn nearest_held(&self, query: &[f32]) -> Result<Vec<(CellId, &Cell)>, ModelError> {
        let nearest = self.index.sorted(query, self.held.keys().copied())?;
        Ok(nearest.iter().filter_map(|id| Some((*id, &*self.held.get(id)?.cell))).collect())
    }

    /// Number of cells that are here, and the memory that they take in bytes.
    pub(crate) fn usage(&self) -> (usize, usize) {
        (self.held.len(), self.bytes)
    }

    /// The number of the item's cell and its position in it.
    pub(crate) fn position(&self, item: &ItemId) -> Option<(CellId, usize)> {
        self.positions.get(item).copied()
    }

    /// The cell of an item and its position in it.
    pub(crate) fn find(&self, item: &ItemId) -> Option<(&Cell, usize)> {
        let (id, position) = self.positions.get(item)?;
        Some((&self.held.get(id)?.cell, *position))
    }

    pub(crate) fn index(&self) -> &CellIndex {
        &self.index
    }
}
