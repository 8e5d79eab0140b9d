use std::collections::HashMap;

/// The items of a step whose rows take part: those that are read, and those that are scored,
/// which of a tied model are rows of the same table.
pub(super) struct Touched {
    read: Places,
    /// Of an untied model.
    scored: Option<Places>,
}

impl Touched {
    /// None yet.
    pub(super) fn new(tied: bool) -> Self {
        Self { read: Places::default(), scored: (!tied).then(Places::default) }
    }

    /// Takes items to read; returns where each stands in [`read`](Self::read).
    pub(super) fn add_read(&mut self, items: &[u32]) -> Vec<u32> {
        self.read.place(items)
    }

    /// Takes items to score; returns where each stands in [`scored`](Self::scored).
    pub(super) fn add_scored(&mut self, items: &[u32]) -> Vec<u32> {
        self.scored.as_mut().unwrap_or(&mut self.read).place(items)
    }

    /// Distinct items whose rows are read.
    pub(super) fn read(&self) -> &[u32] {
        &self.read.items
    }

    /// Distinct items whose rows score.
    pub(super) fn scored(&self) -> &[u32] {
        &self.scored.as_ref().unwrap_or(&self.read).items
    }
}

/// Distinct items, in the order in which they first came.
#[derive(Default)]
struct Places {
    items: Vec<u32>,
    of: HashMap<u32, u32>,
}

impl Places {
    /// Where each of `items` stands, new ones last.
    fn place(&mut self, items: &[u32]) -> Vec<u32> {
        let place = |item: &u32| {
            *self.of.entry(*item).or_insert_with(|| {
                self.items.push(*item);
                self.items.len() as u32 - 1
            })
        };
        items.iter().map(place).collect()
    }
}
