use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::{ParseError, Url};

/// Name of the stream, if the address has none.
const DEFAULT_NAME: &str = "tandem";
/// Maximum length of the name of a stream.
const MAX_NAME: usize = 64;

/// The address of a stream of events in NATS.
#[derive(Clone, PartialEq, Eq)]
pub struct EventStreamUrl {
    /// `nats://HOST:PORT`, without user and password.
    server: String,
    credentials: Option<Credentials>,
    name: String,
}

/// How to log in to NATS.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Token(String),
    Password { user: String, password: String },
}

/// Why a text is not the address of a stream. No message repeats the text, because it may have a
/// password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `nats://USER:PASSWORD@HOST:PORT/NAME` or `tls://…`, of which user, password, port and name may be left out, found {found}"
)]
pub struct EventStreamUrlError {
    /// What was found instead.
    pub found: String,
}

impl EventStreamUrl {
    /// The address of the server, without user and password.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Name of the stream.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The subject of its messages.
    pub(crate) fn subject(&self) -> String {
        format!("{}.events", self.name)
    }
}

impl FromStr for EventStreamUrl {
    type Err = EventStreamUrlError;

    fn from_str(text: &str) -> Result<Self, EventStreamUrlError> {
        let refused = |found: &str| EventStreamUrlError { found: found.to_owned() };
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if rest[end..].contains('@') {
            return Err(refused(
                "`@` after a `/`, `?` or `#`; write `/` in user and password as %2F, `?` as %3F and `#` as %23",
            ));
        }
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::InvalidPort => refused("a port that is not a number from 0 to 65535"),
            ParseError::RelativeUrlWithoutBase => refused("a text without `nats://`"),
            ParseError::EmptyHost => refused("no host"),
            error => refused(&format!("no URL ({error})")),
        })?;
        let scheme = url.scheme();
        if !matches!(scheme, "nats" | "tls") {
            return Err(refused(&format!("the scheme `{scheme}`")));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| refused("no host"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("a `?` or `#`"));
        }
        let name = match url.path().trim_matches('/') {
            "" => DEFAULT_NAME,
            name => name,
        };
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if name.len() > MAX_NAME || !name.bytes().all(is_plain) {
            return Err(refused(
                "a name of a stream that is not 1 to 64 letters, digits, `-` or `_`",
            ));
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| refused("a user or password that is not UTF-8"))
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (token, None) => Some(Credentials::Token(decoded(token)?)),
            (user, Some(password)) => {
                Some(Credentials::Password { user: decoded(user)?, password: decoded(password)? })
            }
        };
        let server = match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(Self { server, credentials, name: name.to_owned() })
    }
}

impl fmt::Display for EventStreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.name)
    }
}

impl fmt::Debug for EventStreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventStreamUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_a_password() {
        let read = |text: &str| text.parse::<EventStreamUrl>().unwrap();
        for (text, shown) in [
            ("nats://10.0.0.7", "nats://10.0.0.7/tandem"),
            ("nats://nats:4333/", "nats://nats:4333/tandem"),
            ("tls://anna:tdm%2Fsecret@nats:4222/shop-1", "tls://nats:4222/shop-1"),
            ("nats://tdm_secret@[::1]:4222", "nats://[::1]:4222/tandem"),
        ] {
            let url = read(text);
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains("secret"), "{url:?}");
        }
        let url = read("nats://anna:tdm%2Fsecret@nats/shop");
        assert_eq!((url.name(), url.subject().as_str()), ("shop", "shop.events"));
        let Some(Credentials::Password { user, password }) = url.credentials() else { panic!() };
        assert_eq!((user.as_str(), password.as_str()), ("anna", "tdm/secret"));
        let token = read("nats://tdm_secret@nats");
        let Some(Credentials::Token(token)) = token.credentials() else { panic!() };
        assert_eq!(token, "tdm_secret");
    }

    #[test]
    fn other_texts_are_refused_without_repeating_them() {
        for (text, part) in [
            ("", "without `nats://`"),
            ("nats", "without `nats://`"),
            ("http://anna:tdm_secret@nats", "the scheme `http`"),
            ("nats://", "no host"),
            ("nats://anna:tdm_secret#@nats", "`#` as %23"),
            ("nats://anna:1/tdm_secret@nats", "`/` in user and password as %2F"),
            ("nats://anna:pa/tdm_secret@nats", "`/` in user and password as %2F"),
            ("nats://nats/tdm_secret.events", "a name of a stream"),
            ("nats://nats?token=tdm_secret", "a `?`"),
            ("nats://nats:99999/x", "a port that is not a number"),
        ] {
            let error = text.parse::<EventStreamUrl>().unwrap_err().to_string();
            assert!(!error.contains("tdm_secret"), "{text}: {error}");
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
