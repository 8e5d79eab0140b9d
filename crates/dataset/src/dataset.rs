use crate::{Catalogue, DatasetError, ItemIndex};

/// A catalogue and what its users did, ready to be split and learnt from.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Short name, for instance `ml-100k`.
    pub name: String,
    /// The items; their `count` is of the training part.
    pub catalogue: Catalogue,
    /// One sequence a user, in the order of the users' ids.
    pub sequences: Vec<Sequence>,
    /// Citation and terms of use, to be shown wherever the data is used.
    pub notice: Option<String>,
}

/// What one user did, oldest first; an item may come more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The user's id in the source.
    pub user: String,
    /// The items, oldest first.
    pub items: Vec<ItemIndex>,
    /// When, one for each of `items` in the source's unit (usually Unix seconds);
    /// `None` if the source has an order and no times.
    pub times: Option<Vec<i64>>,
}

impl Dataset {
    /// Joins a catalogue and sequences over it, and counts each item's interactions in
    /// the training part (see [`Sequence::split`]).
    ///
    /// # Errors
    /// An index outside the catalogue, or times that are not one an item.
    pub fn new(
        name: impl Into<String>,
        mut catalogue: Catalogue,
        sequences: Vec<Sequence>,
        notice: Option<String>,
    ) -> Result<Self, DatasetError> {
        let mut counts = vec![0_u32; catalogue.len()];
        for sequence in &sequences {
            sequence.check(catalogue.len())?;
            for item in sequence.split().train {
                counts[item.position()] += 1;
            }
        }
        catalogue.set_counts(&counts);
        Ok(Self { name: name.into(), catalogue, sequences, notice })
    }

    /// Number of interactions over all users.
    #[must_use]
    pub fn interactions(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.items.len()).sum()
    }
}

impl Sequence {
    /// Whether it fits a catalogue of `items` items, and its times fit itself.
    pub(crate) fn check(&self, items: usize) -> Result<(), DatasetError> {
        let invalid = |expected: String, found: String| {
            Err(DatasetError::InvalidSequence { user: self.user.clone(), expected, found })
        };
        if let Some(item) = self.items.iter().find(|item| item.position() >= items) {
            return invalid(format!("item indices below {items}"), item.0.to_string());
        }
        match &self.times {
            Some(times) if times.len() != self.items.len() => {
                invalid(format!("{} times, one an item", self.items.len()), times.len().to_string())
            }
            _ => Ok(()),
        }
    }
}
