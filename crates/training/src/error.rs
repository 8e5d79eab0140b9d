use std::{
    io,
    path::{Path, PathBuf},
};

use tandem_model::ModelError;
use thiserror::Error;

/// Why a training failed.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// The model or the compute device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data or an option cannot be used; the text says what to do.
    #[error("{0}")]
    Input(String),
    /// A checkpoint does not belong to this training, or is damaged.
    #[error(
        "cannot resume from {path}: {reason}; repeat the interrupted command unchanged, or give \
         --fresh to start over"
    )]
    Resume {
        /// The checkpoint file.
        path: PathBuf,
        /// What differs or is damaged.
        reason: String,
    },
    /// The file system failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl TrainingError {
    /// Whether the input (data, options, files) must change, as opposed to a failure of the
    /// machine.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        match self {
            Self::Model(error) => !matches!(error, ModelError::Device(_)),
            Self::Input(_) | Self::Resume { .. } => true,
            Self::Io { .. } => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// An error of the compute device.
pub(crate) fn device_error(error: impl std::fmt::Debug) -> ModelError {
    ModelError::Device(format!("{error:?}"))
}
