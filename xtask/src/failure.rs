use std::{io, path::PathBuf};

/// Why a chore ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something the machine lacks or holds in a wrong state; the text says what to do.
    #[error("{0}")]
    Machine(String),
    /// What was checked does not hold.
    #[error("{0}")]
    Check(String),
    /// The checks' own output has already told the story.
    #[error("checks failed")]
    Told {
        /// Exit status to end with.
        status: u8,
    },
    /// A program could not be started at all.
    #[error("cannot start {program}: {source}; {remedy}")]
    Start { program: String, source: io::Error, remedy: String },
    /// A program ran and said no; it has already printed why.
    #[error("{what} failed ({how})")]
    Child { what: String, how: String, code: Option<i32> },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Ctrl-C or a termination signal.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// For `map_err` on what touches `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Exit status of the chore: 2 for what the caller can put right (a missing program, a
    /// taken port) and for children that say so by their own status, 130 when interrupted.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Machine(_) | Self::Start { .. } | Self::Child { code: Some(2), .. } => 2,
            Self::Told { status } => *status,
            Self::Interrupted => 130,
            Self::Check(_) | Self::Child { .. } | Self::File { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_childs_status_two_is_passed_on_and_others_become_one() {
        let of = |code| Failure::Child { what: "x".into(), how: "y".into(), code }.status();
        assert_eq!([of(Some(2)), of(Some(101)), of(Some(1)), of(None)], [2, 1, 1, 1]);
        assert_eq!(Failure::Interrupted.status(), 130);
    }
}
