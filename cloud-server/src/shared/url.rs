use std::{fmt, str::FromStr};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The address of a Redis server, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`.
///
/// ```
/// use cloud_server::RedisUrl;
///
/// let url: RedisUrl = "redis://:secret@cache.example/2".parse()?;
/// assert_eq!(url.to_string(), "redis://cache.example:6379/2");
/// # Ok::<(), cloud_server::RedisUrlError>(())
/// ```
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

/// Why a text is not a [`RedisUrl`]. No message repeats it, because it may have a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// The address is one with TLS.
    #[error(
        "expected `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, found an address with TLS, which is not supported; use a private network, or a tunnel such as stunnel"
    )]
    Tls,
    /// User or password have a character that ends them in a URL.
    #[error(
        "expected `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, found `@` after a `/`, `?` or `#`; write `/` in user and password as %2F, `?` as %3F and `#` as %23"
    )]
    Unescaped,
    /// Something else.
    #[error("expected `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, found {found}")]
    Other {
        /// What is wrong.
        found: &'static str,
    },
}

impl RedisUrl {
    pub(super) fn info(&self) -> &ConnectionInfo {
        &self.0
    }

    /// Number of the database.
    pub(super) fn database(&self) -> i64 {
        self.0.redis_settings().db()
    }

    /// The password; empty without one.
    pub(super) fn password(&self) -> &str {
        self.0.redis_settings().password().unwrap_or_default()
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let other = |found| RedisUrlError::Other { found };
        if text.starts_with("rediss://") {
            return Err(RedisUrlError::Tls);
        }
        let rest = text.strip_prefix("redis://");
        let rest = rest.ok_or(other("a text that does not begin with `redis://`"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains('@') {
            return Err(RedisUrlError::Unescaped);
        }
        if path.contains(['?', '#']) {
            return Err(other("parameters after the database, which have no meaning here"));
        }
        if authority.is_empty() || authority.ends_with('@') {
            return Err(other("no host"));
        }
        let database = path.trim_start_matches('/');
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err(other("a database that is not a number"));
        }
        text.into_connection_info().map(Self).map_err(|_| other("a host or port that is none"))
    }
}

/// Without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, port) if host.contains(':') => {
                write!(f, "redis://[{host}]:{port}")
            }
            address => write!(f, "redis://{address}"),
        }?;
        write!(f, "/{}", self.0.redis_settings().db())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        let shown = |text: &str| text.parse::<RedisUrl>().unwrap().to_string();
        assert_eq!(shown("redis://10.0.0.7"), "redis://10.0.0.7:6379/0");
        assert_eq!(shown("redis://cache:7000/3"), "redis://cache:7000/3");
        assert_eq!(shown("redis://[::1]:7000"), "redis://[::1]:7000/0");
        assert_eq!(shown("redis://ann:pa%2Fss@cache"), "redis://cache:6379/0");
        let url: RedisUrl = "redis://ann:pa%2Fss@cache".parse().unwrap();
        assert_eq!(url.password(), "pa/ss");
        assert!(!format!("{url:?}").contains("pa"), "{url:?}");
    }

    #[test]
    fn a_refused_address_is_explained_and_not_repeated() {
        for (text, part) in [
            ("", "`redis://`"),
            ("cache:6379", "does not begin"),
            ("http://ann:secret@cache", "does not begin"),
            ("rediss://ann:secret@cache", "TLS"),
            ("redis://ann:1/secret@cache", "%2F"),
            ("redis://ann:1#secret@cache", "%23"),
            ("redis://", "no host"),
            ("redis://ann:secret@", "no host"),
            ("redis://ann:secret@cache/shop", "a database"),
            ("redis://ann:secret@cache/-1", "a database"),
            ("redis://ann:secret@cache/0?protocol=resp3", "parameters"),
            ("redis://ann:secret@cache:99999", "a host or port"),
            ("redis://ann:secret@ca che", "a host or port"),
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
