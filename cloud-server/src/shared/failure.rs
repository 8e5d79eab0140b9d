use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Maximum time of a command: a request waits for it.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_millis(100);

/// Why Redis is not used, in one line without user and password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisFailure {
    /// It does not answer, or not yet.
    #[error("{0}")]
    Unreachable(String),
    /// It refuses the user or the commands, or is no Redis: waiting does not help.
    #[error("{0}")]
    Refused(String),
}

impl RedisFailure {
    /// No answer in time.
    pub(super) fn timeout() -> Self {
        Self::Unreachable(format!("no answer within {} ms", COMMAND_TIMEOUT.as_millis()))
    }

    /// Of a connection that selects `database`.
    pub(super) fn new(error: &RedisError, database: i64) -> Self {
        let refused = |text: &str| Self::Refused(text.to_owned());
        let no_redis = "it is not a Redis server without TLS: it answers in another protocol";
        match error.kind() {
            ErrorKind::AuthenticationFailed => refused(
                "it refuses user or password; correct them in --redis, and write `/` as %2F, `?` as %3F, `#` as %23",
            ),
            ErrorKind::Parse => refused(no_redis),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown,
            ) => Self::Unreachable(line(error)),
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot) => {
                refused("it is a cluster; expected a single Redis server")
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Refused(format!(
                "the user has too few rights ({}); see docs/scaling.md",
                error.detail().map(one_line).unwrap_or_default()
            )),
            ErrorKind::Server(_) if error.code() == Some("NOAUTH") => {
                refused("it demands a password; give one in --redis")
            }
            ErrorKind::Server(_) if line(error).contains("switch database") => Self::Refused(
                format!("it has no database {database}; correct the number in --redis"),
            ),
            ErrorKind::Server(_) => Self::Refused(line(error)),
            _ => Self::Unreachable(line(error)),
        }
    }

    /// Of an attempt to connect. A server that wants TLS may close the connection instead of answering.
    pub(super) fn to_connect(error: &RedisError, database: i64) -> Self {
        if error.is_connection_dropped() && !error.is_connection_refusal() {
            return Self::Unreachable(format!(
                "the connection was closed without an answer ({}); expected a Redis server without TLS",
                line(error)
            ));
        }
        Self::new(error, database)
    }

    /// Whether waiting does not help.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

fn line(error: &RedisError) -> String {
    one_line(&error.to_string())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
