//! An index of a large catalogue for item-token models: a list then costs about the same for a
//! million items as for a hundred thousand.
//!
//! Every part of the [score](crate::ranking_signals) but the counts is a dot product of a vector
//! of the visitor and a row of the item, so the whole score is one dot product of joined vectors.
//! The joined rows are clustered into cells (an inverted file: Sivic & Zisserman 2003; Jégou et
//! al. 2011, §IV). A query visits the cells in the order of the score of their mean
//! row, until it has seen [`IndexOptions::visited`] rows. What it finds, and the items
//! with counts, are scored exactly.
//!
//! - **Standard deviations** over the catalogue, which the formula divides by, follow from the
//!   covariance of the rows: `σ² = vᵀ·C·v` for a visitor's vector `v`.
//! - **Log-probabilities** need the sum of `exp(score)` over all items that remain. It is the sum
//!   over the items that were scored exactly, and an estimate for the others from a sample.
//! - **Filters** are applied to each row before it counts as found. If few items are allowed, all
//!   of them are scored exactly.
//!
//! The hidden state comes from a forward pass of our own ([`Decoder`](crate::item_tokens)):
//! llama.cpp does not compute it without the logits of all items.

mod build;
mod generator;
mod joined;
mod query;
mod stored_rows;

use std::sync::Arc;

pub use generator::IndexedGenerator;
use joined::JoinedRows;
use tandem_model::ItemTable;

use crate::{item_tokens::Decoder, ranking_signals::RankingSignals};

/// Settings of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    /// Number of rows that a query visits. More take longer and find more of the best items.
    pub visited: usize,
    /// Mean number of items of a cell.
    pub cell_items: usize,
    /// Number of items from which the sum of all probabilities is estimated.
    pub sample: usize,
    /// Random seed of the clustering.
    pub seed: u64,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { visited: 65_536, cell_items: 512, sample: 4096, seed: 7 }
    }
}

/// An index over the items of one language model and its ranking signals.
#[derive(Debug)]
pub struct CatalogueIndex {
    options: IndexOptions,
    decoder: Decoder,
    max_length: usize,
    rows: JoinedRows,
    cells: Vec<IndexCell>,
    /// Items that are spread evenly over the catalogue, and their joined rows.
    sample: Sample,
    signals: Option<Arc<RankingSignals>>,
}

/// Items whose joined rows are near each other.
#[derive(Debug)]
struct IndexCell {
    /// Mean of the joined rows.
    centroid: Vec<f32>,
    /// Joined rows, rounded to 8 bits.
    table: ItemTable,
    /// Positions of the items in the catalogue, as in `table`.
    items: Vec<u32>,
}

#[derive(Debug)]
struct Sample {
    items: Vec<u32>,
    /// `[items, width]`
    rows: Vec<f32>,
}

impl CatalogueIndex {
    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.rows.items()
    }

    /// Number of cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// Settings of the index.
    #[must_use]
    pub fn options(&self) -> IndexOptions {
        self.options
    }
}
