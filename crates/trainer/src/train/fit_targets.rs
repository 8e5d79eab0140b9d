//! The validation targets on which weights beside a small model are fitted.

use std::path::Path;

use anyhow::Result;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{Dataset, HeldOutTarget};
use tandem_model::Checkpoint;

use crate::failure::BadInput;

/// Newest items of each user that a model must have left out for a weight to be fitted: the
/// validation and test targets.
pub(super) const HOLD_OUT: usize = 2;

/// Number of newest items of each user that a model of `path` left out; [`HOLD_OUT`] if its file
/// does not say.
///
/// # Errors
/// [`BadInput`] if it left out fewer than [`HOLD_OUT`].
pub(super) fn left_out(path: &Path, model: &Checkpoint) -> Result<usize> {
    let left_out = model.left_out.unwrap_or(HOLD_OUT);
    if left_out < HOLD_OUT {
        let text = format!(
            "{}: expected a model that was trained without the newest {HOLD_OUT} items of each user, to fit the weight on the first of them, found one that left out {left_out}; give the weight with --weight",
            path.display()
        );
        return Err(BadInput(text).into());
    }
    Ok(left_out)
}

/// The first item that was left out, of at most `users` users, sampled by `seed`.
///
/// # Errors
/// [`BadInput`] if there is none.
pub(super) fn fit_targets<'a>(
    (path, dataset): (&Path, &'a Dataset),
    left_out: usize,
    users: usize,
    seed: u64,
) -> Result<Vec<HeldOutTarget<'a>>> {
    let mut held: Vec<HeldOutTarget<'_>> = dataset
        .sequences
        .iter()
        .filter_map(|sequence| {
            let (history, held) =
                sequence.items.split_at_checked(sequence.items.len().checked_sub(left_out)?)?;
            (!history.is_empty()).then_some(HeldOutTarget { history, target: *held.first()? })
        })
        .collect();
    held.shuffle(&mut StdRng::seed_from_u64(seed));
    held.truncate(users);
    if held.is_empty() {
        let text = format!(
            "{}: no user has more than {left_out} items, so there is no validation target; give the weight with --weight",
            path.display()
        );
        return Err(BadInput(text).into());
    }
    Ok(held)
}
