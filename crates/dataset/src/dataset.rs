use crate::{Catalogue, DatasetError, ItemIndex};

/// A catalogue and the interactions of its users.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Short name, for instance `ml-100k`.
    pub name: String,
    /// The items. Their `count` covers the training part only.
    pub catalogue: Catalogue,
    /// One sequence for each user, sorted by user id.
    pub sequences: Vec<Sequence>,
    /// Citation and terms of use, to be shown where the data is used.
    pub notice: Option<String>,
    /// Whether items are consumed more than once, so that items that a user has seen can be
    /// recommended again and are ranked in an evaluation.
    pub repeats: bool,
}

/// The interactions of one user, oldest first. An item can occur more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The user's id in the source.
    pub user: String,
    /// The items, oldest first.
    pub items: Vec<ItemIndex>,
    /// Time of each item in Unix seconds, or in the source's own numbers if these are no dates;
    /// `None` if the source has only an order.
    pub times: Option<Vec<i64>>,
}

impl Dataset {
    /// Joins a catalogue and sequences, and counts the interactions of each item in the
    /// training part (see [`Sequence::split`]). Items are not [repeated](Dataset::repeats).
    ///
    /// # Errors
    /// [`DatasetError::InvalidSequence`] for an index outside the catalogue, or another number
    /// of times than items.
    pub fn new(
        name: impl Into<String>,
        mut catalogue: Catalogue,
        sequences: Vec<Sequence>,
        notice: Option<String>,
    ) -> Result<Self, DatasetError> {
        let mut counts = vec![0_u32; catalogue.len()];
        for sequence in &sequences {
            sequence.check(catalogue.len())?;
            sequence.count(&mut counts);
        }
        catalogue.set_counts(&counts);
        Ok(Self { name: name.into(), catalogue, sequences, notice, repeats: false })
    }

    /// Number of interactions of all users.
    #[must_use]
    pub fn interactions(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.items.len()).sum()
    }
}

impl Sequence {
    /// Adds the interactions of the training part to the counts of the items.
    pub(crate) fn count(&self, counts: &mut [u32]) {
        for item in self.split().train {
            counts[item.position()] += 1;
        }
    }

    /// Checks the indices against a catalogue of `items` items, and the number of times.
    pub(crate) fn check(&self, items: usize) -> Result<(), DatasetError> {
        let invalid = |expected: String, found: String| {
            Err(DatasetError::InvalidSequence { user: self.user.clone(), expected, found })
        };
        if let Some(item) = self.items.iter().find(|item| item.position() >= items) {
            return invalid(format!("item indices below {items}"), item.0.to_string());
        }
        match &self.times {
            Some(times) if times.len() != self.items.len() => invalid(
                format!("{} times, one for each item", self.items.len()),
                times.len().to_string(),
            ),
            _ => Ok(()),
        }
    }
}
