use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use tandem_collaboration::ListAdvantage;
use tandem_model::PersonalDelta;
use tandem_protocol::{Candidate, ItemId, ItemRow, Ranking};

use crate::{
    Session, SessionError,
    baseline::ListBaseline,
    candidate_list::{CandidateList, ListOrigin, MAX_CANDIDATES},
    encode_row,
    visitor::{Counts, SavedVisitor, Visitor},
};

/// Version of a saved session. Newer versions are refused.
pub const STATE_VERSION: u32 = 1;

/// Bytes of a learnt value as JSON, about: an `f32` with its comma.
const BYTES_PER_VALUE: usize = 14;
/// Bytes of a long history and a list as JSON, about.
const BYTES_OF_THE_REST: usize = 32_768;

/// All that a device knows about a visitor: what is exported, stored and erased.
#[derive(Debug, Serialize, Deserialize)]
struct SavedSession<'a> {
    version: u32,
    catalogue_hash: Cow<'a, str>,
    history: Cow<'a, [ItemId]>,
    /// Number of items that were dropped in front of the history.
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: usize,
    disliked: Cow<'a, [ItemId]>,
    clicks: u64,
    calls: u64,
    /// Number of distinct items so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distinct: Option<usize>,
    list: Option<SavedList<'a>>,
    delta: Cow<'a, PersonalDelta<ItemId>>,
    /// Rows of the history's items that are in no whole table, for work without a network. Rows
    /// of candidates are in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rows: Vec<ItemRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedList<'a> {
    ranking: Ranking,
    model: Cow<'a, str>,
    candidates: Cow<'a, [Candidate]>,
    /// Counts of the session when the list was requested.
    clicks: u64,
    distinct: usize,
    /// The baseline.
    #[serde(default, alias = "outlook", skip_serializing_if = "Option::is_none")]
    list_advantage: Option<ListAdvantage>,
    /// The user embedding when the list was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, [f32]>>,
}

/// The parts of a saved session.
struct Parts<'a> {
    visitor: SavedVisitor,
    list: Option<SavedList<'a>>,
    delta: PersonalDelta<ItemId>,
    rows: Vec<ItemRow>,
}

/// What [`Session::restore`] has restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The whole session.
    Everything,
    /// History, dislikes and counts. What was learnt, and the list, belonged to another
    /// model.
    History,
}

/// Read first, to tell a newer format from a damaged file.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Session {
    /// The session as JSON: history, dislikes, list and personal delta.
    ///
    /// # Errors
    /// [`SessionError::Damaged`] if it cannot be written as JSON.
    pub fn export(&self) -> Result<Vec<u8>, SessionError> {
        let visitor = &self.visitor;
        let list = self.list.as_ref().map(|list| SavedList {
            ranking: list.ranking(),
            model: Cow::Borrowed(list.model()),
            candidates: Cow::Borrowed(list.candidates()),
            clicks: list.requested_at().clicks,
            distinct: list.requested_at().distinct,
            list_advantage: list.baseline().advantage(),
            user: list.baseline().user().map(Cow::Borrowed),
        });
        let saved = SavedSession {
            version: STATE_VERSION,
            catalogue_hash: Cow::Borrowed(&self.settings.catalogue_hash),
            history: Cow::Borrowed(visitor.history()),
            dropped: visitor.dropped(),
            disliked: Cow::Borrowed(visitor.dislikes()),
            clicks: visitor.clicks(),
            calls: visitor.calls(),
            distinct: Some(visitor.counts().distinct),
            list,
            delta: Cow::Borrowed(&self.delta),
            rows: self.history_rows(),
        };
        // Large enough at once: a buffer that grows by doubling leaves the browser's memory
        // twice as large, for good.
        let values = (self.delta.row_count() + 2 * self.delta.rank() + 1) * self.rows.dims();
        let mut json = Vec::with_capacity(values * BYTES_PER_VALUE + BYTES_OF_THE_REST);
        let written = serde_json::to_writer(&mut json, &saved);
        written.map_err(|error| SessionError::Damaged(error.to_string()))?;
        Ok(json)
    }

    fn history_rows(&self) -> Vec<ItemRow> {
        let items: BTreeSet<&ItemId> = self.visitor.history().iter().collect();
        let rows = items.into_iter().filter_map(|item| Some((item, self.rows.kept_row(item)?)));
        rows.map(|(item, row)| encode_row(item.clone(), row)).collect()
    }

    /// Replaces this session by an exported one. What exceeds the limits of a session is
    /// dropped: of history and dislikes the oldest items, of a list the last ones.
    ///
    /// History and dislikes are valid for any model. What was learnt on other weights means
    /// nothing on these and is refused, as is a list of another catalogue.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::Version`],
    /// [`SessionError::ForeignCatalogue`], [`SessionError::Row`] or [`SessionError::Model`];
    /// this session is then unchanged.
    pub fn import(&mut self, bytes: &[u8], now_ms: f64) -> Result<(), SessionError> {
        let saved = SavedSession::read(bytes)?;
        self.check(&saved)?;
        self.load(saved, now_ms)
    }

    /// Restores a session that this device stored, or that ended because the catalogue
    /// changed. As [`import`](Self::import); if the session belongs to another model, history,
    /// dislikes and counts are kept and the rest is dropped. Spent calls stay spent.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::Version`] or [`SessionError::Row`]; this
    /// session is then unchanged.
    pub fn restore(&mut self, bytes: &[u8], now_ms: f64) -> Result<RestoreOutcome, SessionError> {
        let saved = SavedSession::read(bytes)?;
        if self.check(&saved).is_ok() {
            self.load(saved, now_ms)?;
            return Ok(RestoreOutcome::Everything);
        }
        self.reset();
        self.visitor = Visitor::restored(saved.split().visitor);
        Ok(RestoreOutcome::History)
    }

    /// Whether a saved session belongs to this model.
    fn check(&self, saved: &SavedSession<'_>) -> Result<(), SessionError> {
        if saved.catalogue_hash != self.settings.catalogue_hash {
            return Err(SessionError::ForeignCatalogue {
                expected: self.settings.catalogue_hash.clone(),
                found: saved.catalogue_hash.clone().into_owned(),
            });
        }
        let (dims, rank) = (self.scorer.row_dims(), self.settings.learning.rank);
        Ok(saved.delta.check(&self.settings.base, dims, rank)?)
    }

    fn load(&mut self, saved: SavedSession<'_>, now_ms: f64) -> Result<(), SessionError> {
        let Parts { visitor, list, delta, rows } = saved.split();
        let visitor = Visitor::restored(visitor);
        let candidates = list.iter().flat_map(|list| list.candidates.iter().take(MAX_CANDIDATES));
        let of_list = candidates.filter_map(|candidate| {
            Some(ItemRow { item: candidate.item.clone(), row: candidate.row.clone()? })
        });
        let of_history = rows.into_iter().filter(|row| visitor.has_seen(&row.item));
        let rows: Vec<ItemRow> = of_list.chain(of_history).collect();
        self.rows.add_all(&rows)?;
        self.reset();
        self.visitor = visitor;
        self.delta = delta;
        self.list = list.map(|list| {
            let origin = ListOrigin {
                ranking: list.ranking,
                model: list.model.into_owned(),
                // The age of the list is unknown, because the clock may have been changed while
                // the session was stored.
                received_ms: now_ms,
                requested_at: Counts { clicks: list.clicks, distinct: list.distinct },
            };
            let baseline =
                ListBaseline::restored(list.list_advantage, list.user.map(Cow::into_owned));
            CandidateList::new(list.candidates.into_owned(), origin, baseline)
        });
        Ok(())
    }
}

impl SavedSession<'_> {
    fn read(bytes: &[u8]) -> Result<Self, SessionError> {
        let damaged = |error: serde_json::Error| SessionError::Damaged(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > STATE_VERSION {
            return Err(SessionError::Version { supported: STATE_VERSION, found: version });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

impl<'a> SavedSession<'a> {
    fn split(self) -> Parts<'a> {
        let visitor = SavedVisitor {
            history: self.history.into_owned(),
            dropped: self.dropped,
            dislikes: self.disliked.into_owned(),
            clicks: self.clicks,
            calls: self.calls,
            distinct: self.distinct,
        };
        let delta = self.delta.into_owned();
        Parts { visitor, list: self.list, delta, rows: self.rows }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
