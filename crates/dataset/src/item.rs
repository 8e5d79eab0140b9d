use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};
use tandem_protocol::ItemId;

/// Position of an item in its [`Catalogue`](crate::Catalogue), from 0 without gaps.
///
/// Valid for that catalogue only. Across imports and on the wire, items are identified by
/// [`ItemId`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemIndex(pub u32);

impl ItemIndex {
    /// The index into a slice in catalogue order.
    #[must_use]
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for ItemIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// An item with its metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The id that the shop uses.
    pub id: ItemId,
    /// Title without a trailing year; empty if unknown.
    pub title: String,
    /// Year of release.
    pub year: Option<u16>,
    /// Genres or categories, in the order of the source.
    pub genres: Vec<String>,
    /// Brand or maker; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub brand: String,
    /// Description in plain text; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Number of interactions in the training part, without the last two of each user.
    pub count: u32,
}

impl Item {
    /// An item with an id and no metadata.
    #[must_use]
    pub fn untitled(id: ItemId) -> Self {
        Self {
            id,
            title: String::new(),
            year: None,
            genres: Vec::new(),
            brand: String::new(),
            description: String::new(),
            count: 0,
        }
    }
}

/// The order of ids in catalogues and datasets, and of interactions at equal times: numbers
/// first and by value, all other ids by bytes.
///
/// The order is total: different ids are never equal (`7` comes before `07`).
#[must_use]
pub fn compare_ids(left: &str, right: &str) -> Ordering {
    /// The digits of a number without leading zeros: a longer one is larger.
    fn number(id: &str) -> Option<&str> {
        let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| id.trim_start_matches('0'))
    }
    match (number(left), number(right)) {
        (Some(a), Some(b)) => {
            a.len().cmp(&b.len()).then_with(|| a.cmp(b)).then_with(|| left.len().cmp(&right.len()))
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_compare_by_value_and_come_first() {
        let mut ids = ["b", "10", "", "9", "007", "7", "0", "a10", "a9"];
        ids.sort_by(|a, b| compare_ids(a, b));
        assert_eq!(ids, ["0", "7", "007", "9", "10", "", "a10", "a9", "b"]);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[0-9a]{0,4}", b in "[0-9a]{0,4}", c in "[0-9a]{0,4}") {
            prop_assert_eq!(compare_ids(&a, &b) == Ordering::Equal, a == b);
            prop_assert_eq!(compare_ids(&a, &b), compare_ids(&b, &a).reverse());
            if compare_ids(&a, &b).is_le() && compare_ids(&b, &c).is_le() {
                prop_assert!(compare_ids(&a, &c).is_le());
            }
        }
    }
}
