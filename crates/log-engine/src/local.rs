//! Plans on this machine, with a memory limit.

use std::{path::Path, sync::Arc};

use datafusion::{
    common::config::SpillCompression,
    error::Result,
    execution::{
        SendableRecordBatchStream, TaskContext, config::SessionConfig, memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    physical_plan::{ExecutionPlan, execute_stream},
};

/// Rows of a batch; fewer with little memory, because each sorted run has a batch in memory.
const BATCH: u64 = 8_192;
/// Bytes of memory from which on batches are whole.
const WHOLE_BATCHES: u64 = 256 << 20;
/// Part of the memory that a sort keeps for the merge of what it has.
const MERGE_SHARE: u64 = 16;

/// Begins to run a plan. Operators use at most `memory` bytes; beyond them, sorts write to the folder
/// `spill`.
pub(crate) fn run(
    plan: Arc<dyn ExecutionPlan>,
    memory: u64,
    spill: &Path,
) -> Result<SendableRecordBatchStream> {
    execute_stream(plan, context(memory, spill)?)
}

fn context(memory: u64, spill: &Path) -> Result<Arc<TaskContext>> {
    let pool = FairSpillPool::new(usize::try_from(memory).unwrap_or(usize::MAX));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_temp_file_path(spill)
        // The disk has its own limit.
        .with_max_temp_directory_size(u64::MAX)
        .build_arc()?;
    let batch = BATCH.min(BATCH * memory / WHOLE_BATCHES).max(128);
    let mut config = SessionConfig::new().with_batch_size(batch as usize);
    let execution = &mut config.options_mut().execution;
    execution.spill_compression = SpillCompression::Lz4Frame;
    execution.sort_spill_reservation_bytes = (memory / MERGE_SHARE) as usize;
    Ok(Arc::new(TaskContext::default().with_session_config(config).with_runtime(runtime)))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use datafusion::physical_plan::{common::collect, sorts::sort::SortExec};
    use tandem_dataset::{
        ImportOptions,
        external::{LocalFiles, LogFiles, LogSurvey, survey},
    };

    use super::*;
    use crate::{plan, read_log::Work};

    /// Number of sorted runs that a plan has written to the disk.
    fn runs(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let own = plan.downcast_ref::<SortExec>().and_then(|sort| sort.metrics()?.spill_count());
        own.unwrap_or(0) + plan.children().into_iter().map(runs).sum::<usize>()
    }

    #[test]
    fn a_sort_beyond_its_memory_writes_runs_to_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.csv");
        let mut text = "user,item,time\n".to_owned();
        for row in 0..100_000_u64 {
            let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            writeln!(text, "{},{},{}", mixed % 3_001, row % 977, row).unwrap();
        }
        std::fs::write(&log, text).unwrap();
        let options = ImportOptions::new("log", [log]);
        let rules = || {
            let files = LogFiles::find(&options, &LocalFiles, 1).unwrap();
            let parts = files.parts().to_vec();
            let mut surveyed = LogSurvey::new(&options, files);
            let found = survey(&parts[0], &options, &LocalFiles).unwrap();
            surveyed.add_report(0, found.report()).unwrap();
            let rules = Some(surveyed.prepare().unwrap().0);
            Work { options: options.clone(), parts, rules }
        };
        let threads = tokio::runtime::Runtime::new().unwrap();
        let sorted = |memory| {
            let plan = plan::sorted_keys(rules(), 1).unwrap();
            let rows = threads.block_on(async {
                collect(run(Arc::clone(&plan), memory, folder.path()).unwrap()).await.unwrap()
            });
            let rows: usize =
                rows.iter().map(datafusion::arrow::array::RecordBatch::num_rows).sum();
            (rows, runs(&plan))
        };
        assert_eq!(sorted(1 << 30), (100_000, 0));
        let (rows, runs) = sorted(2 << 20);
        assert_eq!(rows, 100_000);
        assert!(runs > 1, "{runs}");
    }
}
