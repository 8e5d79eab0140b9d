/// The state of a network after some items, from which more items can be encoded: `A` for a
/// network with attention, `R` for a recurrent one.
#[derive(Clone, Debug)]
pub(crate) enum IncrementalState<A, R> {
    /// Keys and values of every item, per layer.
    Attention(A),
    /// Hidden state after the newest item, per layer.
    Recurrence(R),
}

impl<A, R> IncrementalState<A, R> {
    pub(crate) fn attention(&self) -> Option<&A> {
        if let Self::Attention(layers) = self { Some(layers) } else { None }
    }

    pub(crate) fn recurrence(&self) -> Option<&R> {
        if let Self::Recurrence(layers) = self { Some(layers) } else { None }
    }
}
