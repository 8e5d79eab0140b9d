//! The operator that reads parts of the files of a log.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{BinaryBuilder, RecordBatch, StringBuilder, UInt32Array, UInt32Builder},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::{cast::as_uint32_array, internal_err, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
        PlanProperties,
        execution_plan::{
            Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
        },
        stream::RecordBatchReceiverStreamBuilder,
    },
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tandem_dataset::{
    DatasetError, ImportOptions,
    external::{LogPart, LogRules, row_keys, survey},
};
use tokio::sync::mpsc::Sender;

use crate::storage::ObjectFiles;

/// Rows of a batch.
const BATCH: usize = 8_192;
/// Expected bytes of a key.
const KEY_BYTES: usize = 48;
/// Batches that wait for the next operator.
const WAITING: usize = 2;

/// What is to be read, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) options: ImportOptions,
    pub(crate) parts: Vec<LogPart>,
    /// `None` for the survey.
    pub(crate) rules: Option<LogRules>,
}

/// Reads the parts whose numbers its input has.
#[derive(Debug)]
pub(crate) struct ReadLog {
    work: Arc<Work>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

/// A row of the survey.
#[derive(Clone, Copy)]
pub(crate) enum SurveyRow<'a> {
    /// The report of a part.
    Report(&'a str),
    /// Why a part cannot be read.
    Refusal(&'a str),
    /// An item and its number in the part.
    Item(&'a str, u32),
}

impl ReadLog {
    /// The column of keys.
    pub(crate) const KEY: &'static str = "key";

    pub(crate) fn new(work: Arc<Work>, input: Arc<dyn ExecutionPlan>) -> Self {
        let schema = if work.rules.is_some() { key_schema() } else { survey_schema() };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { work, input, properties: Arc::new(properties) }
    }

    pub(crate) fn work(&self) -> &Work {
        &self.work
    }
}

impl DisplayAs for ReadLog {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = if self.work.rules.is_some() { "keys" } else { "survey" };
        write!(f, "ReadLog: {step}, parts={}", self.work.parts.len())
    }
}

impl ExecutionPlan for ReadLog {
    fn name(&self) -> &'static str {
        "ReadLog"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let (Some(input), 0) = (children.pop(), children.len()) {
            Ok(Arc::new(Self::new(Arc::clone(&self.work), input)))
        } else {
            internal_err!("ReadLog has one input")
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // The parts are divided already.
        vec![false]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut numbers = self.input.execute(partition, context)?;
        let mut output = RecordBatchReceiverStreamBuilder::new(self.schema(), WAITING);
        let (work, sender) = (Arc::clone(&self.work), output.tx());
        output.spawn(async move {
            while let Some(batch) = numbers.next().await {
                let numbers = as_uint32_array(batch?.column(0))?.clone();
                for number in numbers.iter().flatten() {
                    let (work, sender) = (Arc::clone(&work), sender.clone());
                    // The readers block.
                    let read = move || read(&work, number, &sender);
                    tokio::task::spawn_blocking(read)
                        .await
                        .map_err(|error| DataFusionError::External(Box::new(error)))??;
                }
            }
            Ok(())
        });
        Ok(output.build())
    }
}

fn read(work: &Work, number: u32, sender: &Sender<Result<RecordBatch>>) -> Result<()> {
    let Some(part) = work.parts.get(number as usize) else {
        return internal_err!("part {number} of {}", work.parts.len());
    };
    let files = ObjectFiles;
    if let Some(rules) = &work.rules {
        return send_keys(part, rules, work, &files, sender);
    }
    let mut rows = SurveyRows::new(number, sender);
    match survey(part, &work.options, &files) {
        Ok(found) => {
            // Items refer to the report.
            rows.add(SurveyRow::Report(found.report()))?;
            for (item, uses) in found.items() {
                rows.add(SurveyRow::Item(item, uses))?;
            }
        }
        // Typed errors do not cross the network, so that one of the input is a row.
        Err(error) if error.blames_input() => rows.add(SurveyRow::Refusal(&error.to_string()))?,
        Err(error) => return Err(DataFusionError::External(Box::new(error))),
    }
    rows.send()
}

/// Sends a batch to the next operator.
fn send(sender: &Sender<Result<RecordBatch>>, batch: RecordBatch) -> Result<()> {
    let gone = |_| DataFusionError::Execution("the reader of a log has gone".to_owned());
    sender.blocking_send(Ok(batch)).map_err(gone)
}

fn key_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(ReadLog::KEY, DataType::Binary, false)]))
}

fn send_keys(
    part: &LogPart,
    rules: &LogRules,
    work: &Work,
    files: &ObjectFiles,
    sender: &Sender<Result<RecordBatch>>,
) -> Result<()> {
    let mut keys = BinaryBuilder::with_capacity(BATCH, BATCH * KEY_BYTES);
    let mut rows = 0;
    let flush = |keys: &mut BinaryBuilder| {
        let batch = RecordBatch::try_new(key_schema(), vec![Arc::new(keys.finish())])?;
        *keys = BinaryBuilder::with_capacity(BATCH, BATCH * KEY_BYTES);
        send(sender, batch)
    };
    let failed = row_keys(part, rules, &work.options, files, |key| {
        keys.append_value(key);
        rows += 1;
        if rows % BATCH > 0 {
            return Ok(());
        }
        flush(&mut keys).map_err(|error| DatasetError::Transfer {
            expected: "a reader of keys",
            found: error.to_string(),
        })
    });
    failed.map_err(|error| DataFusionError::External(Box::new(error)))?;
    flush(&mut keys)
}

fn survey_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("part", DataType::UInt32, false),
        Field::new("report", DataType::Utf8, true),
        Field::new("refusal", DataType::Utf8, true),
        Field::new("item", DataType::Utf8, true),
        Field::new("uses", DataType::UInt32, false),
    ]))
}

/// The rows of a survey of one part.
struct SurveyRows<'a> {
    part: u32,
    report: StringBuilder,
    refusal: StringBuilder,
    item: StringBuilder,
    uses: UInt32Builder,
    rows: usize,
    sender: &'a Sender<Result<RecordBatch>>,
}

impl<'a> SurveyRows<'a> {
    fn new(part: u32, sender: &'a Sender<Result<RecordBatch>>) -> Self {
        let text = StringBuilder::new;
        let (report, refusal, item, uses) = (text(), text(), text(), UInt32Builder::new());
        Self { part, report, refusal, item, uses, rows: 0, sender }
    }

    fn add(&mut self, row: SurveyRow<'_>) -> Result<()> {
        let (report, refusal, item, uses) = match row {
            SurveyRow::Report(text) => (Some(text), None, None, 0),
            SurveyRow::Refusal(text) => (None, Some(text), None, 0),
            SurveyRow::Item(item, uses) => (None, None, Some(item), uses),
        };
        self.report.append_option(report);
        self.refusal.append_option(refusal);
        self.item.append_option(item);
        self.uses.append_value(uses);
        self.rows += 1;
        if self.rows == BATCH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        let parts = UInt32Array::from_value(self.part, self.rows);
        let batch = RecordBatch::try_new(
            survey_schema(),
            vec![
                Arc::new(parts),
                Arc::new(self.report.finish()),
                Arc::new(self.refusal.finish()),
                Arc::new(self.item.finish()),
                Arc::new(self.uses.finish()),
            ],
        )?;
        self.rows = 0;
        send(self.sender, batch)
    }
}
