use std::sync::Arc;

use datafusion::error::DataFusionError;
use tandem_dataset::DatasetError;
use tandem_release_store::StoreUrlError;

use crate::ClusterUrl;

/// Why a log cannot be imported outside of memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogEngineError {
    /// The log or the dataset folder.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A file of the log cannot be imported as it is. It was read by another thread or machine.
    #[error("{message}")]
    Refused {
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// The memory does not suffice.
    #[error(
        "expected at least {} MB of memory for {items} items, found {} MB (--memory)",
        needed.div_ceil(1_000_000),
        given / 1_000_000
    )]
    Memory {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that were given.
        given: u64,
        /// Number of items, which are in memory.
        items: usize,
    },
    /// A file of the log has an address that cannot be used.
    #[error("{url}: {source}")]
    Url {
        /// The address; none with a password is repeated.
        url: String,
        /// Why.
        source: StoreUrlError,
    },
    /// The cluster does not answer, or a task failed there.
    #[error("the cluster {cluster} {problem}")]
    Cluster {
        /// Its address.
        cluster: ClusterUrl,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// A plan failed on this machine.
    #[error("cannot {action}: {source}")]
    Plan {
        /// What was to be done, as a verb.
        action: &'static str,
        /// The error of DataFusion.
        source: Box<DataFusionError>,
    },
    /// Threads or sockets of a program.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was to be done, as a verb.
        action: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Scheduler or executor ended.
    #[error("{program} ended: {reason}")]
    Service {
        /// Scheduler or executor.
        program: &'static str,
        /// The error of Ballista.
        reason: String,
    },
}

impl LogEngineError {
    /// Whether the input is at fault.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        match self {
            Self::Dataset(error) => error.blames_input(),
            Self::Refused { .. } | Self::Memory { .. } | Self::Url { .. } => true,
            _ => false,
        }
    }

    /// For `map_err` on a plan of this machine; an error of the log stays what it is.
    pub(crate) fn plan(action: &'static str) -> impl Fn(DataFusionError) -> Self {
        move |error| {
            let mut error = error;
            loop {
                error = match error {
                    DataFusionError::External(source) => {
                        return match source.downcast::<DatasetError>() {
                            Ok(source) => Self::Dataset(*source),
                            Err(source) => {
                                let source = Box::new(DataFusionError::External(source));
                                Self::Plan { action, source }
                            }
                        };
                    }
                    DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                        *inner
                    }
                    DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
                        Ok(inner) => inner,
                        Err(shared) => {
                            let source = Box::new(DataFusionError::Shared(shared));
                            return Self::Plan { action, source };
                        }
                    },
                    other => return Self::Plan { action, source: Box::new(other) },
                }
            }
        }
    }
}
