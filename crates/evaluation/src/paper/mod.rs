//! The `paper` protocol of `LSC4Rec` (Lv et al., KDD 2025, §4): leave one out, with a language
//! model that has not seen the last two interactions and a device that has.
//!
//! | who | test: target `s[-1]` | validation: target `s[-2]` |
//! |---|---|---|
//! | language model without a request | up to `s[-4]` | up to `s[-5]` |
//! | language model after a request | up to `s[-2]` | up to `s[-3]` |
//! | device | up to `s[-2]` | up to `s[-3]` |
//!
//! [`PaperProtocol::run`] scores both lists of every user with the session code of the browser;
//! [`measure`] fits fusion and thresholds on validation targets and reports all rows on the
//! others.

mod measure;
mod request;

use std::error::Error;

use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_collaboration::{Trigger, UpliftEvidence};
use tandem_dataset::{Dataset, HeldOutTarget, ItemIndex};
use tandem_protocol::{Event, EventKind};

pub use measure::{Measured, Options, measure};
pub use request::{BATCH_OF_USERS, Requests, asking, share_of};

use crate::{
    EvaluationError, Part, ScoredList, SimulatedDevice,
    device::{id, last_logprob},
};

/// Number of newest interactions that the language model has not seen without a request.
pub const STALENESS: usize = 2;

/// Minimum number of items of a user, so that validation and test have the same users.
const SHORTEST: usize = STALENESS + 3;

/// Which targets are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaperProtocol {
    /// Validation for all choices, or test.
    pub part: Part,
}

/// What is known of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaperCut<'a> {
    /// Position of the user in the dataset.
    pub user: usize,
    /// The items that the language model saw when it made the stale list.
    pub stale: &'a [ItemIndex],
    /// The items that the device has seen, and the language model sees after a request.
    pub seen: &'a [ItemIndex],
    /// The item to predict.
    pub target: ItemIndex,
}

/// The two lists of one user, scored by the device.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperUser {
    /// Position of the user in the dataset.
    pub user: usize,
    /// Rank of the target in the unfiltered stale list, from 0: items that were consumed since
    /// are still ranked.
    pub unfiltered: Option<usize>,
    /// The stale list without items that were consumed since.
    pub stale: ScoredList,
    /// The list after a request.
    pub fresh: ScoredList,
    /// What the device knows before a request, if its policy uses the learnt uplift rule.
    pub evidence: Option<PaperEvidence>,
}

/// What the learnt uplift rule knows of one user.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperEvidence {
    /// The evidence under the fusion of the device's settings.
    pub observed: UpliftEvidence,
    /// The stale list when it was new, without a target.
    pub when_new: ScoredList,
}

impl PaperProtocol {
    /// The users with enough items, in the order of the dataset.
    #[must_use]
    pub fn cuts<'a>(&self, dataset: &'a Dataset) -> Vec<PaperCut<'a>> {
        let withheld = match self.part {
            Part::Validation => 2,
            Part::Test => 1,
        };
        let users = dataset.sequences.iter().enumerate();
        users
            .filter(|(_, sequence)| sequence.items.len() >= SHORTEST)
            .map(|(user, sequence)| {
                let end = sequence.items.len() - withheld;
                PaperCut {
                    user,
                    stale: &sequence.items[..end - STALENESS],
                    seen: &sequence.items[..end],
                    target: sequence.items[end],
                }
            })
            .collect()
    }

    /// The history of the device and the target, for models without lists.
    #[must_use]
    pub fn held<'a>(cuts: &[PaperCut<'a>]) -> Vec<HeldOutTarget<'a>> {
        cuts.iter().map(|cut| HeldOutTarget { history: cut.seen, target: cut.target }).collect()
    }

    /// Scores both lists of each user on a simulated device, in parallel. The session starts
    /// with the stale list, then the newer interactions arrive as clicks (and are learnt from
    /// with `learn`), and the fresh list comes last.
    ///
    /// `list` plays the cloud: for a user (position in the dataset) and the items so far it
    /// returns candidates with log-probabilities in nats, best first. `progress` is called
    /// with the number of finished users.
    ///
    /// # Errors
    /// [`EvaluationError::List`] if `list` fails, [`EvaluationError::Session`] if a session
    /// fails.
    pub fn run<L: AsRef<[(ItemIndex, f32)]>, E: Into<Box<dyn Error + Send + Sync>>>(
        cuts: &[PaperCut<'_>],
        dataset: &Dataset,
        device: SimulatedDevice<'_>,
        learn: bool,
        progress: impl Fn(usize) + Sync,
        list: impl Fn(usize, &[ItemIndex]) -> Result<L, E> + Sync,
    ) -> Result<Vec<PaperUser>, EvaluationError> {
        let list = |user, items: &[ItemIndex]| {
            list(user, items).map_err(|error| EvaluationError::List(error.into()))
        };
        cuts.par_iter()
            .map(|cut| {
                let (stale, fresh) = (list(cut.user, cut.stale)?, list(cut.user, cut.seen)?);
                let user =
                    block_on(score(cut, dataset, device, learn, stale.as_ref(), fresh.as_ref()))?;
                progress(1);
                Ok(user)
            })
            .collect()
    }
}

async fn score(
    cut: &PaperCut<'_>,
    dataset: &Dataset,
    device: SimulatedDevice<'_>,
    learn: bool,
    stale: &[(ItemIndex, f32)],
    fresh: &[(ItemIndex, f32)],
) -> Result<PaperUser, EvaluationError> {
    let target = id(dataset, cut.target);
    let mut session = device.begin(dataset, cut.user, cut.stale)?;
    device.request(dataset, &mut session, stale, 0.0)?;
    let uses_rule = matches!(device.settings.policy.trigger, Trigger::Uplift { .. });
    let mut when_new = None;
    for &item in &cut.seen[cut.stale.len()..] {
        // The rule compares the list with what it was when it was new, a click that is learnt
        // from was chosen from what is shown, and cells are fetched after every click.
        if learn || device.cells.is_some() || (uses_rule && when_new.is_none()) {
            let (shown, _) = device.rank(dataset, &mut session).await?;
            session.record_shown(&shown);
            when_new.get_or_insert_with(|| ScoredList::without_target(&shown, last_logprob(stale)));
        }
        session.track(&Event { kind: EventKind::Click, item: id(dataset, item) });
        if learn {
            session.learn().await?;
        }
    }
    let (ranked, _) = device.rank(dataset, &mut session).await?;
    let observed = session.uplift_evidence(&ranked);
    let evidence = observed.zip(when_new);
    let evidence = evidence.map(|(observed, when_new)| PaperEvidence { observed, when_new });
    let scored_stale = ScoredList::new(&ranked, &target, last_logprob(stale));
    device.request(dataset, &mut session, fresh, 0.0)?;
    let (ranked, _) = device.rank(dataset, &mut session).await?;
    let scored_fresh = ScoredList::new(&ranked, &target, last_logprob(fresh));
    Ok(PaperUser {
        user: cut.user,
        unfiltered: stale.iter().position(|(item, _)| *item == cut.target),
        stale: scored_stale,
        fresh: scored_fresh,
        evidence,
    })
}

#[cfg(test)]
mod tests;
