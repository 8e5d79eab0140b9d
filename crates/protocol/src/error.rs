use std::fmt;

use serde::{Deserialize, Serialize};

/// Every error that can cross a wire, a worker or the WebAssembly boundary.
///
/// The code is for programs and stays; the message beside it is for people and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The body is not JSON, or not of the documented shape.
    InvalidRequest,
    /// A field's value is outside what is allowed.
    InvalidField,
    /// The body is larger than the server reads.
    PayloadTooLarge,
    /// No such resource.
    NotFound,
    /// The method is not allowed on this resource.
    MethodNotAllowed,
    /// The `Content-Type` is not JSON.
    UnsupportedMediaType,
    /// The model is still being loaded.
    NotReady,
    /// All places in the queue are taken: come again after `Retry-After`.
    Overloaded,
    /// The model did not answer in time.
    Timeout,
    /// A fault of the server.
    Internal,
    /// The server could not be reached (seen from the device).
    Unreachable,
    /// The server answered with something this version cannot read.
    BadResponse,
    /// An artefact's bytes do not have the hash the manifest names.
    Integrity,
    /// An artefact is of a newer version than this client.
    UnsupportedVersion,
    /// An artefact is damaged or of a foreign format.
    InvalidArtifact,
    /// A list or a saved session is of another catalogue than the model.
    CatalogueChanged,
    /// The call was made with arguments that make no sense.
    InvalidArgument,
    /// No WebGPU adapter.
    NoAdapter,
    /// The GPU went away.
    DeviceLost,
    /// The recommender was disposed of.
    Disposed,
    /// The caller aborted.
    Aborted,
}

impl ErrorCode {
    /// The code as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidField => "invalid_field",
            Self::PayloadTooLarge => "payload_too_large",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::NotReady => "not_ready",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unreachable => "unreachable",
            Self::BadResponse => "bad_response",
            Self::Integrity => "integrity",
            Self::UnsupportedVersion => "unsupported_version",
            Self::InvalidArtifact => "invalid_artifact",
            Self::CatalogueChanged => "catalogue_changed",
            Self::InvalidArgument => "invalid_argument",
            Self::NoAdapter => "no_adapter",
            Self::DeviceLost => "device_lost",
            Self::Disposed => "disposed",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as the server sends it: `application/problem+json` (RFC 9457) with two
/// members of our own, `code` and `field`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank`: [`Problem::code`] is what tells errors apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do, for a person.
    pub detail: String,
    /// What happened, for a program.
    pub code: ErrorCode,
    /// The field of the request that is at fault, as a path (`history[3]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelt_the_same_in_json_and_in_text() {
        for code in [ErrorCode::InvalidRequest, ErrorCode::NoAdapter, ErrorCode::Aborted] {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
        }
    }
}
