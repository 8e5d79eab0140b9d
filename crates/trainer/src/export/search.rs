//! The files of the search on the device.

use anyhow::Result;
use clap::{Args, ValueEnum};
use futures_lite::future::block_on;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_model::{ItemTable, PersonalDelta, Scorer};
use tandem_protocol::{ItemId, SearchConfig};
use tandem_training::cells::{CellsConfig, build_cells};

use super::file::File;
use crate::{
    failure::BadInput,
    values::{self, ADVANCED, BASIC},
};

/// Smallest cell: a few items, else the index is larger than the cells.
const MIN_CELL_BYTES: usize = 1_024;
/// Number of users whose queries the index is trained on.
const QUERIES: usize = 6_000;
/// Seed of the sampled users and of the clustering.
const SEED: u64 = 7;

/// Options of the search on the device.
#[derive(Args, Debug)]
pub(crate) struct SearchOptions {
    /// Search on the device: `whole` item table, `cells` loaded on demand, `none`, or `auto`:
    /// `whole` within the limits below, else `cells`.
    #[arg(long, value_enum, default_value_t = Search::Auto, help_heading = BASIC)]
    search: Search,
    /// Number of items that the search adds to a candidate list.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    search_k: usize,
    /// Maximum number of items for a search of the whole table (auto).
    #[arg(long, value_name = "N", default_value_t = 20_000, help_heading = ADVANCED)]
    whole_limit_items: usize,
    /// Maximum size of the item table in bytes for a search of the whole table (auto).
    #[arg(long, value_name = "BYTES", default_value_t = 1_400_000, help_heading = ADVANCED)]
    whole_limit_bytes: usize,
    /// Maximum size of a cell in bytes, at least 1024.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    cell_bytes: usize,
}

/// How the device searches the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Search {
    /// The whole table within the limits, else cells.
    Auto,
    /// The device loads the whole item table.
    Whole,
    /// The device loads the cells near the visitor's query.
    Cells,
    /// The device re-ranks candidate lists only.
    None,
}

impl SearchOptions {
    /// `Auto` resolved for an item table.
    fn resolve(&self, table: &ItemTable) -> Search {
        let fits = table.len() <= self.whole_limit_items
            && table.as_bytes().len() <= self.whole_limit_bytes;
        match self.search {
            Search::Auto if fits => Search::Whole,
            Search::Auto => Search::Cells,
            other => other,
        }
    }
}

/// The settings of the search for the manifest, and the index and cells if it has any.
pub(super) fn search_files(
    options: &SearchOptions,
    dataset: &Dataset,
    scorer: &Scorer,
    table: &ItemTable,
) -> Result<(Option<SearchConfig>, Vec<File<'static>>)> {
    let k = options.search_k;
    match options.resolve(table) {
        Search::None => return Ok((None, Vec::new())),
        Search::Whole => return Ok((Some(SearchConfig { k, cells: None }), Vec::new())),
        Search::Cells | Search::Auto => {}
    }
    if options.cell_bytes < MIN_CELL_BYTES {
        let text = format!(
            "--cell-bytes {}: expected at least {MIN_CELL_BYTES} bytes; smaller cells need an \
             index that is larger than the cells",
            options.cell_bytes
        );
        return Err(BadInput(text).into());
    }
    let ids: Vec<ItemId> = dataset.catalogue.items().iter().map(|item| item.id.clone()).collect();
    let queries = queries(dataset, scorer, table)?;
    eprintln!("dividing {} items into cells", table.len());
    let config =
        CellsConfig { max_bytes: options.cell_bytes, seed: SEED, ..CellsConfig::default() };
    let cells = build_cells(&ids, table, &queries, &config)?;
    let index = File::new("cells", "bin", cells.index.to_bytes());
    let search = SearchConfig { k, cells: Some(index.artifact.clone()) };
    let cells = cells.files.into_iter().map(File::cell);
    Ok((Some(search), std::iter::once(index).chain(cells).collect()))
}

/// Search queries of sampled users after the last item of their training part,
/// `[queries, dims]`.
fn queries(dataset: &Dataset, scorer: &Scorer, table: &ItemTable) -> Result<Vec<f32>> {
    let trained = dataset.sequences.iter().map(|sequence| sequence.split().train);
    let mut histories: Vec<&[ItemIndex]> = trained.filter(|items| !items.is_empty()).collect();
    histories.shuffle(&mut StdRng::seed_from_u64(SEED));
    histories.truncate(QUERIES);
    let style = ProgressStyle::with_template("queries {bar:30} {pos}/{len}, {eta} left")?;
    let bar = ProgressBar::new(histories.len() as u64).with_style(style);
    let delta = PersonalDelta::<u32>::new("", table.dims(), 1);
    let mut queries = Vec::with_capacity(histories.len() * table.dims());
    for history in histories {
        let mut rows = Vec::with_capacity(history.len() * table.dims());
        for row in history.iter().filter_map(|item| table.row(item.position())) {
            rows.extend(row?.values());
        }
        let encoded = block_on(scorer.encode(&rows))?;
        queries.extend(scorer.search_query(encoded.user(), &delta));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(queries)
}
