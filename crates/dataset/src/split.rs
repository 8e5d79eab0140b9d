use crate::{ItemIndex, Sequence};

/// The leave-last-out split of a sequence `s` of `n` items.
///
/// | part | history | target |
/// |---|---|---|
/// | train | | every item of `s[..n-2]` |
/// | validation | `s[..n-2]` | `s[n-2]` |
/// | test | `s[..n-1]` | `s[n-1]` |
///
/// A sequence of fewer than 3 items belongs to the training part: a held-out target needs at
/// least one item before the validation target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// Items that a model may be trained on.
    pub train: &'a [ItemIndex],
    /// For all choices: epochs, weights, thresholds.
    pub validation: Option<HeldOutTarget<'a>>,
    /// For reported figures only.
    pub test: Option<HeldOutTarget<'a>>,
}

/// A held-out target and the items before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldOutTarget<'a> {
    /// The user's items before the target, oldest first; never empty.
    pub history: &'a [ItemIndex],
    /// The item to predict.
    pub target: ItemIndex,
}

impl Sequence {
    /// The leave-last-out split, borrowed.
    #[must_use]
    pub fn split(&self) -> Split<'_> {
        match self.items.as_slice() {
            [train @ .., validation, test] if !train.is_empty() => Split {
                train,
                validation: Some(HeldOutTarget { history: train, target: *validation }),
                test: Some(HeldOutTarget {
                    history: &self.items[..self.items.len() - 1],
                    target: *test,
                }),
            },
            train => Split { train, validation: None, test: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequence(items: &[u32]) -> Sequence {
        let items = items.iter().copied().map(ItemIndex).collect();
        Sequence { user: "u".into(), items, times: None }
    }

    #[test]
    fn the_last_is_test_and_the_one_before_is_validation() {
        let sequence = sequence(&[4, 2, 9, 7]);
        let split = sequence.split();
        assert_eq!(split.train, [ItemIndex(4), ItemIndex(2)]);
        assert_eq!(
            split.validation,
            Some(HeldOutTarget { history: &[ItemIndex(4), ItemIndex(2)], target: ItemIndex(9) })
        );
        assert_eq!(
            split.test,
            Some(HeldOutTarget {
                history: &[ItemIndex(4), ItemIndex(2), ItemIndex(9)],
                target: ItemIndex(7)
            })
        );
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_sequence_and_no_target_leaks(items in prop::collection::vec(0_u32..5, 0..12)) {
            let sequence = sequence(&items);
            let split = sequence.split();
            if items.len() < 3 {
                prop_assert_eq!(split.train, &sequence.items[..]);
                prop_assert!(split.validation.is_none() && split.test.is_none());
            } else {
                let (validation, test) = (split.validation.unwrap(), split.test.unwrap());
                // The parts add up to the sequence, so no target is in its own history, except
                // as an earlier repeat.
                let mut whole = split.train.to_vec();
                prop_assert_eq!(validation.history, &whole[..]);
                whole.push(validation.target);
                prop_assert_eq!(test.history, &whole[..]);
                whole.push(test.target);
                prop_assert_eq!(&whole, &sequence.items);
            }
        }
    }
}
