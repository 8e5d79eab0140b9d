use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_collaboration::{
    CallShare, CollaborationError, Consistency, consistency::paper_batch_score,
};

use super::PaperUser;
use crate::EvaluationError;

/// Number of users that the rule of the paper decides about together.
pub const BATCH_OF_USERS: usize = 16;

/// A rule that decides which users request a new list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Requests {
    /// Random users.
    Random {
        /// Random seed.
        seed: u64,
    },
    /// Users whose two orders disagree most.
    Consistency(Consistency),
    /// The rule of the paper: whole batches of [`BATCH_OF_USERS`], in the order of the users,
    /// with the largest `S = D + (4 + 0.3 Z)²`. `Z = 0`, since every candidate exists.
    Batch,
}

impl Requests {
    /// The urgency of a request for each user, from what the device knows before it. Users
    /// above a threshold request a list.
    ///
    /// # Errors
    /// [`EvaluationError::Collaboration`] for lists whose scores differ in number.
    pub fn urgency(self, users: &[PaperUser]) -> Result<Vec<f32>, EvaluationError> {
        match self {
            Self::Random { seed } => {
                let mut places: Vec<usize> = (0..users.len()).collect();
                places.shuffle(&mut StdRng::seed_from_u64(seed));
                let share = |place: usize| place as f64 / users.len().max(1) as f64;
                Ok(places.into_iter().map(|place| share(place) as f32).collect())
            }
            Self::Consistency(consistency) => {
                users.iter().map(|user| user.stale.disagreement(consistency)).collect()
            }
            Self::Batch => {
                let mut urgency = Vec::with_capacity(users.len());
                for batch in users.chunks(BATCH_OF_USERS) {
                    let mut sum = 0.0;
                    for user in batch {
                        sum += user.stale.displacement()?;
                    }
                    let score = paper_batch_score(sum / batch.len() as f32, 0.0);
                    urgency.extend(std::iter::repeat_n(score, batch.len()));
                }
                Ok(urgency)
            }
        }
    }
}

/// Which users request a new list: in their order, users above the threshold, as long as the
/// requests stay within a share of `budget` of the users so far. The threshold was fitted on
/// other targets, so more users than the budget may be above it.
///
/// # Errors
/// [`CollaborationError::InvalidParameter`] for a budget outside 0 to 1.
pub fn asking(
    urgency: &[f32],
    threshold: f32,
    budget: f64,
) -> Result<Vec<bool>, CollaborationError> {
    let share = CallShare::new(budget as f32)?;
    let mut calls = 0;
    let ask = |(before, &urgency): (usize, &f32)| {
        // The first list of a device is free and counts as a call; here everyone has a list.
        let allowed = share.clicks_until_next(calls + 1, before as u64 + 1) == Some(0);
        let asks = urgency > threshold && allowed;
        calls += u64::from(asks);
        asks
    };
    Ok(urgency.iter().enumerate().map(ask).collect())
}

/// The share of users that request a list.
#[must_use]
pub fn share_of(asked: &[bool]) -> f64 {
    asked.iter().filter(|&&asks| asks).count() as f64 / asked.len().max(1) as f64
}
