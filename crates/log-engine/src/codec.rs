//! The operator of this crate as bytes, for Ballista.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::{
    common::internal_err,
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_plan::ExecutionPlan,
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::read_log::{ReadLog, Work};

/// Begins the bytes of [`ReadLog`]. Those of Ballista's own operators are messages of Protocol
/// Buffers, which cannot begin with a zero.
const MAGIC: &[u8] = b"\x00tandem read log 1\n";

/// Knows [`ReadLog`] beside the operators of Ballista.
#[derive(Debug, Default)]
pub(crate) struct LogCodec {
    ballista: BallistaPhysicalExtensionCodec,
}

impl PhysicalExtensionCodec for LogCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(json) = bytes.strip_prefix(MAGIC) else {
            return self.ballista.try_decode(bytes, inputs, context, converter);
        };
        let work: Work = serde_json::from_slice(json)
            .map_err(|error| DataFusionError::External(error.into()))?;
        if let [input] = inputs {
            Ok(Arc::new(ReadLog::new(Arc::new(work), Arc::clone(input))))
        } else {
            internal_err!("ReadLog has one input, found {}", inputs.len())
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(read) = node.downcast_ref::<ReadLog>() else {
            return self.ballista.try_encode(node, bytes, converter);
        };
        bytes.extend(MAGIC);
        serde_json::to_writer(bytes, read.work())
            .map_err(|error| DataFusionError::External(error.into()))
    }
}
