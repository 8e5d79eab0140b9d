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
