//! Live sessions of a dataset with their candidate lists: what fusion and decision are chosen
//! and measured on.

mod study;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::{SessionProtocol, SessionReport};
use tandem_session::Settings;

pub(crate) use study::{Observed, expects, simulate};

use crate::{
    failure::BadInput,
    lists::{self, ListsByPrefix},
    small_model::{SmallModel, bar},
};

/// Between two clicks; with a bare policy nothing depends on it.
const MS_BETWEEN_CLICKS: f64 = 20_000.0;

/// What sessions are made of, whatever the settings.
pub(crate) struct SessionReplay<'a> {
    dataset: &'a Dataset,
    model: SmallModel,
    lists: ListsByPrefix,
    path: PathBuf,
}

/// Users, and the part of their items that is a session.
pub(crate) struct Sessions {
    protocol: SessionProtocol,
    users: Vec<usize>,
}

impl Sessions {
    /// The same sessions, in which the device learns or does not.
    pub(crate) fn learning(&self, learn: bool) -> Self {
        Self { protocol: SessionProtocol { learn, ..self.protocol }, users: self.users.clone() }
    }
}

impl<'a> SessionReplay<'a> {
    /// A device's model and the lists of a file.
    pub(crate) fn new(dataset: &'a Dataset, model: SmallModel, path: &Path) -> Result<Self> {
        let lists = lists::load(path, dataset)?;
        Ok(Self { dataset, model, lists, path: path.to_owned() })
    }

    /// The device's model.
    pub(crate) fn model(&self) -> &SmallModel {
        &self.model
    }

    /// The sessions of `clicks` before the newest `skip` interactions whose lists are all
    /// there.
    pub(crate) fn sessions(&self, clicks: usize, skip: usize) -> Result<Sessions> {
        let protocol =
            SessionProtocol { clicks, skip, ms_between_clicks: MS_BETWEEN_CLICKS, learn: false };
        let users: BTreeSet<usize> = self.lists.keys().map(|(user, _)| *user).collect();
        let whole = |user: &usize| {
            let cut = self.dataset.sequences.get(*user).and_then(|items| protocol.cut(items));
            cut.is_some_and(|(before, live)| {
                (0..live.len()).all(|click| self.lists.contains_key(&(*user, before.len() + click)))
            })
        };
        let users: Vec<usize> = users.into_iter().filter(whole).collect();
        if users.is_empty() {
            let text = format!(
                "{}: expected a list for every click of a session of {clicks} before the newest {skip} interactions, found no such session; make them with `tandem lists --for session --clicks {clicks}`",
                self.path.display()
            );
            return Err(BadInput(text).into());
        }
        Ok(Sessions { protocol, users })
    }

    /// Runs the sessions as a device would.
    pub(crate) fn run(
        &self,
        sessions: &Sessions,
        settings: &Settings,
        what: &str,
    ) -> Result<SessionReport> {
        let bar = bar(sessions.users.len(), what)?;
        let list = |user: usize, items: &[ItemIndex]| {
            self.lists.get(&(user, items.len())).ok_or_else(|| {
                BadInput(format!("there is no list for {} items of user {user}", items.len()))
            })
        };
        let device = self.model.device(settings);
        let report =
            sessions.protocol.run(self.dataset, &sessions.users, device, |_| bar.inc(1), list)?;
        bar.finish_and_clear();
        Ok(report)
    }
}
