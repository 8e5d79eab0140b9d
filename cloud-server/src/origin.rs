//! Web origins, whose pages may call the server.

use std::{fmt, str::FromStr};

use actix_web::http::Uri;

use crate::secrets::without_credentials;

/// A web origin (RFC 6454) that may call the server, or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// All origins.
    Any,
    /// This origin, `scheme://host[:port]`. Apps and browser extensions have schemes of their own
    /// (`capacitor://localhost`, `chrome-extension://<id>`).
    One(String),
}

/// The text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as `https://shop.example`, or `*`, found `{found}`")]
pub struct OriginError {
    /// The text, without user and password.
    pub found: String,
}

impl Origin {
    /// Whether this is, or includes, the value of an `Origin` header.
    #[must_use]
    pub fn allows(&self, header: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(origin) => origin.eq_ignore_ascii_case(header),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(origin) => f.write_str(origin),
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let error = || OriginError { found: without_credentials(text) };
        let origin = text.strip_suffix('/').unwrap_or(text);
        let uri: Uri = origin.parse().map_err(|_| error())?;
        let is_origin = uri.scheme_str().is_some_and(|scheme| !scheme.is_empty())
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path() == "/"
            && uri.query().is_none()
            && !origin.ends_with('/')
            && !origin.contains(['@', '#', '*']);
        if is_origin { Ok(Self::One(origin.to_ascii_lowercase())) } else { Err(error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let one = |text: &str| Ok(Origin::One(text.to_owned()));
        assert_eq!("*".parse(), Ok(Origin::Any));
        assert_eq!("https://shop.example".parse(), one("https://shop.example"));
        assert_eq!("https://Shop.example/".parse(), one("https://shop.example"));
        assert_eq!("http://localhost:5173".parse(), one("http://localhost:5173"));
        for own_scheme in [
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://0f5bd8a4-6f2c-4b8e-9d8f-3c8f6a1d2b3c",
        ] {
            assert_eq!(own_scheme.parse(), one(own_scheme));
        }
        for wrong in [
            "",
            "shop.example",
            "https://shop.example/cart",
            "https://shop.example?x",
            "https://user@shop.example",
            "https://user:secret@shop.example",
            "user:secret@shop.example",
            "https://*.shop.example",
            "https://shop.example//",
            "https://",
            "capacitor:",
        ] {
            let error = wrong.parse::<Origin>().unwrap_err();
            let found = format!("found `{}`", without_credentials(wrong));
            assert!(error.to_string().ends_with(&found), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_origin_allows_itself_only() {
        let shop: Origin = "https://shop.example".parse().unwrap();
        assert!(shop.allows("https://shop.example"));
        assert!(!shop.allows("https://shop.example.evil.example"));
        assert!(!shop.allows("http://shop.example"));
        assert!(Origin::Any.allows("null"));
    }
}
