use tandem_collaboration::CollaborationError;
use tandem_model::ModelError;
use tandem_protocol::ErrorCode;
use thiserror::Error;

/// Errors of a session. The session is unchanged after each of them, except that
/// [`Session::learn`](crate::Session::learn) drops the click that it could not learn from.
#[derive(Debug, Error)]
pub enum SessionError {
    /// Weights, rows or a computation of the small model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Parameters of fusion or policy out of range.
    #[error(transparent)]
    Collaboration(#[from] CollaborationError),
    /// An item row is not Base64.
    #[error("row of item {item}: expected Base64 ({reason}); check the server's answer")]
    Row {
        /// The item.
        item: String,
        /// Message of the decoder.
        reason: String,
    },
    /// A list or a saved session belongs to another catalogue than the model.
    #[error("expected catalogue {expected}, found {found}; load the current model")]
    ForeignCatalogue {
        /// The catalogue of the model.
        expected: String,
        /// The catalogue of the list or session.
        found: String,
    },
    /// A cell was passed to a session that does not search cells.
    #[error("this catalogue has no cells; open the session with a cell index")]
    NoCells,
    /// A saved session cannot be read or written, or the bytes are something else.
    #[error(
        "this is no saved session of Tandem, or it is damaged: {0}; import another copy or start \
         a new session"
    )]
    Damaged(String),
    /// A saved session was written by a newer version.
    #[error("saved session has version {found}, this client reads up to {supported}; update it")]
    Version {
        /// The newest version that this client reads.
        supported: u32,
        /// The version of the saved session.
        found: u32,
    },
}

impl SessionError {
    /// The error code for JavaScript.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Model(ModelError::Device(_)) => ErrorCode::DeviceLost,
            Self::Model(ModelError::Empty(_)) | Self::NoCells => ErrorCode::InvalidArgument,
            Self::Model(ModelError::Integrity { .. }) => ErrorCode::Integrity,
            Self::Model(ModelError::Version { .. } | ModelError::FormatVersion { .. })
            | Self::Version { .. } => ErrorCode::UnsupportedVersion,
            Self::Model(_) | Self::Collaboration(_) | Self::Damaged(_) => {
                ErrorCode::InvalidArtifact
            }
            Self::Row { .. } => ErrorCode::BadResponse,
            Self::ForeignCatalogue { .. } => ErrorCode::CatalogueChanged,
        }
    }
}
