use std::{io, path::PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is missing or wrong on the machine; the text says what to do.
    #[error("{0}")]
    Machine(String),
    /// A check failed.
    #[error("{0}")]
    Check(String),
    /// Failures that have been printed already.
    #[error("checks failed")]
    Reported {
        /// Exit status of the command.
        status: u8,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}; {remedy}")]
    Start { program: String, source: io::Error, remedy: String },
    /// A program ran and failed; it has printed why.
    #[error("{what} failed ({how}): see its messages above")]
    Child { what: String, how: String, code: Option<i32> },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Ctrl-C or a termination signal.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// For `map_err` on operations on `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Exit status of the command: 2 for what the caller can correct (a missing program, a port
    /// in use) and for child processes that ended with 2, 130 when interrupted, otherwise 1.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Machine(_) | Self::Start { .. } | Self::Child { code: Some(2), .. } => 2,
            Self::Reported { status } => *status,
            Self::Interrupted => 130,
            Self::Check(_) | Self::Child { .. } | Self::File { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_child_status_of_two_is_kept_and_others_become_one() {
        let of = |code| Failure::Child { what: "x".into(), how: "y".into(), code }.status();
        assert_eq!([of(Some(2)), of(Some(101)), of(Some(1)), of(None)], [2, 1, 1, 1]);
        assert_eq!(Failure::Interrupted.status(), 130);
    }
}
