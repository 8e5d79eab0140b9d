use serde::{Deserialize, Serialize};
use tandem_dataset::{Dataset, ItemIndex};

/// Seconds per day.
const DAY: i64 = 86_400;

/// Users with fewer items before the target are cold, and so are items with fewer interactions
/// in the training part.
pub const COLD_BELOW: usize = 10;

/// A part of the users, by properties of the target and of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stratum {
    /// The target and the item before it are of the same day (UTC). If times are days, their
    /// order is unknown.
    SameDay,
    /// The target and the item before it are of different days.
    OtherDay,
    /// Fewer than [`COLD_BELOW`] items before the target.
    ColdUser,
    /// At least [`COLD_BELOW`] items before the target.
    WarmUser,
    /// Fewer than [`COLD_BELOW`] interactions with the target in the training part.
    ColdItem,
    /// At least [`COLD_BELOW`] interactions with the target in the training part.
    WarmItem,
}

impl Stratum {
    /// All strata.
    pub const ALL: [Self; 6] = [
        Self::SameDay,
        Self::OtherDay,
        Self::ColdUser,
        Self::WarmUser,
        Self::ColdItem,
        Self::WarmItem,
    ];

    /// Whether a user belongs to this part; the target comes after `seen` items. Times are
    /// Unix seconds; without them a user belongs to neither of the first two parts.
    ///
    /// # Panics
    /// If the dataset has no user at this position.
    #[must_use]
    pub fn holds(self, dataset: &Dataset, user: usize, seen: usize) -> bool {
        let sequence = &dataset.sequences[user];
        let day = |at: usize| Some(sequence.times.as_ref()?.get(at)?.div_euclid(DAY));
        let days = || day(seen.checked_sub(1)?).zip(day(seen));
        let count = |item: &ItemIndex| dataset.catalogue.get(*item).count as usize;
        let cold_item = || sequence.items.get(seen).is_none_or(|item| count(item) < COLD_BELOW);
        match self {
            Self::SameDay => days().is_some_and(|(before, target)| before == target),
            Self::OtherDay => days().is_some_and(|(before, target)| before != target),
            Self::ColdUser => seen < COLD_BELOW,
            Self::WarmUser => seen >= COLD_BELOW,
            Self::ColdItem => cold_item(),
            Self::WarmItem => !cold_item(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Item, Sequence};

    use super::*;

    #[test]
    fn users_are_divided_by_days_and_counts() {
        let items = (0..3).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let sequence = |user: usize, items: &[u32], times: Option<Vec<i64>>| Sequence {
            user: user.to_string(),
            items: items.iter().copied().map(ItemIndex).collect(),
            times,
        };
        // Item 0 has 2 interactions in the training parts of the first two and 9 in the
        // third's.
        let sequences = vec![
            sequence(0, &[0, 1, 2], Some(vec![0, DAY - 1, DAY])),
            sequence(1, &[0, 1, 0], Some(vec![5, DAY, 2 * DAY - 1])),
            sequence(2, &[0; 11], None),
        ];
        let dataset = Dataset::new("d", Catalogue::new(items).unwrap(), sequences, None).unwrap();
        let of = |user, seen| -> Vec<Stratum> {
            Stratum::ALL.into_iter().filter(|it| it.holds(&dataset, user, seen)).collect()
        };
        assert_eq!(of(0, 2), [Stratum::OtherDay, Stratum::ColdUser, Stratum::ColdItem]);
        // One item earlier: the same day, whichever that is.
        assert_eq!(of(0, 1)[0], Stratum::SameDay);
        assert_eq!(of(1, 2), [Stratum::SameDay, Stratum::ColdUser, Stratum::WarmItem]);
        assert_eq!(of(2, 10), [Stratum::WarmUser, Stratum::WarmItem]);
    }
}
