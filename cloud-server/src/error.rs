use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use tandem_protocol::{ErrorCode, Problem};

use crate::error_table::{self, ErrorRow};

/// Media type of every error response (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a client may retry while the model is loading.
const LOADING_RETRY_S: u64 = 2;
/// Seconds after which another process, or this one, may have room.
const BUSY_RETRY_S: u64 = 1;
/// Seconds until the file system is tried again.
const STORAGE_RETRY_S: u64 = 10;
/// Seconds until the event log is tried again: its operator may have moved the file.
const FULL_RETRY_S: u64 = 60;

/// Why a request was refused with a code that has several causes, for the admin page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCause(pub(crate) &'static str);

/// Every error that a request handler can return.
///
/// The message is for the person who reads the response: what was expected, what was found,
/// what to do. Of the request it contains at most the name of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The body is not JSON or not an object of the documented fields.
    #[error("{detail}")]
    InvalidRequest {
        /// What was expected and found.
        detail: String,
    },
    /// A field has the wrong type or is out of range.
    #[error("{field}: {detail}")]
    InvalidField {
        /// Path of the field (`history[3]`).
        field: String,
        /// What was expected and found.
        detail: String,
    },
    /// The body exceeds the size limit.
    #[error("the body is larger than {limit} bytes; send fewer items")]
    PayloadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// No route has this path.
    #[error("no route has this path; /openapi.json describes the routes")]
    NotFound,
    /// No release on disk has this file.
    #[error("no release has this file; request /v1/manifest and load the files it names")]
    ArtifactNotFound,
    /// Neither the catalogue nor the database has this item.
    #[error("there is no item `{item}`")]
    ItemNotFound {
        /// The id in the request.
        item: String,
    },
    /// The route needs a part of the server that was not started.
    #[error("this server {lacks}; start it with {option}")]
    NotStarted {
        /// What the server does not have or do.
        lacks: &'static str,
        /// The option that it needs.
        option: &'static str,
    },
    /// The server has no folder of releases.
    #[error("this server has no folder of releases; start it with --release")]
    NoReleases,
    /// The folder of releases has none of this name.
    #[error("there is no release {release}; GET /v1/releases lists them")]
    ReleaseNotFound {
        /// The name in the request.
        release: String,
    },
    /// The state of the releases does not allow the request now.
    #[error("{detail}")]
    Conflict {
        /// What is in the way, and what to do.
        detail: String,
    },
    /// A release cannot be used, or an upload is no release.
    #[error("the release {release} is refused: {reason}")]
    ReleaseRefused {
        /// The name of the release.
        release: String,
        /// What was expected and found.
        reason: String,
    },
    /// An uploaded release exceeds the limit.
    #[error("the release is larger than {limit} bytes; raise --release-max-size of the server")]
    ReleaseTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The route exists, but not for this method.
    #[error("this route allows only the methods {allow}")]
    MethodNotAllowed {
        /// Value of the `Allow` header.
        allow: &'static str,
    },
    /// The request has no valid key.
    #[error("expected `Authorization: Bearer KEY` with a key of this server")]
    Unauthorized,
    /// The key does not allow this route.
    #[error("this route needs an admin key")]
    Forbidden,
    /// The key does not allow pages of this origin.
    #[error("the key does not allow pages of this origin; use a key made with this --origin")]
    ForeignOrigin,
    /// The device holds a release that the server does not have.
    #[error("the server does not have release {release}; load /v1/manifest and its files again")]
    UnknownRelease {
        /// The name in the request.
        release: String,
    },
    /// The client has sent too many requests.
    #[error("too many requests of this client or key; retry after `Retry-After` seconds")]
    RateLimited {
        /// Wait in seconds.
        retry_after_s: u64,
    },
    /// The body's media type is not JSON.
    #[error("expected a body with `Content-Type: application/json`")]
    UnsupportedMediaType,
    /// The body's media type is not one of lines.
    #[error("expected a body with `Content-Type: application/x-ndjson` or `text/csv`")]
    UnsupportedLines,
    /// The body is compressed.
    #[error("expected a body without `Content-Encoding`; send it uncompressed")]
    UnsupportedEncoding,
    /// The language model is still loading.
    #[error("the language model is still loading; retry after `Retry-After` seconds")]
    NotReady,
    /// No server of `--generator` answers with the catalogue of this one.
    #[error("no server that makes lists answers; retry after `Retry-After` seconds")]
    NoGenerator,
    /// The queue is full.
    #[error("the queue is full; retry after `Retry-After` seconds")]
    Overloaded {
        /// Estimated wait in seconds.
        retry_after_s: u64,
    },
    /// Connections or bodies use everything they may.
    #[error(
        "the server has too many connections or large bodies; retry after `Retry-After` seconds"
    )]
    Busy,
    /// The server is shutting down.
    #[error("the server is shutting down; retry after `Retry-After` seconds")]
    ShuttingDown,
    /// A file of the event log has reached its maximum size, or the disk is full.
    #[error("the event log is full, which its operator has to change; events are not logged")]
    EventLogFull,
    /// The disk of the database is full.
    #[error("the disk of the server's database is full, which its operator has to change")]
    StorageFull,
    /// The file or the tables of the database are gone, or of another version.
    #[error(
        "the server's database was removed or changed, which its operator has to repair: the log of the server says how"
    )]
    StorageLost,
    /// The file system or the database does not answer.
    #[error("the server's storage does not answer; retry after `Retry-After` seconds")]
    StorageTimeout,
    /// NATS does not answer.
    #[error("the server's event stream does not answer; retry after `Retry-After` seconds")]
    EventStreamTimeout,
    /// The deadline passed.
    #[error("the language model did not answer within {seconds} s; retry later")]
    Timeout {
        /// The deadline in seconds after the arrival of the request.
        seconds: u64,
    },
    /// A body of lines was not read to its end.
    #[error("{error}; {}", stored_lines(*.line))]
    PartlyStored {
        /// Why not.
        error: Box<ApiError>,
        /// The last line that was read and, unless it was refused, stored; 0 for none.
        line: u64,
    },
    /// The server failed; the log has the reason.
    #[error("the server failed; its log has the reason")]
    Internal,
}

impl ApiError {
    /// The server was started without a database.
    pub(crate) const NO_STORAGE: Self =
        Self::NotStarted { lacks: "has no database", option: "--storage" };
    /// The server was started without a place for events.
    pub(crate) const NO_EVENTS: Self =
        Self::NotStarted { lacks: "accepts no events", option: "--store-events or --events" };

    /// The error of a body of lines, whose lines up to `line` were read and stored.
    pub(crate) fn partly_stored(error: Self, line: u64) -> Self {
        Self::PartlyStored { error: Box::new(error), line }
    }

    /// The row of this error in the table of errors.
    fn row(&self) -> &'static ErrorRow {
        match self {
            Self::InvalidRequest { .. } => &error_table::INVALID_REQUEST,
            Self::InvalidField { .. } => &error_table::INVALID_FIELD,
            Self::PayloadTooLarge { .. } | Self::ReleaseTooLarge { .. } => {
                &error_table::PAYLOAD_TOO_LARGE
            }
            Self::NotFound
            | Self::ArtifactNotFound
            | Self::ItemNotFound { .. }
            | Self::NotStarted { .. }
            | Self::NoReleases
            | Self::ReleaseNotFound { .. } => &error_table::NOT_FOUND,
            Self::Conflict { .. } => &error_table::CONFLICT,
            Self::ReleaseRefused { .. } => &error_table::RELEASE_REFUSED,
            Self::MethodNotAllowed { .. } => &error_table::METHOD_NOT_ALLOWED,
            Self::Unauthorized => &error_table::UNAUTHORIZED,
            Self::Forbidden | Self::ForeignOrigin => &error_table::FORBIDDEN,
            Self::UnknownRelease { .. } => &error_table::CATALOGUE_CHANGED,
            Self::RateLimited { .. } => &error_table::RATE_LIMITED,
            Self::UnsupportedMediaType | Self::UnsupportedLines | Self::UnsupportedEncoding => {
                &error_table::UNSUPPORTED_MEDIA_TYPE
            }
            Self::NotReady | Self::NoGenerator | Self::ShuttingDown => &error_table::NOT_READY,
            Self::Overloaded { .. }
            | Self::Busy
            | Self::StorageTimeout
            | Self::EventStreamTimeout
            | Self::StorageLost => &error_table::OVERLOADED,
            Self::EventLogFull => &error_table::EVENT_LOG_FULL,
            Self::StorageFull => &error_table::STORAGE_FULL,
            Self::Timeout { .. } => &error_table::TIMEOUT,
            Self::PartlyStored { error, .. } => error.row(),
            Self::Internal => &error_table::INTERNAL,
        }
    }

    /// The error code for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.row().code
    }

    /// The cause, if the code has several.
    fn cause(&self) -> Option<ErrorCause> {
        let cause = match self {
            Self::Overloaded { .. } => "the queue of the model was full",
            Self::Busy => "there were too many connections or large bodies",
            Self::StorageTimeout => "the storage did not answer",
            Self::EventStreamTimeout => "the event stream did not answer",
            Self::NotReady => "the model was loading",
            Self::NoGenerator => "no server that makes lists answered",
            Self::ShuttingDown => "the server was shutting down",
            Self::PartlyStored { error, .. } => return error.cause(),
            _ => return None,
        };
        Some(ErrorCause(cause))
    }

    /// The error for a bare HTTP status, for responses that the web framework creates.
    pub(crate) fn from_status(status: StatusCode) -> Self {
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

    /// The body of the error response with the given status.
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

    /// Value of the `Retry-After` header, in seconds.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Overloaded { retry_after_s } | Self::RateLimited { retry_after_s } => {
                Some(*retry_after_s)
            }
            Self::NotReady | Self::NoGenerator => Some(LOADING_RETRY_S),
            Self::Busy | Self::ShuttingDown => Some(BUSY_RETRY_S),
            Self::StorageTimeout | Self::EventStreamTimeout => Some(STORAGE_RETRY_S),
            Self::PartlyStored { error, .. } => error.retry_after_s(),
            Self::EventLogFull | Self::StorageFull | Self::StorageLost => Some(FULL_RETRY_S),
            _ => None,
        }
    }
}

/// Says which lines of a body are stored.
fn stored_lines(line: u64) -> String {
    match line {
        0 => "nothing of the request is stored".to_owned(),
        line => format!("the lines up to {line} are stored; send those after it again"),
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponseBuilder::new(status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after_s() {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if matches!(self, Self::Unauthorized) {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if matches!(self, Self::UnsupportedEncoding) {
            // RFC 9110, section 15.5.16.
            response.insert_header((header::ACCEPT_ENCODING, "identity"));
        }
        if let Self::MethodNotAllowed { allow } = self {
            response.insert_header((header::ALLOW, *allow));
        }
        response.content_type(PROBLEM_JSON);
        // For the metrics.
        response.extensions_mut().insert(self.code());
        if let Some(cause) = self.cause() {
            response.extensions_mut().insert(cause);
        }
        match serde_json::to_vec(&self.problem(status)) {
            Ok(json) => response.body(json),
            Err(_) => response.finish(),
        }
    }
}
