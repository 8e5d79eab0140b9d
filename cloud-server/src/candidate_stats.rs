//! What a handler tells the request log and the traces of a candidate list.

/// Sizes of a candidate list, which its handler passes to the request log; never item ids.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CandidateStats {
    pub(crate) candidates: usize,
    pub(crate) tokens: usize,
    /// Times of a single list.
    pub(crate) times: Option<ListTimes>,
}

/// Where the time of a list went, in seconds.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "the names have the unit")]
pub(crate) struct ListTimes {
    /// Wait in the queue of the model.
    pub(crate) queue_s: f64,
    /// Evaluation of the prompt.
    pub(crate) prompt_s: f64,
    /// Decoding of the list.
    pub(crate) decode_s: f64,
}
