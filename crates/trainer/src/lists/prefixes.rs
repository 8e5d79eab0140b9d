//! The prefixes of users' items that lists are generated for.

use std::collections::HashSet;

use clap::ValueEnum;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::Dataset;
use tandem_evaluation::{Part, SessionProtocol, paper::PaperProtocol};

/// Purposes of candidate lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// Session protocol: a list for each click of test and validation sessions.
    Session,
    /// Paper protocol: a stale and a fresh list for each validation and test target.
    Paper,
    /// Cooperative training: a list for each training target.
    Training,
}

/// The options that select the prefixes.
pub(super) struct Wanted<'a> {
    pub(super) purpose: Purpose,
    pub(super) users: Option<usize>,
    pub(super) clicks: usize,
    pub(super) skip: usize,
    pub(super) hold_out: usize,
    pub(super) newest: usize,
    pub(super) seed: u64,
    /// Dataset whose users get no list.
    pub(super) unseen_by: Option<&'a Dataset>,
}

impl Wanted<'_> {
    /// Users (positions in the dataset) and prefix lengths, ascending.
    pub(super) fn prefixes(&self, dataset: &Dataset) -> Vec<(usize, usize)> {
        let mut by_user: Vec<(usize, Vec<usize>)> = match self.purpose {
            Purpose::Session => self.session(dataset),
            Purpose::Paper => paper(dataset),
            Purpose::Training => self.training(dataset),
        };
        if let Some(others) = self.unseen_by {
            let others: HashSet<&str> =
                others.sequences.iter().map(|it| it.user.as_str()).collect();
            by_user.retain(|(user, _)| !others.contains(dataset.sequences[*user].user.as_str()));
        }
        if let Some(users) = self.users {
            by_user.shuffle(&mut StdRng::seed_from_u64(self.seed));
            by_user.truncate(users);
            by_user.sort_unstable();
        }
        by_user
            .into_iter()
            .flat_map(|(user, lengths)| lengths.into_iter().map(move |length| (user, length)))
            .collect()
    }

    fn session(&self, dataset: &Dataset) -> Vec<(usize, Vec<usize>)> {
        // One session of twice the clicks: the older half for validation, the newer for test.
        let both = SessionProtocol {
            clicks: 2 * self.clicks,
            skip: self.skip,
            ms_between_clicks: 0.0,
            learn: false,
        };
        let sequences = dataset.sequences.iter().enumerate();
        sequences
            .filter_map(|(user, sequence)| {
                let before = both.cut(sequence)?.0.len();
                Some((user, (before..before + both.clicks).collect()))
            })
            .collect()
    }

    fn training(&self, dataset: &Dataset) -> Vec<(usize, Vec<usize>)> {
        let sequences = dataset.sequences.iter().enumerate();
        sequences
            .filter_map(|(user, sequence)| {
                // A prefix ends before its target; the last target is the newest item that is
                // not held out.
                let end = sequence.items.len().checked_sub(self.hold_out)?;
                let start = end.saturating_sub(self.newest).max(1);
                (start < end).then(|| (user, (start..end).collect()))
            })
            .collect()
    }
}

fn paper(dataset: &Dataset) -> Vec<(usize, Vec<usize>)> {
    let validation = PaperProtocol { part: Part::Validation }.cuts(dataset);
    let test = PaperProtocol { part: Part::Test }.cuts(dataset);
    validation
        .iter()
        .zip(&test)
        .map(|(older, newer)| {
            let mut lengths: Vec<usize> =
                [older, newer].iter().flat_map(|cut| [cut.stale.len(), cut.seen.len()]).collect();
            lengths.sort_unstable();
            (older.user, lengths)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Item, ItemIndex, Sequence};

    use super::*;

    fn dataset(lengths: &[(usize, u32)]) -> Dataset {
        let items = (0..9).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let sequence = |&(user, length): &(usize, u32)| Sequence {
            user: user.to_string(),
            items: (0..length).map(ItemIndex).collect(),
            times: None,
        };
        let sequences = lengths.iter().map(sequence).collect();
        Dataset::new("d", Catalogue::new(items).unwrap(), sequences, None).unwrap()
    }

    fn wanted(purpose: Purpose, users: Option<usize>) -> Wanted<'static> {
        let (clicks, skip, hold_out, newest) = (2, 0, 3, 2);
        Wanted { purpose, users, clicks, skip, hold_out, newest, seed: 7, unseen_by: None }
    }

    fn prefixes(purpose: Purpose, users: Option<usize>) -> Vec<(usize, usize)> {
        wanted(purpose, users).prefixes(&dataset(&[(0, 9), (1, 4), (2, 5), (3, 6)]))
    }

    #[test]
    fn users_of_another_dataset_get_no_list() {
        let all = dataset(&[(0, 9), (1, 4), (2, 5), (3, 6)]);
        let seen = dataset(&[(0, 9), (3, 6), (7, 9)]);
        let wanted = Wanted { unseen_by: Some(&seen), ..wanted(Purpose::Training, None) };
        assert_eq!(wanted.prefixes(&all), [(2, 1)]);
    }

    #[test]
    fn each_purpose_selects_its_prefixes() {
        // Validation: 4 and 2 items before the target but one; test: one more of each.
        let paper = prefixes(Purpose::Paper, None);
        assert_eq!(paper[..4], [(0, 5), (0, 6), (0, 7), (0, 8)]);
        assert_eq!(paper[4..8], [(2, 1), (2, 2), (2, 3), (2, 4)]);
        assert_eq!(paper.len(), 12, "user 1 has too few items");
        // Sessions of two clicks, older and newer; the shortest history is one item.
        let session = prefixes(Purpose::Session, None);
        let expected = [
            (0, 5),
            (0, 6),
            (0, 7),
            (0, 8),
            (2, 1),
            (2, 2),
            (2, 3),
            (2, 4),
            (3, 2),
            (3, 3),
            (3, 4),
            (3, 5),
        ];
        assert_eq!(session, expected);
        // Targets not later than s[-4]: at most the first n - 4 items are history.
        assert_eq!(prefixes(Purpose::Training, None), [(0, 4), (0, 5), (2, 1), (3, 1), (3, 2)]);
    }

    #[test]
    fn sampled_users_have_all_their_prefixes() {
        let one = prefixes(Purpose::Paper, Some(1));
        assert_eq!(one.len(), 4);
        assert!(one.iter().all(|(user, _)| *user == one[0].0));
    }
}
