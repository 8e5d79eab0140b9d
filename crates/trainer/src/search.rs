//! The search on the device, as it is simulated and exported.

use anyhow::Result;
use clap::{Args, ValueEnum};
use futures_lite::future::block_on;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::SearchScope;
use tandem_model::{ItemTable, PersonalDelta, Scorer};
use tandem_protocol::ItemId;
use tandem_training::cells::{CellRows, Cells, CellsConfig, build_cells};

use crate::values::{self, ADVANCED};

/// Number of items that a device adds to a candidate list by its search, unless the export says
/// otherwise.
pub(crate) const SEARCH_K: usize = 100;

/// Maximum size of a cell in bytes.
const CELL_BYTES: usize = 65_536;
/// Number of users whose queries the index is trained on, all of them.
const QUERIES: usize = 6_000;
/// Seed of the sampled users and of the clustering.
const SEED: u64 = 7;

/// What the simulated device searches beside the candidate list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Search {
    /// Nothing: it ranks the list alone.
    None,
    /// The whole item table.
    Whole,
    /// The cells near the visitor's query, fetched as on a device.
    Cells,
}

impl Search {
    /// Number of items that the search adds to a list.
    pub(crate) fn k(self) -> usize {
        match self {
            Self::None => 0,
            Self::Whole | Self::Cells => SEARCH_K,
        }
    }
}

impl From<Search> for SearchScope {
    fn from(search: Search) -> Self {
        match search {
            Search::None => Self::None,
            Search::Whole => Self::Whole,
            Search::Cells => Self::Cells,
        }
    }
}

/// How the item table is divided into cells.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellOptions {
    /// Maximum size of a cell in bytes, at least 1024.
    #[arg(long, value_name = "BYTES", default_value_t = CELL_BYTES, value_parser = values::cell_bytes)]
    #[arg(help_heading = ADVANCED)]
    cell_bytes: usize,
    /// Bits per value of a row in cells: with 5, cells have about two thirds of the bytes that they
    /// have with 8, at some cost in quality.
    #[arg(long, value_name = "BITS", value_enum, default_value_t = CellBits::Eight)]
    #[arg(help_heading = ADVANCED)]
    cell_bits: CellBits,
}

/// Bits per value of a row in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CellBits {
    #[value(name = "5")]
    Five,
    #[value(name = "8")]
    Eight,
}

impl From<CellBits> for CellRows {
    fn from(bits: CellBits) -> Self {
        match bits {
            CellBits::Five => Self::FiveBits,
            CellBits::Eight => Self::EightBits,
        }
    }
}

impl Default for CellOptions {
    fn default() -> Self {
        Self { cell_bytes: CELL_BYTES, cell_bits: CellBits::Eight }
    }
}

impl CellOptions {
    /// Divides an item table into cells. The index is trained on search queries of users after
    /// the last item of their training part.
    pub(crate) fn divide(
        self,
        dataset: &Dataset,
        scorer: &Scorer,
        table: &ItemTable,
    ) -> Result<Cells> {
        let items = dataset.catalogue.items();
        let ids: Vec<ItemId> = items.iter().map(|item| item.id.clone()).collect();
        let queries = queries(dataset, scorer, table)?;
        crate::terminal::note(format_args!("dividing {} items into cells", table.len()));
        let config = CellsConfig {
            max_bytes: self.cell_bytes,
            rows: self.cell_bits.into(),
            seed: SEED,
            ..CellsConfig::default()
        };
        Ok(build_cells(&ids, table, &queries, &config)?)
    }
}

/// Search queries of sampled users after the last item of their training part,
/// `[queries, dims]`, in random order.
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
