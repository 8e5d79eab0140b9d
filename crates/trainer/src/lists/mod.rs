//! Candidate lists of a language model, made once and kept, so that protocols can be run
//! many times over the very same answers.

mod file;
#[cfg(feature = "llama")]
mod make;
#[cfg(feature = "llama")]
mod prefixes;

#[cfg(feature = "llama")]
pub(crate) use make::{Lists, run};

pub(crate) use file::{List, ListsByPrefix, load};

#[cfg(feature = "llama")]
use std::collections::HashSet;

#[cfg(feature = "llama")]
use tandem_dataset::ItemIndex;

/// The history as the server makes it: of repeats the newest.
#[cfg(feature = "llama")]
pub(crate) fn distinct(items: &[ItemIndex]) -> Vec<ItemIndex> {
    let mut seen = HashSet::new();
    let mut newest: Vec<ItemIndex> =
        items.iter().rev().copied().filter(|item| seen.insert(*item)).collect();
    newest.reverse();
    newest
}
