//! Division of an item table into cells, so that a device can search a large catalogue and
//! load only the cells near the visitor's query (an inverted file index; Jégou et al. 2011,
//! §IV).
//!
//! The cells are clusters of rows (k-means). Those that past queries rarely needed are merged into
//! near ones, which shortens the index. Search is by inner product, so a cell is not
//! represented in the index by its mean row: that would underestimate the cells with long rows,
//! which have the largest inner products. Its vector is the mean row scaled to the 95th
//! percentile of the lengths of its rows, and is then trained on search queries to predict the
//! cells of their best items.

mod build;
mod config;
mod merge;
mod split;
mod vectors;

pub use build::{Cells, build_cells};
pub use config::{CellRows, CellsConfig};
