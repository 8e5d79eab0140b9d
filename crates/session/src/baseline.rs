use tandem_collaboration::ListAdvantage;

/// How the small model saw a list when it was first shown.
///
/// A decision compares the list of now with it: some advantage of other items is there even
/// for a fresh list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListBaseline {
    advantage: Option<ListAdvantage>,
}

impl ListBaseline {
    /// The baseline of a stored list.
    pub(crate) fn restored(advantage: Option<ListAdvantage>) -> Self {
        Self { advantage }
    }

    /// Takes what the first ranking found; later ones change nothing.
    pub(crate) fn record(&mut self, advantage: Option<ListAdvantage>) {
        self.advantage = self.advantage.or(advantage);
    }

    pub(crate) fn advantage(&self) -> Option<ListAdvantage> {
        self.advantage
    }
}
