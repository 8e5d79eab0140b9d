use tandem_collaboration::{ListAdvantage, state_drift};

/// How the small model saw a list and its visitor when the list was new.
///
/// A decision compares the present with it: some advantage of other items is there even for a
/// fresh list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListBaseline {
    advantage: Option<ListAdvantage>,
    /// The user embedding `[dims]` when the list was requested.
    user: Option<Vec<f32>>,
}

impl ListBaseline {
    /// The baseline of a new list: `user` is the user embedding at its request, if known.
    pub(crate) fn at_request(user: Option<Vec<f32>>) -> Self {
        Self { advantage: None, user }
    }

    /// The baseline of a stored list.
    pub(crate) fn restored(advantage: Option<ListAdvantage>, user: Option<Vec<f32>>) -> Self {
        Self { advantage, user }
    }

    /// Takes what the first ranking found; later ones change nothing.
    pub(crate) fn record(&mut self, advantage: Option<ListAdvantage>, user: Option<&[f32]>) {
        self.advantage = self.advantage.or(advantage);
        if self.user.is_none() {
            self.user = user.map(<[f32]>::to_vec);
        }
    }

    pub(crate) fn advantage(&self) -> Option<ListAdvantage> {
        self.advantage
    }

    pub(crate) fn user(&self) -> Option<&[f32]> {
        self.user.as_deref()
    }

    /// How far the user embedding has moved; 0 for a model without one.
    pub(crate) fn drift(&self, now: Option<&[f32]>) -> f32 {
        match (now, &self.user) {
            (Some(now), Some(then)) => state_drift(now, then),
            _ => 0.0,
        }
    }
}
