//! The steps of an import.

use std::{num::NonZero, path::Path, thread::available_parallelism};

use datafusion::{
    arrow::array::{Array, RecordBatch},
    common::cast::{as_binary_array, as_string_array, as_uint32_array},
    error::{DataFusionError, Result as PlanResult},
    execution::SendableRecordBatchStream,
    physical_plan::ExecutionPlan,
};
use futures_util::StreamExt;
use tandem_dataset::{
    ImportOptions, Summary,
    external::{Assembly, LogFiles, LogSurvey},
    files::FolderDraft,
};

use crate::{
    ClusterUrl, LogEngineError, cluster, local, plan, read_log::Work, service::runtime, storage,
    storage::ObjectFiles,
};

/// Rows of a part of a Parquet file.
const PART_ROWS: u64 = 4_000_000;
/// Memory of the program beside items and sorting, in bytes.
const BASE: u64 = 256 << 20;
/// Memory of an item: its id in the survey, in the catalogue and in its index.
const PER_ITEM: u64 = 500;
/// Least memory to sort in.
const LEAST: u64 = 64 << 20;
/// Partitions of a plan on a cluster. An executor takes as many at once as it has tasks.
const CLUSTER_PARTITIONS: usize = 64;

/// Options of [`import_log`] beside those of the importer.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where the plans run.
    pub engine: Engine,
    /// Rows from which on a Parquet file is divided.
    pub part_rows: u64,
}

/// Where the plans of an import run.
#[derive(Clone, Debug)]
pub enum Engine {
    /// On this machine.
    Local(Memory),
    /// On a Ballista cluster. Its executors must reach the files under the same paths.
    Cluster(ClusterUrl),
}

/// A limit of memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Of the whole program.
    Total(u64),
    /// Of sorting alone.
    Sorting(u64),
}

impl EngineOptions {
    /// The defaults.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, part_rows: PART_ROWS }
    }
}

/// Imports interactions and, if there are any, catalogues, and writes the dataset folder `dir`.
///
/// The folder is the one of [`tandem_dataset::import`] with the same options. Besides paths,
/// [`ImportOptions::events`] can have URLs of objects: `s3://`, `gs://`, `az://` and `file://`.
///
/// # Errors
/// As [`tandem_dataset::import`]; [`DatasetError::OnlyInMemory`](tandem_dataset::DatasetError) for
/// a log that this function cannot import; [`LogEngineError::Memory`] if the items need more than
/// the limit; [`LogEngineError::Cluster`] and [`LogEngineError::Plan`] if a plan fails.
pub fn import_log(
    options: &ImportOptions,
    engine: &EngineOptions,
    dir: &Path,
) -> Result<Summary, LogEngineError> {
    options.events.iter().try_for_each(|path| storage::check(path))?;
    let files = LogFiles::find(options, &ObjectFiles, engine.part_rows)?;
    let parts = files.parts().to_vec();
    let work = |rules| Work { options: options.clone(), parts: parts.clone(), rules };
    // Holds the sorted runs; it disappears with this function and after an interruption.
    let spill = FolderDraft::new(&dir.with_extension("sorting"))?;
    let runner = Runner { engine: &engine.engine, spill: spill.path() };
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut survey = LogSurvey::new(options, files);
        let plan = plan::survey(work(None), runner.partitions());
        runner.run("read the log", plan, LEAST, |batch| take_survey(&mut survey, &batch)).await?;
        let (rules, prepared) = survey.prepare()?;
        let memory = runner.sort_memory(prepared.items())?;
        let mut assembly = Assembly::new(prepared, dir)?;
        let plan = plan::sorted_keys(work(Some(rules)), runner.partitions());
        runner
            .run("sort the log", plan, memory, |batch| {
                let keys =
                    as_binary_array(batch.column(0)).map_err(LogEngineError::plan("sort"))?;
                keys.iter().flatten().try_for_each(|key| Ok(assembly.push(key)?))
            })
            .await?;
        Ok(assembly.finish()?)
    })
}

/// Takes rows of the survey.
fn take_survey(survey: &mut LogSurvey, batch: &RecordBatch) -> Result<(), LogEngineError> {
    let failed = LogEngineError::plan("read the log");
    let parts = as_uint32_array(batch.column(0)).map_err(&failed)?;
    let text = |column: usize| as_string_array(batch.column(column)).map_err(&failed);
    let (reports, refusals, items) = (text(1)?, text(2)?, text(3)?);
    let uses = as_uint32_array(batch.column(4)).map_err(&failed)?;
    for row in 0..batch.num_rows() {
        let part = parts.value(row) as usize;
        if refusals.is_valid(row) {
            return Err(LogEngineError::Refused { message: refusals.value(row).to_owned() });
        }
        if reports.is_valid(row) {
            survey.add_report(part, reports.value(row))?;
        }
        if items.is_valid(row) {
            survey.add_item(part, items.value(row), uses.value(row))?;
        }
    }
    Ok(())
}

/// Runs plans.
struct Runner<'a> {
    engine: &'a Engine,
    spill: std::path::PathBuf,
}

impl Runner<'_> {
    fn partitions(&self) -> usize {
        match self.engine {
            Engine::Local(_) => available_parallelism().map_or(1, NonZero::get),
            Engine::Cluster(_) => CLUSTER_PARTITIONS,
        }
    }

    /// Memory to sort in, beside that of the items.
    fn sort_memory(&self, items: usize) -> Result<u64, LogEngineError> {
        match self.engine {
            Engine::Cluster(_) => Ok(LEAST),
            Engine::Local(Memory::Sorting(memory)) => Ok(*memory),
            &Engine::Local(Memory::Total(given)) => {
                let used = BASE + PER_ITEM * items as u64;
                let needed = used + LEAST;
                if given < needed {
                    return Err(LogEngineError::Memory { needed, given, items });
                }
                Ok(given - used)
            }
        }
    }

    /// Runs a plan and hands its rows to `take`.
    async fn run(
        &self,
        action: &'static str,
        plan: PlanResult<std::sync::Arc<dyn ExecutionPlan>>,
        memory: u64,
        mut take: impl FnMut(RecordBatch) -> Result<(), LogEngineError>,
    ) -> Result<(), LogEngineError> {
        let failed = |error: DataFusionError| match self.engine {
            Engine::Local(_) => LogEngineError::plan(action)(error),
            Engine::Cluster(cluster) => LogEngineError::Cluster {
                cluster: cluster.clone(),
                problem: format!("cannot {action}: {error}"),
            },
        };
        let plan = plan.map_err(failed)?;
        let mut rows: SendableRecordBatchStream = match self.engine {
            Engine::Local(_) => local::run(plan, memory, &self.spill).map_err(failed)?,
            Engine::Cluster(url) => cluster::run(plan, url).await.map_err(failed)?,
        };
        while let Some(batch) = rows.next().await {
            take(batch.map_err(failed)?)?;
        }
        Ok(())
    }
}
