/// Settings of [`build_cells`](super::build_cells).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellsConfig {
    /// Maximum size of a cell file in bytes; a cell with a single item may be larger.
    pub max_bytes: usize,
    /// Number of clusters before those that are too large are split; by default the number that
    /// minimises the bytes of the index and of `probes` cells of mean size.
    pub cells: Option<usize>,
    /// Number of cells that a device loads for the first query.
    pub probes: usize,
    /// Lloyd iterations of k-means.
    pub iterations: usize,
    /// Random seed.
    pub seed: u64,
}

impl Default for CellsConfig {
    fn default() -> Self {
        Self { max_bytes: 65_536, cells: None, probes: 2, iterations: 8, seed: 7 }
    }
}
