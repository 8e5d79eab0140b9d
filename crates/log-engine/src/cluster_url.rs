//! The address of a cluster.

use std::{fmt, str::FromStr};

/// The address of the scheduler of a Ballista cluster: `df://HOST:PORT`.
///
/// ```
/// use tandem_log_engine::ClusterUrl;
///
/// let url: ClusterUrl = "df://10.0.0.5:50050".parse()?;
/// assert_eq!(url.to_string(), "df://10.0.0.5:50050");
/// assert!("http://10.0.0.5:50050".parse::<ClusterUrl>().is_err());
/// # Ok::<(), tandem_log_engine::ClusterUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterUrl {
    host: String,
    port: u16,
}

/// Why a text is not a [`ClusterUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the address of a scheduler as `df://HOST:PORT`, found {found:?}")]
pub struct ClusterUrlError {
    /// What was found instead.
    pub found: String,
}

impl FromStr for ClusterUrl {
    type Err = ClusterUrlError;

    fn from_str(text: &str) -> Result<Self, ClusterUrlError> {
        let refused = || ClusterUrlError { found: text.to_owned() };
        let address = text.strip_prefix("df://").ok_or_else(refused)?;
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let is_host = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        if is_host { Ok(Self { host: host.to_owned(), port }) } else { Err(refused()) }
    }
}

impl fmt::Display for ClusterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl ClusterUrl {
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_no_clusters() {
        assert_eq!("df://[::1]:5".parse::<ClusterUrl>().unwrap().host(), "[::1]");
        for text in ["", "df://", "df://host", "df://:5", "df://host:x", "df://a@b:5", "host:5"] {
            assert!(text.parse::<ClusterUrl>().is_err(), "{text}");
        }
    }
}
