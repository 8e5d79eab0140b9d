//! A trained small model, as it is measured.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use futures_lite::future::block_on;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::{CandidateLists, Progress, SearchScope, SessionReplay, SimulatedDevice};
use tandem_model::{ModelError, Scorer};
use tandem_protocol::ModelKind;
use tandem_session::{RowStore, Settings};
use tandem_training::Checkpoint;

use crate::{calibration::Calibration, failure::BadInput};

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

/// Number of items that a device adds to the list by its search, as in a manifest.
const SEARCH_K: usize = 100;

/// A small model as the device has it: scorer and 8-bit rows.
pub(crate) struct SmallModel {
    scorer: Scorer,
    dims: usize,
    /// `[items, dims]`
    table: Vec<f32>,
    rows: RowStore,
    pub(crate) settings: Settings,
}

impl SmallModel {
    /// Reads a trained model of this dataset.
    pub(crate) fn read(path: &Path, dataset: &Dataset, calibration: &Calibration) -> Result<Self> {
        let checkpoint = read_checkpoint(path, dataset)?;
        let cpu = tandem_model::Device::flex();
        let scorer = Scorer::new(&checkpoint.config, &checkpoint.body, &cpu)
            .with_context(|| path.display().to_string())?;
        let dims = checkpoint.items.dims();
        let mut table = Vec::with_capacity(checkpoint.items.len() * dims);
        for position in 0..checkpoint.items.len() {
            if let Some(row) = checkpoint.items.row(position) {
                table.extend(row?.values());
            }
        }
        let items = dataset.catalogue.items().iter().map(|item| item.id.clone());
        let settings = Settings {
            fusion: calibration.fusion,
            policy: calibration.policy,
            learning: calibration.learning.clone(),
            base: String::new(),
            catalogue_hash: dataset.catalogue.hash().to_owned(),
            search_k: 0,
            popular: Vec::new(),
            repeats: false,
        };
        let rows = RowStore::whole(checkpoint.items, items)?;
        Ok(Self { scorer, dims, table, rows, settings })
    }

    /// Sets what simulated devices search.
    ///
    /// # Errors
    /// [`BadInput`] for cells, which are not supported yet.
    pub(crate) fn search(&mut self, scope: SearchScope) -> Result<(), BadInput> {
        self.settings.search_k = match scope {
            SearchScope::None => 0,
            SearchScope::Whole => SEARCH_K,
            SearchScope::Cells => {
                return Err(BadInput("--search cells is not supported yet".to_owned()));
            }
        };
        Ok(())
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
        SimulatedDevice { scorer: &self.scorer, rows: &self.rows, settings }
    }

    /// Sessions on a device with this model, with a progress bar for each pass.
    pub(crate) fn replay<'a>(
        &'a self,
        dataset: &'a Dataset,
        lists: &'a CandidateLists,
    ) -> SessionReplay<'a> {
        SessionReplay::new(dataset, &self.scorer, &self.rows, lists, &ProgressBars)
    }

    /// Scores of the whole catalogue for each history.
    pub(crate) fn score_all(
        &self,
        histories: &[&[ItemIndex]],
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let score = |history: &&[ItemIndex]| {
            let rows: Vec<f32> = history
                .iter()
                .flat_map(|item| &self.table[item.position() * self.dims..][..self.dims])
                .copied()
                .collect();
            block_on(self.scorer.score(&rows, &self.table))
        };
        histories.iter().map(score).collect()
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
