use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use tandem_protocol::{ErrorCode, Problem};

/// Media type of every error (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a client may ask again while the model is being loaded.
const LOADING_RETRY_S: u64 = 2;

/// Everything a handler can answer other than what was asked for.
///
/// The message is for the person who reads the answer: what was expected, what was found,
/// what to do. It never holds more of the request than the name of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The body is not JSON or not an object of the documented fields.
    #[error("{detail}")]
    InvalidRequest {
        /// What was expected and found.
        detail: String,
    },
    /// A field has a value of the wrong type or outside what is allowed.
    #[error("{field}: {detail}")]
    InvalidField {
        /// Path of the field (`history[3]`).
        field: String,
        /// What was expected and found.
        detail: String,
    },
    /// The body is longer than the server reads.
    #[error("the body is larger than {limit} bytes; send fewer items")]
    PayloadTooLarge {
        /// Bytes that are read.
        limit: usize,
    },
    /// No route, or no file, of this name.
    #[error("there is nothing here; the routes are listed in the server's README")]
    NotFound,
    /// A route that exists, with another method.
    #[error("this resource takes only {allow}")]
    MethodNotAllowed {
        /// Value of the `Allow` header.
        allow: &'static str,
    },
    /// A body that does not call itself JSON.
    #[error("expected a body of `Content-Type: application/json`")]
    UnsupportedMediaType,
    /// The language model is still being loaded.
    #[error("the language model is still being loaded; ask again after `Retry-After` seconds")]
    NotReady,
    /// Every place in the queue is taken.
    #[error("all places in the queue are taken; ask again after `Retry-After` seconds")]
    Overloaded {
        /// Estimate of when a place will be free.
        retry_after_s: u64,
    },
    /// The deadline passed.
    #[error("the language model did not answer within {seconds} s")]
    Timeout {
        /// The deadline, from the request's arrival.
        seconds: u64,
    },
    /// A fault of the server; its log says more.
    #[error("the server failed to answer; its log says why")]
    Internal,
}

impl ApiError {
    /// What happened, for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidRequest { .. } => ErrorCode::InvalidRequest,
            Self::InvalidField { .. } => ErrorCode::InvalidField,
            Self::PayloadTooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::NotFound => ErrorCode::NotFound,
            Self::MethodNotAllowed { .. } => ErrorCode::MethodNotAllowed,
            Self::UnsupportedMediaType => ErrorCode::UnsupportedMediaType,
            Self::NotReady => ErrorCode::NotReady,
            Self::Overloaded { .. } => ErrorCode::Overloaded,
            Self::Timeout { .. } => ErrorCode::Timeout,
            Self::Internal => ErrorCode::Internal,
        }
    }

    /// The error that a bare HTTP status stands for, for answers that the web framework
    /// makes by itself.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed { allow: "GET, HEAD" },
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            status if status.is_server_error() => Self::Internal,
            status => Self::InvalidRequest {
                detail: status.canonical_reason().unwrap_or("the request was refused").to_owned(),
            },
        }
    }

    /// The error as it is sent, under the status that is sent with it.
    pub(crate) fn problem(&self, status: StatusCode) -> Problem {
        Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            code: self.code(),
            field: match self {
                Self::InvalidField { field, .. } => Some(field.clone()),
                _ => None,
            },
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status_of(self.code())
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponseBuilder::new(status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        match self {
            Self::Overloaded { retry_after_s } => {
                response.insert_header((header::RETRY_AFTER, retry_after_s.to_string()));
            }
            Self::NotReady => {
                response.insert_header((header::RETRY_AFTER, LOADING_RETRY_S.to_string()));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            _ => {}
        }
        response.content_type(PROBLEM_JSON);
        match serde_json::to_vec(&self.problem(status)) {
            Ok(json) => response.body(json),
            Err(_) => response.finish(),
        }
    }
}

/// The one table from error code to HTTP status.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest | ErrorCode::InvalidField => StatusCode::BAD_REQUEST,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::NotReady | ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        // The rest arise on the device and are never sent by a server.
        ErrorCode::Internal
        | ErrorCode::Unreachable
        | ErrorCode::BadResponse
        | ErrorCode::Integrity
        | ErrorCode::UnsupportedVersion
        | ErrorCode::InvalidArtifact
        | ErrorCode::CatalogueChanged
        | ErrorCode::InvalidArgument
        | ErrorCode::UnknownItem
        | ErrorCode::NoAdapter
        | ErrorCode::DeviceLost
        | ErrorCode::Disposed
        | ErrorCode::Aborted => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
