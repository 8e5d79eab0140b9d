//! The files of the search on the device.

use anyhow::Result;
use clap::{Args, ValueEnum};
use tandem_dataset::Dataset;
use tandem_model::{ItemTable, Scorer, cells::CellId};
use tandem_protocol::SearchConfig;

use super::file::File;
use crate::{
    search::{CellOptions, SEARCH_K},
    terminal::note,
    values::{self, ADVANCED, BASIC},
};

/// Options of the search on the device.
#[derive(Args, Debug)]
pub(crate) struct SearchOptions {
    /// Search on the device: `whole` item table, `cells` loaded on demand, `none`, or `auto`:
    /// `whole` within the limits below, else `cells`.
    #[arg(long, value_enum, default_value_t = Search::Auto, help_heading = BASIC)]
    search: Search,
    /// Number of items that the search adds to a candidate list.
    #[arg(long, value_name = "N", default_value_t = SEARCH_K, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    search_k: usize,
    /// Maximum number of items for a search of the whole table (auto).
    #[arg(long, value_name = "N", default_value_t = 20_000, help_heading = ADVANCED)]
    whole_limit_items: usize,
    /// Maximum size of the item table in bytes for a search of the whole table (auto).
    #[arg(long, value_name = "BYTES", default_value_t = 1_400_000, help_heading = ADVANCED)]
    whole_limit_bytes: usize,
    #[command(flatten)]
    cells: CellOptions,
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
    let search = options.resolve(table);
    if search != Search::Cells && options.cells != CellOptions::default() {
        note("--cell-bits and --cell-bytes have no effect on a release without cells (--search)");
    }
    match search {
        Search::None => return Ok((None, Vec::new())),
        Search::Whole => return Ok((Some(SearchConfig { k, cells: None }), Vec::new())),
        Search::Cells | Search::Auto => {}
    }
    let cells = options.cells.divide(dataset, scorer, table)?;
    let index = File::new("cells", "bin", cells.index.to_bytes());
    let search = SearchConfig { k, cells: Some(index.artifact.clone()) };
    let mut files = vec![index];
    for (id, bytes) in (0..).map(CellId).zip(cells.files) {
        files.push(File::cell(&cells.index.entry(id)?, bytes));
    }
    Ok((Some(search), files))
}
