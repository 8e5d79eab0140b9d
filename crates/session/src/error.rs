use tandem_collaboration::CollaborationError;
use tandem_model::ModelError;
use tandem_protocol::ErrorCode;
use thiserror::Error;

/// What can go wrong in a session. Nothing of the session is lost by any of these.
#[derive(Debug, Error)]
pub enum SessionError {
    /// Weights, rows or a computation.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Parameters of fusion or policy.
    #[error(transparent)]
    Collaboration(#[from] CollaborationError),
    /// A row of an item is not Base64.
    #[error("row of item {item}: not Base64 ({reason})")]
    Row {
        /// The item.
        item: String,
        /// What the decoder says.
        reason: String,
    },
    /// A list is of another catalogue than the model.
    #[error(
        "the server's list is of catalogue {found}, the model of {expected}; load the model anew"
    )]
    ForeignCatalogue {
        /// The model's catalogue.
        expected: String,
        /// The list's.
        found: String,
    },
    /// A saved session is damaged.
    #[error("saved session: {0}")]
    Damaged(String),
    /// A saved session was written by a newer version.
    #[error("saved session has version {found}, this client reads up to {supported}")]
    Version {
        /// What is supported.
        supported: u32,
        /// What was found.
        found: u32,
    },
}

impl SessionError {
    /// The code under which the error crosses to JavaScript.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Model(ModelError::Device(_)) => ErrorCode::DeviceLost,
            Self::Model(ModelError::Empty(_)) => ErrorCode::InvalidArgument,
            Self::Model(ModelError::Version { .. }) | Self::Version { .. } => {
                ErrorCode::UnsupportedVersion
            }
            Self::Model(_) | Self::Collaboration(_) | Self::Damaged(_) => {
                ErrorCode::InvalidArtifact
            }
            Self::Row { .. } => ErrorCode::BadResponse,
            Self::ForeignCatalogue { .. } => ErrorCode::CatalogueChanged,
        }
    }
}
