/// Number of users with at least three interactions, and of those whose last item is one that they
/// had before. Of an item several times in a row, the first counts: a page that is loaded again is
/// no second choice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RepeatedTargets {
    pub(super) users: usize,
    pub(super) repeated: usize,
}

impl RepeatedTargets {
    /// Counts a user, given by its items.
    pub(super) fn count<T: PartialEq>(&mut self, mut items: Vec<T>) {
        items.dedup();
        if let Some((last, before)) = items.split_last()
            && before.len() >= 2
        {
            self.users += 1;
            self.repeated += usize::from(before.contains(last));
        }
    }
}
