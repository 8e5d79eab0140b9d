//! Sessions of a dataset replayed with candidate lists that were made before: what fusion,
//! learning and decision are chosen and measured on.

mod observed;

use std::collections::{BTreeSet, HashMap};

use tandem_dataset::{Dataset, ItemIndex};
use tandem_session::Settings;

pub use observed::ObservedSession;
pub(crate) use observed::{CallsAndQuality, simulate};

use crate::{EvaluationError, SessionProtocol, SessionReport, SimulatedDevice};

/// Time between two clicks, in milliseconds. A bare policy does not look at it.
const MS_BETWEEN_CLICKS: f64 = 20_000.0;

/// Candidates with log-probabilities (nats), best first.
pub type CandidateList = Vec<(ItemIndex, f32)>;

/// Candidate lists by user (position in the dataset) and number of the user's items that the
/// list was made for.
pub type CandidateLists = HashMap<(usize, usize), CandidateList>;

/// Reports how far a long pass over the users is.
pub trait Progress: Sync {
    /// A pass over `users` users begins. The returned function is called with the number of
    /// users that were finished, from several threads, and dropped at the end.
    fn begin(&self, task: &str, users: usize) -> Box<dyn Fn(usize) + Send + Sync>;
}

/// The parts of a session that stay the same under all settings.
#[derive(Clone, Copy)]
pub struct SessionReplay<'a> {
    dataset: &'a Dataset,
    device: SimulatedDevice<'a>,
    lists: &'a CandidateLists,
    progress: &'a dyn Progress,
}

/// Users, and the part of their items that is a session.
#[derive(Clone, Debug)]
pub struct Sessions {
    protocol: SessionProtocol,
    users: Vec<usize>,
}

impl Sessions {
    /// The same sessions on a device that learns or does not.
    #[must_use]
    pub fn learning(&self, learn: bool) -> Self {
        Self { protocol: SessionProtocol { learn, ..self.protocol }, users: self.users.clone() }
    }

    /// Positions of the users in the dataset, ascending.
    #[must_use]
    pub fn users(&self) -> &[usize] {
        &self.users
    }
}

impl<'a> SessionReplay<'a> {
    /// Replays sessions of `dataset` on such devices, whatever their settings; the cloud answers
    /// with `lists`.
    #[must_use]
    pub fn new(
        dataset: &'a Dataset,
        device: SimulatedDevice<'a>,
        lists: &'a CandidateLists,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { dataset, device, lists, progress }
    }

    /// The sessions of `clicks` clicks before the newest `skip` interactions that have a list
    /// for every click. Their devices do not learn; see [`Sessions::learning`].
    ///
    /// # Errors
    /// [`EvaluationError::NoSession`] if there is none.
    pub fn sessions(&self, clicks: usize, skip: usize) -> Result<Sessions, EvaluationError> {
        let protocol =
            SessionProtocol { clicks, skip, ms_between_clicks: MS_BETWEEN_CLICKS, learn: false };
        let users: BTreeSet<usize> = self.lists.keys().map(|(user, _)| *user).collect();
        let is_complete = |user: &usize| {
            let cut = self.dataset.sequences.get(*user).and_then(|items| protocol.cut(items));
            cut.is_some_and(|(before, live)| {
                (0..live.len()).all(|click| self.lists.contains_key(&(*user, before.len() + click)))
            })
        };
        let users: Vec<usize> = users.into_iter().filter(is_complete).collect();
        if users.is_empty() {
            return Err(EvaluationError::NoSession { clicks, skip });
        }
        Ok(Sessions { protocol, users })
    }

    /// Runs the sessions under `settings`. `task` names the pass in the progress report.
    ///
    /// # Errors
    /// As [`SessionProtocol::run`].
    pub fn run(
        &self,
        sessions: &Sessions,
        settings: &Settings,
        task: &str,
    ) -> Result<SessionReport, EvaluationError> {
        let done = self.progress.begin(task, sessions.users.len());
        let list = |user, items: &[ItemIndex]| self.list(user, items.len());
        sessions.protocol.run(self.dataset, &sessions.users, self.device(settings), done, list)
    }

    /// The device under these settings.
    fn device<'b>(&'b self, settings: &'b Settings) -> SimulatedDevice<'b> {
        SimulatedDevice { settings, ..self.device }
    }

    /// The list for the first `length` items of a user.
    fn list(&self, user: usize, length: usize) -> Result<&'a CandidateList, EvaluationError> {
        self.lists.get(&(user, length)).ok_or(EvaluationError::MissingList { user, length })
    }
}

impl std::fmt::Debug for SessionReplay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (users, lists) = (self.dataset.sequences.len(), self.lists.len());
        f.debug_struct("SessionReplay").field("users", &users).field("lists", &lists).finish()
    }
}
