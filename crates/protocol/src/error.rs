use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines [`ErrorCode`] from one table of codes, JSON names and descriptions.
macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $name:literal,)+) => {
        /// Code of an error that crosses the network, a worker or the WebAssembly boundary.
        ///
        /// Programs act on the code, which does not change. The message beside it is for
        /// people and may change.
        ///
        /// ```
        /// use tandem_protocol::ErrorCode;
        ///
        /// assert_eq!(ErrorCode::NotReady.as_str(), "not_ready");
        /// ```
        // Not a name for each code: the derive macro of OpenAPI ignores names from this table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "WireErrorCode"))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $code,)+
        }

        impl ErrorCode {
            /// All codes, in the order of their definition.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The code as written in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON, or does not have the documented fields.
    InvalidRequest = "invalid_request",
    /// The value of a field is outside the allowed range.
    InvalidField = "invalid_field",
    /// The body is larger than the server accepts.
    PayloadTooLarge = "payload_too_large",
    /// The requested resource does not exist.
    NotFound = "not_found",
    /// The resource does not support the HTTP method.
    MethodNotAllowed = "method_not_allowed",
    /// The server or a gateway refused the key, or the key does not allow this.
    Unauthorized = "unauthorized",
    /// The `Content-Type` is not JSON.
    UnsupportedMediaType = "unsupported_media_type",
    /// The model is still being loaded.
    NotReady = "not_ready",
    /// The queue is full; retry after `Retry-After`.
    Overloaded = "overloaded",
    /// The client, or its key, has sent too many requests; retry after `Retry-After`.
    RateLimited = "rate_limited",
    /// The server's event log, or its disk, is full: events are not logged.
    EventLogFull = "event_log_full",
    /// The disk of the server's database is full: nothing of the request is stored, except the lines
    /// of items that `detail` names.
    StorageFull = "storage_full",
    /// The state of the resource does not allow this now.
    Conflict = "conflict",
    /// A release cannot be used, or an upload is no release.
    ReleaseRefused = "release_refused",
    /// The model did not respond in time.
    Timeout = "timeout",
    /// An error inside the server.
    Internal = "internal",
    /// The device could not reach the server.
    Unreachable = "unreachable",
    /// The server's response cannot be read by this version.
    BadResponse = "bad_response",
    /// The bytes of an artefact do not have the hash that the manifest names.
    Integrity = "integrity",
    /// An artefact was written by a newer version than this client.
    UnsupportedVersion = "unsupported_version",
    /// An artefact is damaged or has an unknown format.
    InvalidArtifact = "invalid_artifact",
    /// A list or a stored session belongs to another catalogue than the model, or the server does
    /// not have the release that the device holds.
    CatalogueChanged = "catalogue_changed",
    /// An argument of the call is invalid.
    InvalidArgument = "invalid_argument",
    /// The item is not in the catalogue.
    UnknownItem = "unknown_item",
    /// There is no WebGPU adapter.
    NoAdapter = "no_adapter",
    /// The GPU device was lost.
    DeviceLost = "device_lost",
    /// The recommender was disposed of.
    Disposed = "disposed",
    /// The caller aborted the call.
    Aborted = "aborted",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error response of the server: `application/problem+json` (RFC 9457) with the additional
/// members `code` and `field`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`; errors are told apart by [`Problem::code`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Reason phrase of the HTTP status.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What happened and what to do about it, for people.
    pub detail: String,
    /// What happened, for programs.
    pub code: ErrorCode,
    /// Path of the invalid field in the request (for example `history[3]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_one_snake_case_name_in_json_and_text() {
        let mut names = HashSet::new();
        for code in ErrorCode::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<ErrorCode>(&json).unwrap(), *code);
            // `NotReady` is written `not_ready`.
            let words: String = format!("{code:?}")
                .chars()
                .flat_map(|c| if c.is_uppercase() { vec!['_', c] } else { vec![c] })
                .collect();
            assert_eq!(code.as_str(), words.trim_start_matches('_').to_lowercase());
            assert!(names.insert(code.as_str()), "{code} is used twice");
        }
        assert_eq!(names.len(), 28, "a new code needs a row in the tables of the documentation");
    }
}
