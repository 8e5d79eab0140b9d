//! Import of logs that are larger than memory.
//!
//! [`import_log`] gives the same dataset folder as [`tandem_dataset::import`], byte for byte. The
//! rules are those of `tandem_dataset::external`; this crate adds what that module leaves out:
//! sorting outside of memory, on several threads or machines. Both are done by DataFusion:
//!
//! ```text
//! survey  CoalescePartitions <- ReadLog(survey) <- numbers of the parts of the log
//! keys    SortPreservingMerge <- Sort <- ReadLog(keys) <- numbers of the parts of the log
//! ```
//!
//! [`ReadLog`](read_log::ReadLog) is an operator of this crate that reads parts of files with the
//! readers of `tandem-dataset`, so that quotes, encodings, bad rows and line numbers are the same as
//! in memory. On this machine the plans run with a memory limit, beyond which sorted runs are
//! written to the disk. On a cluster the same plans run on Ballista: [`run_scheduler`] and
//! [`run_executor`] start programs that know the operator.
//!
//! | module | contents |
//! |---|---|
//! | `import` | the steps of an import |
//! | `plan` | both plans |
//! | `read_log` | the operator that reads parts of files |
//! | `local` | plans on this machine, with a memory limit |
//! | `cluster`, `cluster_url` | plans on a Ballista cluster, and its address |
//! | `codec` | the operator as bytes |
//! | `service` | scheduler and executor |
//! | `storage` | files in object stores |

mod cluster;
mod cluster_url;
mod codec;
mod error;
mod import;
mod local;
mod plan;
mod read_log;
mod service;
mod storage;

pub use cluster_url::{ClusterUrl, ClusterUrlError};
pub use error::LogEngineError;
pub use import::{Engine, EngineOptions, Memory, import_log};
pub use service::{ExecutorOptions, SchedulerOptions, run_executor, run_scheduler};
