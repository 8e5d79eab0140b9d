mod availability;
mod calibration;
mod catalogue_search;
mod compare;
mod counts;
mod decision;
mod encoding;
mod explain;
mod learning;
mod list_advantage;
mod ranking;
mod requests;
mod saved;
mod search;
mod similar;
mod undo;

use tandem_collaboration::{BucketLimits, Fusion, Policy, TokenBucket};
use tandem_model::{LearningConfig, ModelError, PersonalDelta, Scorer};
use tandem_protocol::{Event, EventKind, ItemId, Ranking};

use crate::{RowStore, SessionError, candidate_list::CandidateList, visitor::Visitor};
use availability::Availability;
use calibration::Calibrations;
use counts::WeightedCounts;
use encoding::EncodingCache;
use learning::LearningQueue;
use requests::RequestedState;
use undo::UndoLog;

pub use calibration::Calibration;
pub use decision::Connection;
pub use explain::{Contribution, Explanation, MAX_EXPLAINED};
pub use ranking::{Ranked, RankedItem};
pub use requests::{MAX_SENT_EXCLUSIONS, MAX_SENT_HISTORY, RequestTicket};
pub use saved::{RestoreOutcome, STATE_VERSION};
pub use search::{
    FIRST_BYTES, FIRST_CELLS, FURTHER_BYTES, MORE_BYTES, MORE_CELLS, SearchMode, SearchSource,
};
pub use similar::Similar;
pub use undo::UNDO_LIMIT;

/// How a session behaves, as the manifest says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How the scores of the two models are fused.
    pub fusion: Fusion,
    /// When the cloud is called.
    pub policy: Policy,
    /// How the device learns.
    pub learning: LearningConfig,
    /// Hash of the shared weights. A personal delta belongs to it.
    pub base: String,
    /// Hash of the catalogue that the model was trained on.
    pub catalogue_hash: String,
    /// Number of items that the device adds to the list by its own search; 0 for no search.
    pub search_k: usize,
    /// Items to show while there is too little else, most popular first.
    pub popular: Vec<ItemId>,
    /// Whether items of the history may be recommended again, for shops where things are
    /// bought repeatedly.
    pub repeats: bool,
}

/// One visitor's session on a device.
#[derive(Debug)]
pub struct Session {
    pub(crate) scorer: Scorer,
    pub(crate) rows: RowStore,
    pub(crate) settings: Settings,
    pub(crate) counts: Option<WeightedCounts>,
    pub(crate) bucket: Option<TokenBucket>,
    pub(crate) visitor: Visitor,
    pub(crate) list: Option<CandidateList>,
    pub(crate) delta: PersonalDelta<ItemId>,
    pub(crate) learning: LearningQueue,
    pub(crate) undo: UndoLog,
    pub(crate) calibrations: Calibrations,
    pub(crate) availability: Availability,
    /// The first items of the ranking that the visitor sees.
    pub(crate) shown: Vec<ItemId>,
    /// Number of items of that ranking.
    pub(crate) shown_items: usize,
    /// State of the visitor at the newest request.
    pub(crate) requested_state: RequestedState,
    pub(crate) encoding_cache: EncodingCache,
    /// Number of resets and imports: an answer to a request from before one is dropped.
    pub(crate) generation: u64,
}

impl Session {
    /// An empty session.
    ///
    /// # Errors
    /// [`SessionError::Collaboration`] or [`SessionError::Model`] for settings out of range,
    /// [`SessionError::Model`] if rows and weights have different widths.
    pub fn new(scorer: Scorer, rows: RowStore, settings: Settings) -> Result<Self, SessionError> {
        settings.fusion.validate()?;
        settings.policy.validate()?;
        settings.learning.validate()?;
        let dims = scorer.row_dims();
        if rows.dims() != dims {
            return Err(SessionError::Model(ModelError::Length {
                what: "dimensions of the item rows",
                expected: dims,
                found: rows.dims(),
            }));
        }
        Ok(Self {
            bucket: settings.policy.new_bucket(),
            delta: PersonalDelta::new(&settings.base, dims, settings.learning.rank),
            scorer,
            rows,
            settings,
            counts: None,
            visitor: Visitor::default(),
            list: None,
            learning: LearningQueue::default(),
            undo: UndoLog::default(),
            calibrations: Calibrations::default(),
            availability: Availability::default(),
            shown: Vec::new(),
            shown_items: 0,
            requested_state: RequestedState::default(),
            encoding_cache: EncodingCache::default(),
            generation: 0,
        })
    }

    /// Adds items that the visitor chose before this session began, oldest first. They are
    /// history and count as no clicks of this session.
    pub fn prepend_history(&mut self, history: impl IntoIterator<Item = ItemId>) {
        let added = self.visitor.prepend(history);
        self.learning.shift(added);
    }

    /// Limits the calls over time in place of the manifest's limit, for the lists of every
    /// language model. The new budget starts full.
    ///
    /// # Errors
    /// [`SessionError::Collaboration`] for limits out of range; the old limit stays.
    pub fn set_call_budget(&mut self, limits: BucketLimits) -> Result<(), SessionError> {
        limits.validate()?;
        self.settings.policy.bucket = Some(limits);
        self.bucket = self.settings.policy.new_bucket();
        Ok(())
    }

    /// Forgets everything about the visitor. Weights, rows and the spent tokens of the call
    /// budget stay.
    pub fn reset(&mut self) {
        let dims = self.scorer.row_dims();
        self.delta = PersonalDelta::new(&self.settings.base, dims, self.settings.learning.rank);
        self.visitor = Visitor::default();
        self.list = None;
        self.learning = LearningQueue::default();
        self.undo.clear();
        self.encoding_cache = EncodingCache::default();
        self.shown.clear();
        self.shown_items = 0;
        self.requested_state = RequestedState::default();
        self.forget_sent_counts();
        self.generation += 1;
    }

    /// Records an event. Cheap: nothing is scored and nothing is learnt yet.
    pub fn track(&mut self, event: &Event) {
        match event.kind {
            EventKind::Click | EventKind::Purchase => {
                self.note_example(self.undo.next(), &event.item);
                self.undo.record(event, false);
                self.rows.keep(&event.item);
                self.visitor.click(event.item.clone());
            }
            EventKind::Dislike => {
                let new = self.visitor.dislike(event.item.clone());
                self.undo.record(event, new);
            }
            EventKind::View => return,
        }
        self.learning.keep_steps_from(self.undo.oldest());
    }

    /// Whether the item is neither in the catalogue, as far as this device can know, nor on the
    /// list, which may have items that were added since.
    #[must_use]
    pub fn is_unknown(&self, item: &ItemId) -> bool {
        self.rows.is_unknown(item) && !self.is_listed(item)
    }

    /// The visitor's items, oldest first.
    #[must_use]
    pub fn history(&self) -> &[ItemId] {
        self.visitor.history()
    }

    /// Number of clicks, purchases and dislikes so far.
    #[must_use]
    pub fn clicks(&self) -> u64 {
        self.visitor.clicks()
    }

    /// Number of lists requested so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.visitor.calls()
    }

    /// What the list in use is ordered by, and the language model that made it.
    #[must_use]
    pub fn list_origin(&self) -> Option<(Ranking, &str)> {
        self.list.as_ref().map(|list| (list.ranking(), list.model()))
    }

    /// Age of the list in milliseconds, and clicks since it was requested.
    #[must_use]
    pub fn list_age(&self, now_ms: f64) -> Option<(f64, u64)> {
        let list = self.list.as_ref()?;
        Some((list.age_ms(now_ms), list.since_request(self.visitor.counts()).clicks))
    }

    /// What was learnt on this device.
    #[must_use]
    pub fn delta(&self) -> &PersonalDelta<ItemId> {
        &self.delta
    }
}
