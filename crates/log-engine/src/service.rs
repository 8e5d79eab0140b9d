//! The programs of a cluster.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::{
    cluster::BallistaCluster, config::SchedulerConfig, scheduler_process::start_server,
};
use tandem_dataset::files::FolderDraft;
use tokio::runtime::{Builder, Runtime};

use crate::{
    ClusterUrl, LogEngineError,
    cluster::{MESSAGE, session},
    codec::LogCodec,
};

/// How long an executor waits for its scheduler, in seconds.
const CONNECT: u16 = 30;
/// How often the results of old jobs are removed, and their age, in seconds.
const CLEAN_UP: u64 = 600;
const RESULT_AGE: u64 = 3_600;

/// Options of [`run_scheduler`].
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// Address to listen on.
    pub listen: SocketAddr,
}

/// Options of [`run_executor`].
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// The scheduler.
    pub scheduler: ClusterUrl,
    /// Address to listen on for other executors and clients, which must reach it.
    pub listen: SocketAddr,
    /// Memory of all tasks together, in bytes.
    pub memory: u64,
    /// Number of tasks at once.
    pub tasks: usize,
    /// Folder for sorted runs and results; one of the system if absent.
    pub folder: Option<PathBuf>,
}

/// Starts a scheduler, and runs it until the process ends.
///
/// # Errors
/// [`LogEngineError::Service`] if it cannot listen.
pub fn run_scheduler(options: &SchedulerOptions) -> Result<(), LogEngineError> {
    let failed = |reason: ballista_core::error::BallistaError| LogEngineError::Service {
        program: "the scheduler",
        reason: reason.to_string(),
    };
    let message = MESSAGE as u32;
    let config = SchedulerConfig {
        bind_host: options.listen.ip().to_string(),
        bind_port: options.listen.port(),
        external_host: options.listen.ip().to_string(),
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        grpc_server_max_decoding_message_size: message,
        grpc_server_max_encoding_message_size: message,
        grpc_client_max_message_size: message,
        override_config_producer: Some(Arc::new(session)),
        override_physical_codec: Some(Arc::new(LogCodec::default())),
        ..SchedulerConfig::default()
    };
    runtime()?.block_on(async {
        let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
        start_server(cluster, options.listen, Arc::new(config)).await.map_err(failed)
    })
}

/// Starts an executor, and runs it until the process ends.
///
/// # Errors
/// [`LogEngineError::Service`] if it cannot listen, or the scheduler does not answer.
pub fn run_executor(options: &ExecutorOptions) -> Result<(), LogEngineError> {
    let failed = |reason: ballista_core::error::BallistaError| LogEngineError::Service {
        program: "the executor",
        reason: reason.to_string(),
    };
    let host = options.listen.ip().to_string();
    // Disappears with this function and after an interruption.
    let folder = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let work = FolderDraft::new(&folder.join("tandem-executor"))?;
    let config = ExecutorProcessConfig {
        bind_host: host.clone(),
        external_host: Some(host),
        port: options.listen.port(),
        scheduler_host: options.scheduler.host().to_owned(),
        scheduler_port: options.scheduler.port(),
        scheduler_connect_timeout_seconds: CONNECT,
        vcores: options.tasks,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(work.path().to_string_lossy().into_owned()),
        job_data_ttl_seconds: RESULT_AGE,
        job_data_clean_up_interval_seconds: CLEAN_UP,
        grpc_max_decoding_message_size: MESSAGE as u32,
        grpc_max_encoding_message_size: MESSAGE as u32,
        memory_pool_size: Some(options.memory),
        override_config_producer: Some(Arc::new(session)),
        override_physical_codec: Some(Arc::new(LogCodec::default())),
        ..ExecutorProcessConfig::default()
    };
    runtime()?.block_on(start_executor_process(Arc::new(config))).map_err(failed)
}

pub(crate) fn runtime() -> Result<Runtime, LogEngineError> {
    let started = Builder::new_multi_thread().enable_all().build();
    started.map_err(|source| LogEngineError::Io { action: "start threads", source })
}
