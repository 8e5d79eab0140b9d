use std::collections::VecDeque;

use serde::Serialize;

/// Number of errors that are kept.
const MAX: usize = 100;

/// A response with a status of 500 or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct RecentError {
    /// When, in milliseconds since 1970.
    pub(crate) at: u64,
    /// One of a fixed set of routes.
    pub(crate) route: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// Code of the error.
    pub(crate) code: Option<&'static str>,
    /// What happened, if the code has several causes.
    pub(crate) cause: Option<&'static str>,
    /// Id of the request, with which the log has the reason.
    pub(crate) request: String,
}

/// The last errors.
#[derive(Debug, Default)]
pub(super) struct RecentErrors(VecDeque<RecentError>);

impl RecentErrors {
    pub(super) fn push(&mut self, error: RecentError) {
        self.0.truncate(MAX - 1);
        self.0.push_front(error);
    }

    pub(super) fn newest_first(&self) -> Vec<RecentError> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_errors_are_kept() {
        let mut errors = RecentErrors::default();
        for at in 0..2 * MAX as u64 {
            let request = at.to_string();
            errors.push(RecentError {
                at,
                route: "other",
                status: 500,
                code: None,
                cause: None,
                request,
            });
        }
        let kept = errors.newest_first();
        assert_eq!((kept.len(), kept[0].at), (MAX, 2 * MAX as u64 - 1));
    }
}
