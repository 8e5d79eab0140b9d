use tandem_model::cells::Cell;

/// Precision of the rows in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellRows {
    /// 5 bits per value, of the difference from the mean row of the cell
    /// ([`Cell::to_packed_bytes`]): cells of two thirds of the size, whose items change places
    /// with others that score nearly alike.
    FiveBits,
    /// 8 bits per value, as in the item table.
    EightBits,
}

impl CellRows {
    /// Bytes of a row of `dims` values.
    pub(super) fn width(self, dims: usize) -> usize {
        match self {
            Self::FiveBits => Cell::packed_row_bytes(dims),
            Self::EightBits => 4 + dims,
        }
    }
}

/// Settings of [`build_cells`](super::build_cells).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellsConfig {
    /// Maximum size of a cell file in bytes; a cell with a single item may be larger.
    pub max_bytes: usize,
    /// Number of nearest cells in which a query should find its best items. The index is trained
    /// for it, and the number of clusters minimises the bytes of the index and of this number of
    /// cells of mean size. A device loads the nearest four first, or 192 KB of them, and after
    /// each later click those of the nearest two, or of 64 KB, that it lacks.
    pub probes: usize,
    /// How the rows in cells are stored.
    pub rows: CellRows,
    /// Random seed.
    pub seed: u64,
}

impl Default for CellsConfig {
    fn default() -> Self {
        Self { max_bytes: 65_536, probes: 2, rows: CellRows::EightBits, seed: 7 }
    }
}
