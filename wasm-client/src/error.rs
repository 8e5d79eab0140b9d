use serde::Serialize;
use tandem_model::ModelError;
use tandem_protocol::ErrorCode;
use tandem_session::SessionError;
use thiserror::Error;

/// An error as it crosses to JavaScript: `{ code, message }`.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[error("{code}: {message}")]
pub(crate) struct ClientError {
    /// For programs.
    pub(crate) code: ErrorCode,
    /// For people: what was expected, what was found, what to do.
    pub(crate) message: String,
}

impl ClientError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<SessionError> for ClientError {
    fn from(error: SessionError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<ModelError> for ClientError {
    fn from(error: ModelError) -> Self {
        SessionError::from(error).into()
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) error: ClientError,
    /// Milliseconds for which the server asks not to be called (`Retry-After`).
    pub(crate) retry_after_ms: Option<f64>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: ClientError::new(code, message), retry_after_ms: None }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}
