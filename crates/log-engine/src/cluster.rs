//! Plans on a Ballista cluster.

use std::sync::Arc;

use ballista_core::{execution_plans::execute_physical_plan, extension::SessionConfigExt};
use datafusion::{
    error::Result,
    execution::{SendableRecordBatchStream, config::SessionConfig},
    physical_plan::ExecutionPlan,
};
use datafusion_proto::protobuf::PhysicalPlanNode;

use crate::{ClusterUrl, codec::LogCodec};

/// Maximum size of a message: a plan, or rows of a result.
pub(crate) const MESSAGE: usize = 256 << 20;

/// The session of a plan, which all programs of a cluster have.
pub(crate) fn session() -> SessionConfig {
    SessionConfig::new_with_ballista()
        .with_ballista_physical_extension_codec(Arc::new(LogCodec::default()))
        .with_ballista_grpc_client_max_message_size(MESSAGE)
}

/// Runs a plan; the rows come when it is done.
pub(crate) async fn run(
    plan: Arc<dyn ExecutionPlan>,
    cluster: &ClusterUrl,
) -> Result<SendableRecordBatchStream> {
    let session = session();
    let address = format!("http://{}:{}", cluster.host(), cluster.port());
    let id = uuid::Uuid::new_v4().to_string();
    let config = session.ballista_config();
    let codec = session.ballista_physical_extension_codec();
    execute_physical_plan::<PhysicalPlanNode>(address, &config, plan, &*codec, id, session).await
}
