//! The `paper` protocol of `LSC4Rec` (Lv et al., KDD 2025, §4): leave one out, a language
//! model that has not seen the last two interactions, and a device that has.
//!
//! | who | test: target `s[-1]` | validation: target `s[-2]` |
//! |---|---|---|
//! | language model without a request | up to `s[-4]` | up to `s[-5]` |
//! | language model after a request | up to `s[-2]` | up to `s[-3]` |
//! | device | up to `s[-2]` | up to `s[-3]` |
//!
//! [`PaperProtocol::run`] lets the device's own state machine score both lists of every
//! user; [`measure`] fits fusion and thresholds on the validation users and reports every
//! row on the others.

mod measure;
mod request;

use std::error::Error;

use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_dataset::{Dataset, HeldOutTarget, ItemIndex};
use tandem_protocol::{Event, EventKind};

pub use measure::{Measured, Options, measure};
pub use request::{BATCH_OF_USERS, Requests, asking, share_of};

use crate::{EvaluationError, Part, ScoredList, SimulatedDevice, device::id};

/// Interactions that the language model has not seen unless it was asked again.
pub const STALENESS: usize = 2;

/// Items that a user must have, so that validation and test are over the same users.
const SHORTEST: usize = STALENESS + 3;

/// Which targets are to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaperProtocol {
    /// Validation, for every choice, or test.
    pub part: Part,
}

/// What is seen of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaperCut<'a> {
    /// Position of the user in the dataset.
    pub user: usize,
    /// What the language model saw when it made the stale list.
    pub stale: &'a [ItemIndex],
    /// What the device has seen, and the language model sees if it is asked again.
    pub seen: &'a [ItemIndex],
    /// The item to be found.
    pub target: ItemIndex,
}

/// One user's two lists, as the device scored them.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperUser {
    /// Position of the user in the dataset.
    pub user: usize,
    /// Rank of the target in the stale list as it came, from 0: items that were consumed
    /// since still take their places.
    pub as_it_came: Option<usize>,
    /// The stale list without what was consumed since.
    pub stale: ScoredList,
    /// The list that a request would bring.
    pub fresh: ScoredList,
}

impl PaperProtocol {
    /// The users with enough items, in the dataset's order.
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

    /// What a model without lists is asked: the device's history and the target.
    #[must_use]
    pub fn held<'a>(cuts: &[PaperCut<'a>]) -> Vec<HeldOutTarget<'a>> {
        cuts.iter().map(|cut| HeldOutTarget { history: cut.seen, target: cut.target }).collect()
    }

    /// Lets the device score both lists of each user, in parallel. The stale list is there
    /// first, then the interactions that it does not know arrive as clicks (with `learn`,
    /// each is learnt from), and the fresh list comes last.
    ///
    /// `list` answers as the cloud would: for a user (position in the dataset) and the
    /// items so far, candidates with log-probabilities in nats, best first. `progress` is
    /// told of each user.
    ///
    /// # Errors
    /// What `list` fails with, or a session that cannot go on.
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
    let (_, ticket) = session.begin_request(None, 0.0);
    session.accept(ticket, device.answer(dataset, stale), 0.0)?;
    for &item in &cut.seen[cut.stale.len()..] {
        session.track(&Event { kind: EventKind::Click, item: id(dataset, item) });
        if learn {
            session.learn().await?;
        }
    }
    let scored_stale = ScoredList::new(&session.rank().await?, &target);
    let (_, ticket) = session.begin_request(None, 0.0);
    session.accept(ticket, device.answer(dataset, fresh), 0.0)?;
    let scored_fresh = ScoredList::new(&session.rank().await?, &target);
    Ok(PaperUser {
        user: cut.user,
        as_it_came: stale.iter().position(|(item, _)| *item == cut.target),
        stale: scored_stale,
        fresh: scored_fresh,
    })
}

#[cfg(test)]
mod tests;
