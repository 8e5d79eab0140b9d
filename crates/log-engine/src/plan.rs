//! The plans of an import.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, UInt32Array},
        compute::SortOptions,
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    datasource::memory::MemorySourceConfig,
    error::Result,
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        coalesce_partitions::CoalescePartitionsExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};

use crate::read_log::{ReadLog, Work};

/// The column of the numbers of parts.
const PART: &str = "part";

/// What must be known of all parts, in any order.
pub(crate) fn survey(work: Work, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let read = read(work, partitions)?;
    Ok(Arc::new(CoalescePartitionsExec::new(read)))
}

/// The keys of all rows in their order.
pub(crate) fn sorted_keys(work: Work, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let read = read(work, partitions)?;
    let key = PhysicalSortExpr::new(Arc::new(Column::new(ReadLog::KEY, 0)), SortOptions::default());
    let sort = SortExec::new(LexOrdering::from([key.clone()]), read);
    let sort = Arc::new(sort.with_preserve_partitioning(true));
    Ok(Arc::new(SortPreservingMergeExec::new(LexOrdering::from([key]), sort)))
}

/// Reads all parts, divided between partitions.
///
/// Below [`ReadLog`] are the numbers of the parts, as rows. A scheduler gives each task the rows of
/// its partitions; it could not divide an operator that it does not know.
fn read(work: Work, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new(PART, DataType::UInt32, false)]));
    let parts = work.parts.len();
    let partitions = partitions.clamp(1, parts.max(1));
    let numbers = |partition: usize| (partition..parts).step_by(partitions).map(|it| it as u32);
    let rows = (0..partitions).map(|partition| {
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(numbers(partition)));
        Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![numbers])?])
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let numbers = MemorySourceConfig::try_new_exec(&rows, schema, None)?;
    Ok(Arc::new(ReadLog::new(Arc::new(work), numbers)))
}
