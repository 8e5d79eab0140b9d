use std::{fmt, str::FromStr};

use actix_web::http::Uri;

use crate::secrets::without_credentials;

/// Path of an OTLP collector for traces.
const PATH: &str = "/v1/traces";

/// Address of an OTLP collector that accepts traces over HTTP. It may have a user and a password,
/// which are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpEndpoint {
    url: String,
    /// The address without user and password.
    shown: String,
}

/// The text is no address of a collector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an `http` address with a host.
    #[error("expected an address such as `http://127.0.0.1:4318`, found `{found}`")]
    Malformed {
        /// The text, without user and password.
        found: String,
    },
    /// An address that needs TLS.
    #[error(
        "expected `http://`, found `https://`: run a collector on this machine or in its network, \
         which sends traces on over TLS"
    )]
    Tls,
}

impl OtlpEndpoint {
    /// The whole address, with the path for traces, user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address without user and password, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl FromStr for OtlpEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed { found: without_credentials(text) };
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Tls),
            _ => return Err(malformed()),
        }
        let is_address = uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
            && !text.contains('#')
            // Probably a part of a password with a `/`.
            && !uri.path().contains('@');
        if !is_address {
            return Err(malformed());
        }
        let url = match uri.path() {
            "" | "/" => format!("{}{PATH}", text.trim_end_matches('/')),
            _ => text.to_owned(),
        };
        let shown = match url.rsplit_once('@') {
            Some((_, rest)) => format!("http://{rest}"),
            None => url.clone(),
        };
        Ok(Self { url, shown })
    }
}

/// Without user and password.
impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_for_traces_is_added_unless_there_is_a_path() {
        for (text, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("http://collector/otlp/v1/traces", "http://collector/otlp/v1/traces"),
        ] {
            assert_eq!(text.parse::<OtlpEndpoint>().unwrap().url(), url);
        }
    }

    #[test]
    fn a_password_is_used_and_not_shown() {
        let endpoint: OtlpEndpoint = "http://anna:s3cret@collector:4318".parse().unwrap();
        assert_eq!(endpoint.url(), "http://anna:s3cret@collector:4318/v1/traces");
        let shown = format!("{endpoint} {endpoint:?}");
        assert_eq!(shown, "http://collector:4318/v1/traces http://collector:4318/v1/traces");
        for text in ["http://anna:s3cret@c/?a=b", "ftp://anna:s3cret@c", "http://c:1/s3cret@d"] {
            let error = text.parse::<OtlpEndpoint>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        assert_eq!("https://collector".parse::<OtlpEndpoint>(), Err(EndpointError::Tls));
        for text in ["", "collector:4318", "/v1/traces", "grpc://collector", "http://c/?a=b"] {
            let refused = text.parse::<OtlpEndpoint>();
            assert!(matches!(refused, Err(EndpointError::Malformed { .. })), "{text}");
        }
    }
}
