//! `tandem cluster`: the programs of a cluster for `tandem import --cluster`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::values;

/// Programs of a cluster. They have no keys and no TLS: run them in a private network.
#[derive(Subcommand, Debug)]
#[cfg_attr(not(feature = "datafusion"), allow(dead_code, reason = "it needs DataFusion"))]
pub(crate) enum Cluster {
    /// Start the scheduler, which divides an import between executors.
    Scheduler(Scheduler),
    /// Start an executor, which reads and sorts parts of logs.
    Executor(Executor),
}

/// Options of `tandem cluster scheduler`.
#[derive(Args, Debug)]
#[cfg_attr(not(feature = "datafusion"), allow(dead_code, reason = "it needs DataFusion"))]
pub(crate) struct Scheduler {
    /// Address that executors and imports reach.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
}

/// Options of `tandem cluster executor`.
#[derive(Args, Debug)]
#[cfg_attr(not(feature = "datafusion"), allow(dead_code, reason = "it needs DataFusion"))]
pub(crate) struct Executor {
    /// The scheduler: df://HOST:PORT.
    #[arg(long, value_name = "URL")]
    scheduler: String,
    /// Address that other executors and imports reach.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// Memory to sort in, of all tasks together: 4GB, 512MB.
    #[arg(long, value_name = "SIZE", value_parser = values::bytes, default_value = "2GB")]
    memory: u64,
    /// Tasks at once [default: the number of cores].
    #[arg(long, value_name = "N", value_parser = values::positive)]
    tasks: Option<usize>,
    /// Folder for sorted runs and results [default: one of the system].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[cfg(feature = "datafusion")]
pub(crate) fn run(cluster: &Cluster) -> Result<()> {
    use std::{num::NonZero, thread::available_parallelism};

    use tandem_log_engine::{ExecutorOptions, SchedulerOptions, run_executor, run_scheduler};

    match cluster {
        Cluster::Scheduler(args) => Ok(run_scheduler(&SchedulerOptions { listen: args.listen })?),
        Cluster::Executor(args) => {
            let cores = available_parallelism().map_or(1, NonZero::get);
            Ok(run_executor(&ExecutorOptions {
                scheduler: crate::large_log::cluster_url(&args.scheduler)?,
                listen: args.listen,
                memory: args.memory,
                tasks: args.tasks.unwrap_or(cores),
                folder: args.folder.clone(),
            })?)
        }
    }
}

#[cfg(not(feature = "datafusion"))]
pub(crate) fn run(_: &Cluster) -> Result<()> {
    Err(crate::failure::no_datafusion().into())
}
