use std::error::Error;

use tandem_collaboration::CollaborationError;

/// Why an evaluation fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The small model failed.
    #[error("cannot score a history: {0}")]
    Scorer(#[source] Box<dyn Error + Send + Sync>),
    /// The source of candidate lists failed.
    #[error("cannot get a candidate list: {0}")]
    List(#[source] Box<dyn Error + Send + Sync>),
    /// A session failed.
    #[error("session: {0}")]
    Session(#[source] Box<dyn Error + Send + Sync>),
    /// Scores or orders do not belong to one list.
    #[error(transparent)]
    Collaboration(#[from] CollaborationError),
    /// A scorer returned scores of another shape.
    #[error("expected {expected} {what} from the scorer, found {found}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// The expected number.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A list that a session needs was not made.
    #[error(
        "expected a candidate list for the first {length} items of user {user}, found none; \
         make it with `tandem lists`"
    )]
    MissingList {
        /// Position of the user in the dataset.
        user: usize,
        /// Number of items that the list is made for.
        length: usize,
    },
    /// No user has a list for every click of a session.
    #[error(
        "expected a candidate list for every click of a session of {clicks} clicks before the \
         newest {skip} interactions, found no such session; make them with `tandem lists --for \
         session --clicks {clicks}`"
    )]
    NoSession {
        /// Live clicks of a session.
        clicks: usize,
        /// Newest interactions that are left out.
        skip: usize,
    },
    /// A number that a fit cannot work with.
    #[error("{parameter} must be {expected}, found {found}")]
    Parameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was given.
        found: f64,
    },
}

impl EvaluationError {
    pub(crate) fn parameter(parameter: &'static str, expected: &'static str, found: f64) -> Self {
        Self::Parameter { parameter, expected, found }
    }

    /// Whether the input is at fault (lists, options) rather than the program or the machine.
    #[must_use]
    pub fn blames_input(&self) -> bool {
        matches!(self, Self::MissingList { .. } | Self::NoSession { .. } | Self::Parameter { .. })
    }
}

impl From<tandem_session::SessionError> for EvaluationError {
    fn from(error: tandem_session::SessionError) -> Self {
        Self::Session(error.into())
    }
}
