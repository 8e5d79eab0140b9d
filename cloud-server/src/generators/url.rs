use std::{fmt, str::FromStr};

use actix_web::http::Uri;

use crate::secrets::without_credentials;

/// The address of a generator, `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorUrl(String);

/// The text is not the address of a generator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `http://HOST:PORT` of another cloud-server (TLS is not supported: use a private network), found `{found}`"
)]
pub struct GeneratorUrlError {
    /// The text, without user and password.
    pub found: String,
}

impl FromStr for GeneratorUrl {
    type Err = GeneratorUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = text.parse::<Uri>().ok();
        let is_server = uri.is_some_and(|uri| {
            uri.scheme_str() == Some("http")
                && uri.host().is_some_and(|host| !host.is_empty())
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none()
                && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
        });
        if is_server {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(GeneratorUrlError { found: without_credentials(text) })
        }
    }
}

impl fmt::Display for GeneratorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_read() {
        let read = |text: &str| text.parse::<GeneratorUrl>().map(|url| url.to_string());
        assert_eq!(read("http://10.0.0.7:8080/"), Ok("http://10.0.0.7:8080".to_owned()));
        assert_eq!(read("http://models"), Ok("http://models".to_owned()));
        for text in [
            "",
            "models:8080",
            "https://models",
            "http://models/v1",
            "http://models?x=1",
            "http://anna:secret@models",
            "http://",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
