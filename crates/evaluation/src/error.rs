use std::error::Error;

use tandem_collaboration::CollaborationError;

/// Why an evaluation cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The model failed.
    #[error("cannot score a history: {0}")]
    Scorer(#[source] Box<dyn Error + Send + Sync>),
    /// There is no list where the cloud would have answered with one.
    #[error("cannot get a candidate list: {0}")]
    List(#[source] Box<dyn Error + Send + Sync>),
    /// A session cannot go on.
    #[error("session: {0}")]
    Session(#[source] Box<dyn Error + Send + Sync>),
    /// Scores or orders do not fit each other.
    #[error(transparent)]
    Collaboration(#[from] CollaborationError),
    /// The model's answer does not fit.
    #[error("the scorer has to give {expected} {what}, it gave {found}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// How many were wanted.
        expected: usize,
        /// How many there were.
        found: usize,
    },
}

impl From<tandem_session::SessionError> for EvaluationError {
    fn from(error: tandem_session::SessionError) -> Self {
        Self::Session(error.into())
    }
}
