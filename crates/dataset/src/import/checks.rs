//! Warnings about logs that can be read, but may not say what they seem to.

use std::{path::Path, rc::Rc};

use super::summary::Reason;

/// Event types of rows without an item, with the number of rows of each.
#[derive(Default)]
pub(super) struct WithoutItem(Vec<(String, usize)>);

impl WithoutItem {
    /// Counts a row.
    pub(super) fn add(&mut self, reason: &Reason) {
        let Reason::NoItem(event) = reason else { return };
        match self.0.iter_mut().find(|(known, _)| known == event) {
            Some((_, rows)) => *rows += 1,
            None => self.0.push((event.clone(), 1)),
        }
    }

    /// A warning for each event type of interest that mostly lacks its item. `with_item` are the
    /// types of all other rows, as positions in `names`.
    pub(super) fn warnings(
        &self,
        path: &Path,
        names: &[Rc<str>],
        with_item: impl Iterator<Item = u16>,
        is_interest: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut counts = vec![0_usize; names.len()];
        for event in with_item {
            if let Some(count) = counts.get_mut(usize::from(event)) {
                *count += 1;
            }
        }
        let mut warnings = Vec::new();
        for (event, without) in self.0.iter().filter(|(event, _)| is_interest(event)) {
            let at = names.iter().position(|name| **name == **event);
            let with = at.map_or(0, |at| counts[at]);
            if *without > with {
                warnings.push(format!(
                    "warning: {}: {without} of {} events {event:?} have no item; if another \
                     column has it, name that column with --item-column",
                    path.display(),
                    with + without
                ));
            }
        }
        warnings
    }
}
