use rayon::prelude::*;
use tandem_model::{
    ItemTable, ModelError, QuantisedRow,
    cells::{Cell, CellEntry, CellIndex},
    clusters::{centroids, nearest},
    search::Hit,
};
use tandem_protocol::ItemId;

use super::{
    CellRows, CellsConfig,
    merge::Merger,
    split::Splitter,
    vectors::{Target, train},
};

/// Bytes of a file beside its ids and rows.
const FILE_HEADER: usize = 16;
/// Bytes of an index entry beside the values of its centroid.
const ENTRY_FIELDS: usize = 44;
/// Number of best items of a query that its cells should contain.
const BEST: usize = 10;
/// Percentile of the rows' lengths that a cell's vector has.
const LENGTH_PERCENTILE: usize = 95;

/// The files of a divided item table.
#[derive(Clone, Debug)]
pub struct Cells {
    /// The index.
    pub index: CellIndex,
    /// The content of the cell files, in the order of the index.
    pub files: Vec<Vec<u8>>,
    /// Positions of the items of each cell in the table.
    pub items: Vec<Vec<u32>>,
}

/// Divides an item table into cells. `queries` `[queries, dims]` are search queries of past
/// visitors ([`Scorer::search_query`](tandem_model::Scorer::search_query)) in random order. The
/// vectors of the index are trained on all of them; there may be none. The same input gives the
/// same cells.
///
/// ```
/// use tandem_model::{ItemTable, cells::CellId};
/// use tandem_training::cells::{CellsConfig, build_cells};
///
/// let table = ItemTable::quantise(&[1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.1, 0.9], 2)?;
/// let ids = ["a", "b", "c", "d"].map(Into::into);
/// // Two items fill a cell of 40 bytes.
/// let config = CellsConfig { max_bytes: 40, ..CellsConfig::default() };
/// let cells = build_cells(&ids, &table, &[], &config)?;
/// let near = cells.index.nearest(&[1.0, 0.0], 1)?[0];
/// let cell = cells.index.open(near, &cells.files[near.0 as usize])?;
/// assert_eq!(cell.ids(), &ids[..2]);
/// # Ok::<(), tandem_model::ModelError>(())
/// ```
///
/// # Errors
/// [`ModelError::Length`] if there are not as many ids as rows or a query has another width;
/// [`ModelError::Empty`] without items; [`ModelError::NotFinite`] for a row or query that is not
/// finite.
pub fn build_cells(
    ids: &[ItemId],
    table: &ItemTable,
    queries: &[f32],
    config: &CellsConfig,
) -> Result<Cells, ModelError> {
    let dims = table.dims();
    if ids.len() != table.len() {
        let (expected, found) = (table.len(), ids.len());
        return Err(ModelError::Length { what: "ids of the items in cells", expected, found });
    }
    if table.is_empty() {
        return Err(ModelError::Empty("the item table"));
    }
    let quantised: Vec<QuantisedRow> =
        (0..table.len()).map_while(|at| table.row(at)).collect::<Result<_, _>>()?;
    let rows: Vec<f32> = quantised.iter().flat_map(QuantisedRow::values).collect();
    let bytes: Vec<usize> =
        ids.iter().map(|id| 2 + id.as_str().len() + config.rows.width(dims)).collect();
    let total: usize = bytes.iter().sum();

    let first = centroids(&rows, dims, cell_count(total, dims, config.probes), config.seed);
    let mut groups = vec![Vec::new(); first.len() / dims];
    for (item, group) in (0..).zip(nearest(&rows, dims, &first)) {
        groups[group as usize].push(item);
    }
    let room = config.max_bytes.saturating_sub(FILE_HEADER);
    let splitter = Splitter { rows: &rows, dims, bytes: &bytes, room };
    let best = best(table, queries)?;
    let mut hits = vec![0; table.len()];
    best.iter().flatten().for_each(|hit| hits[hit.position] += 1);
    let merger = Merger { rows: &rows, dims, bytes: &bytes, room, hits: &hits };
    let mut items = merger.merge(splitter.split(groups, config.seed));
    items.sort_unstable();
    if config.rows == CellRows::FiveBits {
        // Sorted ids take fewer bytes.
        let id = |item: &u32| &ids[*item as usize];
        for members in &mut items {
            members.sort_unstable_by(|a, b| id(a).cmp(id(b)));
        }
    }

    let vectors = items.iter().flat_map(|members| cell_vector(&rows, dims, members)).collect();
    let targets = targets(dims, queries, &best, table.len(), &items);
    let vectors = train(vectors, dims, &targets, config.probes, config.seed);

    let mut entries = Vec::with_capacity(items.len());
    let mut files = Vec::with_capacity(items.len());
    for (members, vector) in items.iter().zip(vectors.chunks_exact(dims)) {
        let mut part = ItemTable::new(dims)?;
        for &item in members {
            part.push(&quantised[item as usize])?;
        }
        let part_ids = members.iter().map(|&item| ids[item as usize].clone()).collect();
        let cell = Cell::new(part_ids, part)?;
        let file = match config.rows {
            CellRows::FiveBits => cell.to_packed_bytes()?,
            CellRows::EightBits => cell.to_bytes(),
        };
        let centroid = QuantisedRow::quantise_to_4_bits(vector)?;
        entries.push(CellEntry::new(centroid, members.len() as u32, &file));
        files.push(file);
    }
    Ok(Cells { index: CellIndex::new(dims, entries)?, files, items })
}

/// The number of cells `n` that minimises `n·entry + probes·total/n`.
fn cell_count(total: usize, dims: usize, probes: usize) -> usize {
    let square = (probes * total).div_ceil(dims.div_ceil(2) + ENTRY_FIELDS);
    let root = square.isqrt();
    (root + usize::from(root * root < square)).max(1)
}

/// The best items of each query.
fn best(table: &ItemTable, queries: &[f32]) -> Result<Vec<Vec<Hit>>, ModelError> {
    let dims = table.dims();
    if !queries.len().is_multiple_of(dims) {
        let expected = queries.len().next_multiple_of(dims);
        return Err(ModelError::Length { what: "search queries", expected, found: queries.len() });
    }
    queries.par_chunks_exact(dims).map(|query| table.top_k(query, BEST, |_| true)).collect()
}

/// The queries with the cells of their best items, of `count` items in all.
fn targets<'a>(
    dims: usize,
    queries: &'a [f32],
    best: &[Vec<Hit>],
    count: usize,
    cells: &[Vec<u32>],
) -> Vec<Target<'a>> {
    let mut cell_of = vec![0; count];
    for (cell, items) in cells.iter().enumerate() {
        for &item in items {
            cell_of[item as usize] = cell;
        }
    }
    let target = |(query, best): (&'a [f32], &Vec<Hit>)| {
        let mut cells: Vec<(usize, f32)> = Vec::new();
        for hit in best {
            let (cell, share) = (cell_of[hit.position], 1.0 / best.len() as f32);
            match cells.iter_mut().find(|(other, _)| *other == cell) {
                Some((_, sum)) => *sum += share,
                None => cells.push((cell, share)),
            }
        }
        Target { query, cells }
    };
    queries.chunks_exact(dims).zip(best).map(target).collect()
}

/// The initial vector of a cell in the index: the mean row, scaled to the [`LENGTH_PERCENTILE`] of
/// the rows' lengths.
fn cell_vector(rows: &[f32], dims: usize, members: &[u32]) -> Vec<f32> {
    let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
    let mut mean = vec![0.0_f32; dims];
    let mut lengths = Vec::with_capacity(members.len());
    for &item in members {
        let row = &rows[item as usize * dims..][..dims];
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / members.len() as f32);
        lengths.push(length(row));
    }
    lengths.sort_by(f32::total_cmp);
    let wanted = lengths[(members.len() - 1) * LENGTH_PERCENTILE / 100];
    let scale = wanted / length(&mean).max(f32::MIN_POSITIVE);
    if scale.is_finite() {
        for value in &mut mean {
            *value *= scale;
        }
    }
    mean
}

#[cfg(test)]
mod tests;
