//! An item table divided into cells, for catalogues that are too large for a device.
//!
//! The rows are clustered, and every cluster is a file of its own, a [`Cell`]. A [`CellIndex`]
//! holds the centroid of every cell. A device loads the index, asks it for the cells
//! [nearest](CellIndex::nearest) to the visitor's query, loads these and searches them like an
//! [`ItemTable`] (an inverted file, as in Jégou et al. 2011, "Product quantization for nearest
//! neighbor search", §IV).
//!
//! Both formats are little-endian. A file name is the hash of the content, so that files never
//! change and can be cached for ever; [`CellIndex::open`] checks the hash.
//!
//! | bytes | index | cell |
//! |---|---|---|
//! | 8 | `TNDMCIX1` or `TNDMCIX2` | `TNDMCEL1` to `TNDMCEL3` |
//! | 4 | `u32` dimensions | `u32` dimensions |
//! | 4 | `u32` number of cells | `u32` number of items |
//! | 4 | `u32` number of items in all cells | – |
//! | rest | per cell: centroid (version 1: as a row of an [`ItemTable`]; version 2: `f32` scale, then 4 bits per value, the first of two in the lower bits), `u32` items, `u32` bytes of the file, SHA-256 of the file | per item: `u16` length and UTF-8 bytes of its id; then one row per item, in version 1 as in an [`ItemTable`], in version 2 as a centroid of version 2; in version 3 the ids by what they do not share, then the rows as differences from their mean, 5 bits per value |

mod cell;
mod four_bits;
mod ids;
mod index;
mod packed;
mod reader;

pub use cell::Cell;
pub use index::{CellEntry, CellId, CellIndex};

#[cfg(doc)]
use crate::ItemTable;

#[cfg(test)]
mod tests;
