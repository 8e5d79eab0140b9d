//! The interactions that models are not trained on: one for the choice of epochs, some for the
//! calibration, the newest one for the test.

use std::collections::HashSet;

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{Dataset, Sequence};
use tandem_evaluation::CandidateLists;

use crate::failure::BadInput;

/// Newest items of each user that training leaves out by default: validation and test.
const HOLD_OUT: usize = 2;
/// Number of clicks in a calibration session; fewer if too few users have that many.
const CLICKS: usize = 4;
/// Users that a calibration with sessions of several clicks needs.
const MIN_USERS: usize = 50;
/// Users that are calibrated on, at most.
const MAX_CALIBRATION: usize = 1_000;
/// Users that are tested on, at most.
const MAX_TEST: usize = 2_000;
/// Clicks of a test session, of which the last one is the test.
const TEST_CLICKS: usize = 5;
const SEED: u64 = 7;

/// Users (positions in the dataset, ascending) and what is held out of their items.
///
/// A calibration session is the `clicks` clicks before the newest interaction. Training leaves
/// out all of them for the users of the calibration, and two interactions for all others. The
/// newest interaction of every user is the test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeldOut {
    /// Clicks of a calibration session.
    pub(super) clicks: usize,
    calibration: Vec<usize>,
    /// Users whose newest interaction is tested.
    pub(crate) test: Vec<usize>,
}

impl HeldOut {
    /// Longer calibration sessions tell more, but need users with many interactions.
    ///
    /// # Errors
    /// [`BadInput`] if no user has the three interactions that training, validation and test
    /// need.
    pub(super) fn choose(dataset: &Dataset) -> Result<Self, BadInput> {
        let with = |items: usize| -> Vec<usize> {
            let users = dataset.sequences.iter().enumerate();
            users.filter(|(_, user)| user.items.len() >= items).map(|(at, _)| at).collect()
        };
        let all = with(HOLD_OUT + 1);
        if all.is_empty() {
            let most = dataset.sequences.iter().map(|user| user.items.len()).max().unwrap_or(0);
            return Err(BadInput(format!(
                "expected users with at least {} interactions, found {} users with at most {most}; \
                 give more events, or check that the user column names visitors and not orders",
                HOLD_OUT + 1,
                dataset.sequences.len()
            )));
        }
        let test = sample(all.clone(), MAX_TEST);
        for clicks in (2..=CLICKS).rev() {
            // One item before the session, the session, and the test.
            let users = with(clicks + HOLD_OUT);
            if users.len() >= MIN_USERS {
                let count = (users.len() / 3).clamp(MIN_USERS, MAX_CALIBRATION);
                return Ok(Self { clicks, calibration: sample(users, count), test });
            }
        }
        Ok(Self { clicks: 1, calibration: sample(all, MAX_CALIBRATION), test })
    }

    /// The dataset without the older clicks of the calibration sessions. Training it with two
    /// held-out items leaves out all that is held out.
    pub(super) fn training_set(
        &self,
        dataset: &Dataset,
    ) -> Result<Dataset, tandem_dataset::DatasetError> {
        let mut sequences = dataset.sequences.clone();
        for &user in &self.calibration {
            let Sequence { items, times, .. } = &mut sequences[user];
            let length = items.len() - (self.clicks - 1);
            items.truncate(length);
            if let Some(times) = times {
                times.truncate(length);
            }
        }
        let (catalogue, notice) = (dataset.catalogue.clone(), dataset.notice.clone());
        let mut set = Dataset::new(&dataset.name, catalogue, sequences, notice)?;
        set.repeats = dataset.repeats;
        Ok(set)
    }

    /// All prefixes whose lists are needed, as users with a number of their items.
    pub(super) fn prefixes(&self, dataset: &Dataset) -> Vec<(usize, usize)> {
        let calibration = self.calibration.iter().flat_map(|&user| self.session(dataset, user));
        let mut prefixes: Vec<_> = calibration.chain(test_prefixes(dataset, &self.test)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes
    }

    /// The lists of the calibration sessions alone.
    pub(super) fn calibration_lists(
        &self,
        dataset: &Dataset,
        lists: &CandidateLists,
    ) -> CandidateLists {
        let wanted: HashSet<(usize, usize)> =
            self.calibration.iter().flat_map(|&user| self.session(dataset, user)).collect();
        let wanted = lists.iter().filter(|(prefix, _)| wanted.contains(prefix));
        wanted.map(|(prefix, list)| (*prefix, list.clone())).collect()
    }

    /// The prefixes before the clicks of a calibration session.
    fn session(&self, dataset: &Dataset, user: usize) -> impl Iterator<Item = (usize, usize)> {
        let end = dataset.sequences[user].items.len() - 1;
        (end - self.clicks..end).map(move |length| (user, length))
    }
}

/// Clicks of the test session of a user with this many items.
pub(super) fn test_clicks(items: usize) -> usize {
    items.saturating_sub(1).min(TEST_CLICKS)
}

/// The prefixes before the clicks of the test sessions of `users`.
pub(crate) fn test_prefixes(dataset: &Dataset, users: &[usize]) -> Vec<(usize, usize)> {
    let prefixes = |&user: &usize| {
        let items = dataset.sequences[user].items.len();
        (items - test_clicks(items)..items).map(move |length| (user, length))
    };
    users.iter().flat_map(prefixes).collect()
}

fn sample(mut users: Vec<usize>, count: usize) -> Vec<usize> {
    users.shuffle(&mut StdRng::seed_from_u64(SEED));
    users.truncate(count);
    users.sort_unstable();
    users
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Item, ItemIndex};

    use super::*;

    fn dataset(lengths: &[usize]) -> Dataset {
        let items = (0..9).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let sequence = |(user, length): (usize, &usize)| Sequence {
            user: user.to_string(),
            items: (0..*length as u32).map(|item| ItemIndex(item % 9)).collect(),
            times: Some((0..).take(*length).collect()),
        };
        let sequences = lengths.iter().enumerate().map(sequence).collect();
        Dataset::new("d", Catalogue::new(items).unwrap(), sequences, None).unwrap()
    }

    #[test]
    fn nothing_that_is_calibrated_or_tested_on_is_trained_on() {
        let mut dataset = dataset(&[8; 120]);
        dataset.repeats = true;
        let held_out = HeldOut::choose(&dataset).unwrap();
        assert_eq!(
            (held_out.clicks, held_out.calibration.len(), held_out.test.len()),
            (4, 50, 120)
        );
        let trained = held_out.training_set(&dataset).unwrap();
        assert_eq!(trained.catalogue.hash(), dataset.catalogue.hash());
        assert!(trained.repeats);
        for user in 0..120 {
            // Two items less than the set has are trained on.
            let visible = trained.sequences[user].items.len() - HOLD_OUT;
            let calibrated = held_out.calibration.binary_search(&user).is_ok();
            assert_eq!(visible, if calibrated { 3 } else { 6 });
            let first = held_out.session(&dataset, user).next().unwrap();
            assert!(!calibrated || first == (user, visible));
        }
        let prefixes = held_out.prefixes(&dataset);
        // The last five prefixes for the test; the sessions add none.
        assert_eq!(prefixes.len(), 120 * 5);
    }

    #[test]
    fn short_histories_are_calibrated_on_shorter_sessions() {
        let held_out = HeldOut::choose(&dataset(&[4; 60])).unwrap();
        assert_eq!((held_out.clicks, held_out.calibration.len()), (2, 50));
        let held_out = HeldOut::choose(&dataset(&[3, 9, 2])).unwrap();
        assert_eq!((held_out.clicks, held_out.calibration), (1, vec![0, 1]));
        let message = HeldOut::choose(&dataset(&[2, 1])).unwrap_err().to_string();
        assert!(
            message.contains("at least 3 interactions, found 2 users with at most 2"),
            "{message}"
        );
    }
}
