//! Import of logs that are larger than memory.

use std::path::Path;

use anyhow::Result;
use tandem_dataset::{ImportOptions, Summary};

/// Imports a log with a limit of memory in bytes, or on a cluster, and writes the dataset folder.
#[cfg(feature = "datafusion")]
pub(crate) fn import(
    options: &ImportOptions,
    memory: Option<u64>,
    cluster: Option<&str>,
    out: &Path,
) -> Result<Summary> {
    use tandem_log_engine::{Engine, EngineOptions, Memory, import_log};

    let engine = match (cluster, memory) {
        (Some(url), _) => Engine::Cluster(cluster_url(url)?),
        (None, memory) => Engine::Local(Memory::Total(memory.unwrap_or(u64::MAX))),
    };
    Ok(import_log(options, &EngineOptions::new(engine), out)?)
}

/// The address of a cluster.
#[cfg(feature = "datafusion")]
pub(crate) fn cluster_url(
    text: &str,
) -> Result<tandem_log_engine::ClusterUrl, crate::failure::BadInput> {
    let parsed = text.parse::<tandem_log_engine::ClusterUrl>();
    parsed.map_err(|error| crate::failure::BadInput(error.to_string()))
}

/// This build cannot do it.
#[cfg(not(feature = "datafusion"))]
pub(crate) fn import(
    _options: &ImportOptions,
    _memory: Option<u64>,
    _cluster: Option<&str>,
    _out: &Path,
) -> Result<Summary> {
    Err(crate::failure::no_datafusion().into())
}
