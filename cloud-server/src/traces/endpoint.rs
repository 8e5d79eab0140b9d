use std::{fmt, str::FromStr};

use actix_web::http::Uri;

/// Path of an OTLP collector for traces.
const PATH: &str = "/v1/traces";

/// Address of an OTLP collector that accepts traces over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

/// The text is no address of a collector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an `http` address with a host.
    #[error("expected an address such as `http://127.0.0.1:4318`, found `{found}`")]
    Malformed {
        /// The text.
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
    /// The whole address, with the path for traces.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl FromStr for OtlpEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed { found: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Tls),
            _ => return Err(malformed()),
        }
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() || text.contains('#') {
            return Err(malformed());
        }
        Ok(Self(match uri.path() {
            "" | "/" => format!("{}{PATH}", text.trim_end_matches('/')),
            _ => text.to_owned(),
        }))
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    fn other_addresses_are_refused() {
        assert_eq!("https://collector".parse::<OtlpEndpoint>(), Err(EndpointError::Tls));
        for text in ["", "collector:4318", "/v1/traces", "grpc://collector", "http://c/?a=b"] {
            let refused = text.parse::<OtlpEndpoint>();
            assert!(matches!(refused, Err(EndpointError::Malformed { .. })), "{text}");
        }
    }
}
