//! A trained small model, as it is measured.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use futures_lite::future::block_on;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::{CandidateLists, CellFiles, Progress, SessionReplay, SimulatedDevice};
use tandem_model::{Checkpoint, CountsPart, ItemTable, ModelError, Scorer};
use tandem_protocol::ModelKind;
use tandem_session::{DEFAULT_CELL_MEMORY, RowStore, Settings};

use crate::{
    calibration::Calibration,
    failure::BadInput,
    search::{CellOptions, Search},
};

/// Reads a trained model and makes sure that it is of this dataset.
pub(crate) fn read_checkpoint(path: &Path, dataset: &Dataset) -> Result<Checkpoint> {
    let bytes = fs::read(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let checkpoint = Checkpoint::from_bytes(&bytes).with_context(|| path.display().to_string())?;
    let (expected, found) = (dataset.catalogue.hash(), checkpoint.catalogue_hash.as_str());
    if expected != found || checkpoint.items.len() != dataset.catalogue.len() {
        let text = format!(
            "{}: expected a model of catalogue {expected} with {} items, found one of {found} with {}; train it on this dataset",
            path.display(),
            dataset.catalogue.len(),
            checkpoint.items.len(),
        );
        return Err(BadInput(text).into());
    }
    Ok(checkpoint)
}

/// A small model as the device has it: scorer and 8-bit rows.
pub(crate) struct SmallModel {
    scorer: Scorer,
    dims: usize,
    /// `[items, dims]`
    table: Vec<f32>,
    quantised: ItemTable,
    counts: Option<CountsPart>,
    rows: RowStore,
    cells: Option<CellFiles>,
    pub(crate) settings: Settings,
}

impl SmallModel {
    /// Reads a trained model of this dataset.
    pub(crate) fn read(path: &Path, dataset: &Dataset, calibration: &Calibration) -> Result<Self> {
        let checkpoint = read_checkpoint(path, dataset)?;
        let scorer = checkpoint.scorer().with_context(|| path.display().to_string())?;
        let dims = checkpoint.items.dims();
        let table = checkpoint.items.values()?;
        let items = dataset.catalogue.items().iter().map(|item| item.id.clone());
        let settings = Settings {
            fusion: calibration.fusion,
            policy: calibration.policy,
            learning: calibration.learning.clone(),
            base: String::new(),
            catalogue_hash: dataset.catalogue.hash().to_owned(),
            search_k: 0,
            popular: Vec::new(),
            repeats: dataset.repeats,
        };
        let (quantised, counts) = (checkpoint.items.clone(), checkpoint.counts);
        let rows = RowStore::whole(checkpoint.items, items)?;
        Ok(Self { scorer, dims, table, quantised, counts, rows, cells: None, settings })
    }

    /// The same model on devices that search.
    pub(crate) fn with_search(
        mut self,
        search: Search,
        dataset: &Dataset,
        options: CellOptions,
    ) -> Result<Self> {
        self.settings.search_k = search.k();
        if search == Search::Cells {
            let cells = options.divide(dataset, &self.scorer, &self.quantised)?;
            self.rows = RowStore::with_cells(cells.index, DEFAULT_CELL_MEMORY);
            self.cells = Some(CellFiles { table: self.quantised.clone(), files: cells.files });
        }
        Ok(self)
    }

    /// What it is, for instance `sasrec`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.scorer.config().kind {
            ModelKind::Sasrec => "sasrec",
            ModelKind::Gru4rec => "gru4rec",
            ModelKind::Din => "din",
        }
    }

    /// Name of the rows of it alone, for instance `srm-sasrec`.
    pub(crate) fn row_name(&self) -> String {
        format!("srm-{}", self.kind())
    }

    /// What a simulated session starts with, under these settings.
    pub(crate) fn device<'a>(&'a self, settings: &'a Settings) -> SimulatedDevice<'a> {
        let Self { scorer, rows, cells, counts, .. } = self;
        SimulatedDevice { scorer, rows, cells: cells.as_ref(), counts: counts.as_ref(), settings }
    }

    /// Sessions on a device with this model, with a progress bar for each pass.
    pub(crate) fn replay<'a>(
        &'a self,
        dataset: &'a Dataset,
        lists: &'a CandidateLists,
    ) -> SessionReplay<'a> {
        SessionReplay::new(dataset, self.device(&self.settings), lists, &ProgressBars)
    }

    /// Scores of the whole catalogue for each history.
    pub(crate) fn score_all(
        &self,
        histories: &[&[ItemIndex]],
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        histories.iter().map(|history| self.scores(history)).collect()
    }

    fn scores(&self, history: &[ItemIndex]) -> Result<Vec<f32>, ModelError> {
        let rows: Vec<f32> = history
            .iter()
            .flat_map(|item| &self.table[item.position() * self.dims..][..self.dims])
            .copied()
            .collect();
        let encoded = block_on(self.scorer.encode(&rows))?;
        let mut scores = block_on(self.scorer.score_for(encoded.user(), &self.table))?;
        if let Some(counts) = &self.counts {
            let factor = counts.weight * self.scorer.hidden_length(encoded.user()).unwrap_or(0.0);
            let newest_first = history.iter().rev().map(|item| item.position());
            for (position, count) in counts.rows.direction(newest_first) {
                scores[position as usize] += factor * count;
            }
        }
        Ok(scores)
    }
}

/// A progress bar over users, which is removed when it is dropped.
pub(crate) fn bar(users: usize, task: &str) -> ProgressBar {
    let bar = ProgressBar::new(users as u64).with_finish(ProgressFinish::AndClear);
    let template = "{msg} {bar:30} {pos}/{len} users, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    bar.with_style(style).with_message(task.to_owned())
}

/// A progress bar for each pass over the users.
struct ProgressBars;

impl Progress for ProgressBars {
    fn begin(&self, task: &str, users: usize) -> Box<dyn Fn(usize) + Send + Sync> {
        let bar = bar(users, task);
        Box::new(move |users| bar.inc(users as u64))
    }
}
