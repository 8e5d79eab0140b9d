use std::{path::Path, sync::Arc};

use tandem_dataset::Catalogue;
use tandem_model::{
    ItemTable, ModelError, QuantisedRow,
    clusters::{centroids, nearest},
};

use super::{
    CatalogueIndex, IndexCell, IndexOptions, Sample, joined::JoinedRows, stored_rows::StoredRows,
};
use crate::{
    GeneratorError,
    gguf::Metadata,
    item_tokens::{Decoder, ItemTokenMetadata, read_decoder},
    ranking_signals::RankingSignals,
};

/// Rows per centroid that the clustering runs on.
const SAMPLE_PER_CENTROID: usize = 64;
/// Rows that are assigned to cells at once.
const CHUNK: usize = 8192;

impl CatalogueIndex {
    /// Makes the index of an item-token model of this catalogue, and of the signals beside it. It
    /// needs the memory of the joined rows with 8 bits and of the stored rows of the model, and
    /// takes seconds for a million items. The same input gives the same index.
    ///
    /// # Errors
    /// If the file cannot be read or is no item-token model of this catalogue, or
    /// [`GeneratorError::NotFinite`] if its weights are not finite.
    pub fn build(
        gguf: &Path,
        catalogue: &Catalogue,
        signals: Option<Arc<RankingSignals>>,
        options: IndexOptions,
    ) -> Result<Self, GeneratorError> {
        let metadata = Metadata::read(gguf)?;
        let described = ItemTokenMetadata::read_for(&metadata, gguf, catalogue)?;
        let (shape, blocks, output_norm) = read_decoder(gguf, &metadata)?;
        let dims = shape.dims;
        let input = StoredRows::read(&metadata, gguf, "token_embd.weight", dims)?;
        let untied = metadata.tensors.iter().any(|tensor| tensor.name == "output.weight");
        let output =
            untied.then(|| StoredRows::read(&metadata, gguf, "output.weight", dims)).transpose()?;
        let rows = JoinedRows::new(catalogue.len(), dims, (input, output), signals.clone());
        let cells = cells(&rows, &options).map_err(|_| GeneratorError::NotFinite)?;
        let mut sample = Sample { items: Vec::new(), rows: Vec::new() };
        for item in rows.spread_evenly(options.sample) {
            sample.items.push(item as u32);
            rows.append_joined(item, &mut sample.rows);
        }
        let decoder = Decoder::new(shape, blocks, output_norm);
        let max_length = described.max_length;
        Ok(Self { options, decoder, max_length, rows, cells, sample, signals })
    }
}

/// Clusters the joined rows in two steps, groups and then cells within each group: a single step
/// would compare every row with thousands of centroids.
fn cells(rows: &JoinedRows, options: &IndexOptions) -> Result<Vec<IndexCell>, ModelError> {
    let width = rows.width();
    let cell_items = options.cell_items.max(1);
    let groups = rows.items().div_ceil(cell_items).isqrt().max(1);
    let mut points = Vec::new();
    for item in rows.spread_evenly(groups * SAMPLE_PER_CENTROID) {
        rows.append_joined(item, &mut points);
    }
    let group_centroids = centroids(&points, width, groups, options.seed);
    let mut groups = vec![Vec::new(); group_centroids.len() / width];
    for first in (0..rows.items()).step_by(CHUNK) {
        points.clear();
        let items = first..rows.items().min(first + CHUNK);
        for item in items.clone() {
            rows.append_joined(item, &mut points);
        }
        for (item, group) in items.zip(nearest(&points, width, &group_centroids)) {
            groups[group as usize].push(item as u32);
        }
    }
    let mut cells = Vec::new();
    for (seed, items) in (options.seed..).zip(groups) {
        points.clear();
        for item in &items {
            rows.append_joined(*item as usize, &mut points);
        }
        let centroids = centroids(&points, width, items.len().div_ceil(cell_items), seed);
        let mut members = vec![Vec::new(); centroids.len() / width];
        for (at, cell) in nearest(&points, width, &centroids).into_iter().enumerate() {
            members[cell as usize].push(at);
        }
        for members in members.iter().filter(|members| !members.is_empty()) {
            cells.push(cell(&items, &points, width, members)?);
        }
    }
    Ok(cells)
}

/// The cell of some of the `items`, whose joined rows are `points`.
fn cell(
    items: &[u32],
    points: &[f32],
    width: usize,
    members: &[usize],
) -> Result<IndexCell, ModelError> {
    let row = |at: usize| &points[at * width..(at + 1) * width];
    let count = members.len() as f32;
    let mut centroid = vec![0.0; width];
    let mut table = ItemTable::new(width)?;
    for &at in members {
        table.push(&QuantisedRow::quantise(row(at))?)?;
        centroid.iter_mut().zip(row(at)).for_each(|(mean, value)| *mean += value / count);
    }
    let items = members.iter().map(|&at| items[at]).collect();
    Ok(IndexCell { centroid, table, items })
}
