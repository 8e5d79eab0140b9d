use std::collections::HashSet;

use tandem_protocol::{Candidate, ItemId, Ranking};

use crate::{baseline::ListBaseline, negatives::NegativeSample, visitor::Counts};

/// Maximum number of candidates that are kept of a list.
pub const MAX_CANDIDATES: usize = 1_000;

/// The candidate list in use, in the language model's order.
#[derive(Clone, Debug)]
pub(crate) struct CandidateList {
    candidates: Vec<Candidate>,
    items: HashSet<ItemId>,
    ranking: Ranking,
    model: String,
    received_ms: f64,
    /// The visitor's counts when the list was requested.
    requested_at: Counts,
    baseline: ListBaseline,
    negatives: std::sync::OnceLock<NegativeSample>,
}

/// Where a list comes from.
#[derive(Clone, Debug)]
pub(crate) struct ListOrigin {
    pub(crate) ranking: Ranking,
    /// Name of the language model.
    pub(crate) model: String,
    pub(crate) received_ms: f64,
    /// The visitor's counts when the list was requested.
    pub(crate) requested_at: Counts,
}

impl CandidateList {
    /// A list of `candidates` in the language model's order. Repeated items and what exceeds
    /// [`MAX_CANDIDATES`] are dropped.
    pub(crate) fn new(
        mut candidates: Vec<Candidate>,
        origin: ListOrigin,
        baseline: ListBaseline,
    ) -> Self {
        let mut items = HashSet::with_capacity(candidates.len().min(MAX_CANDIDATES));
        candidates.retain(|candidate| {
            items.len() < MAX_CANDIDATES && items.insert(candidate.item.clone())
        });
        let ListOrigin { ranking, model, received_ms, requested_at } = origin;
        Self {
            candidates,
            items,
            ranking,
            model,
            received_ms,
            requested_at,
            baseline,
            negatives: std::sync::OnceLock::new(),
        }
    }

    /// All candidates as they came.
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    pub(crate) fn contains(&self, item: &ItemId) -> bool {
        self.items.contains(item)
    }

    pub(crate) fn ranking(&self) -> Ranking {
        self.ranking
    }

    /// Whether the list was made for this visitor.
    pub(crate) fn is_personal(&self) -> bool {
        self.ranking == Ranking::LanguageModel
    }

    /// Name of the language model that made it.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Milliseconds since the list was received.
    pub(crate) fn age_ms(&self, now_ms: f64) -> f64 {
        (now_ms - self.received_ms).max(0.0)
    }

    /// The visitor's counts when the list was requested.
    pub(crate) fn requested_at(&self) -> Counts {
        self.requested_at
    }

    /// What has been added to the visitor's counts since the list was requested.
    pub(crate) fn since_request(&self, now: Counts) -> Counts {
        Counts {
            clicks: now.clicks.saturating_sub(self.requested_at.clicks),
            distinct: now.distinct.saturating_sub(self.requested_at.distinct),
        }
    }

    pub(crate) fn baseline(&self) -> &ListBaseline {
        &self.baseline
    }

    pub(crate) fn baseline_mut(&mut self) -> &mut ListBaseline {
        &mut self.baseline
    }

    /// The items that the list is compared with. A cache: it follows from the list and the
    /// rows that were here when it was first needed.
    pub(crate) fn negatives(&self, make: impl FnOnce() -> NegativeSample) -> &NegativeSample {
        self.negatives.get_or_init(make)
    }
}
