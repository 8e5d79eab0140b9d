use std::collections::BTreeSet;

use tandem_protocol::{CandidatesRequest, CandidatesResponse, ItemId, ItemRow, RowsResponse};

use crate::{
    Session, SessionError,
    baseline::ListBaseline,
    candidate_list::{CandidateList, ListOrigin},
    visitor::Counts,
};

/// Maximum length of the history in a request. Older items are sent as exclusions, so that
/// they do not come back as candidates.
pub const MAX_SENT_HISTORY: usize = 200;

/// Maximum number of exclusions in a request, which is what a server takes by default. The device
/// leaves out the others itself.
pub const MAX_SENT_EXCLUSIONS: usize = 10_000;

/// State of the session when a request was made. Pass it to [`Session::accept`] with the
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTicket {
    generation: u64,
    counts: Counts,
    /// Number of the request.
    number: u64,
}

/// The visitor's state at the newest request, for the drift since then.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestedState {
    /// Number of the request.
    number: u64,
    /// The user embedding `[dims]`, if it was known.
    user: Option<Vec<f32>>,
}

impl Session {
    /// The body of a request for a new list, and a ticket for its answer. Takes a token of
    /// the call budget if there is one left.
    pub fn begin_request(
        &mut self,
        k: Option<usize>,
        now_ms: f64,
    ) -> (CandidatesRequest, RequestTicket) {
        if let Some(bucket) = &mut self.bucket {
            // A caller may exceed the budget; the bucket is then empty, not in debt.
            let _ = bucket.take(now_ms);
        }
        self.visitor.count_call();
        let history = self.visitor.history();
        let (older, newest) = history.split_at(history.len().saturating_sub(MAX_SENT_HISTORY));
        // The server leaves out the history that it is sent; older items only if they are not
        // to be recommended again.
        let older = older.iter().filter(|_| !self.settings.repeats);
        let dislikes = self.visitor.dislikes().iter().rev();
        let mut exclude = BTreeSet::new();
        for item in older.chain(dislikes).chain(self.availability.sent()) {
            if exclude.len() == MAX_SENT_EXCLUSIONS {
                break;
            }
            exclude.insert(item);
        }
        let request = CandidatesRequest {
            model: self.calibrations.chosen().map(str::to_owned),
            history: newest.to_vec(),
            exclude: exclude.into_iter().cloned().collect(),
            // Pages filter what the device ranks.
            filter: None,
            k,
            rows: !self.rows.is_whole(),
            // The caller knows the release of the weights.
            release: None,
            explain: false,
        };
        let user = self.encoding_cache.of(&self.readable_history());
        let user = user.and_then(|user| user.embedding().map(<[f32]>::to_vec));
        let number = self.requested_state.number + 1;
        self.requested_state = RequestedState { number, user };
        let (generation, counts) = (self.generation, self.visitor.counts());
        (request, RequestTicket { generation, counts, number })
    }

    /// Replaces the list by the server's answer. Returns `false`, and changes nothing, if the
    /// session was reset since the request.
    ///
    /// # Errors
    /// [`SessionError::ForeignCatalogue`] for a list of another catalogue,
    /// [`SessionError::Row`] or [`SessionError::Model`] for rows that cannot be read. The old
    /// list then stays in use.
    pub fn accept(
        &mut self,
        ticket: RequestTicket,
        response: CandidatesResponse,
        now_ms: f64,
    ) -> Result<bool, SessionError> {
        if ticket.generation != self.generation {
            return Ok(false);
        }
        if response.catalogue_hash != self.settings.catalogue_hash {
            return Err(SessionError::ForeignCatalogue {
                expected: self.settings.catalogue_hash.clone(),
                found: response.catalogue_hash,
            });
        }
        let with_candidates = response.candidates.iter().filter_map(|candidate| {
            let row = candidate.row.clone()?;
            Some(ItemRow { item: candidate.item.clone(), row })
        });
        let rows: Vec<ItemRow> = with_candidates.chain(response.history_rows).collect();
        self.rows.add_all(&rows)?;
        let origin = ListOrigin {
            ranking: response.ranking,
            model: response.model,
            received_ms: now_ms,
            requested_at: ticket.counts,
        };
        let state = &mut self.requested_state;
        let user = if state.number == ticket.number { state.user.take() } else { None };
        let baseline = ListBaseline::at_request(user);
        self.list = Some(CandidateList::new(response.candidates, origin, baseline));
        Ok(true)
    }

    /// Keeps rows of items that are on no list. A click on such an item then counts for the
    /// order, for the disagreement and for learning.
    ///
    /// `requested` are the items that the server was asked for. Those without a row in its answer
    /// are unknown to it, and [`missing_rows`](Self::missing_rows) no longer returns them.
    ///
    /// # Errors
    /// As [`RowStore::add`](crate::RowStore::add); if one row cannot be read, none is kept.
    pub fn accept_rows(
        &mut self,
        requested: &[ItemId],
        response: &RowsResponse,
    ) -> Result<(), SessionError> {
        self.rows.add_all(&response.rows)?;
        self.rows.note_unknown(requested);
        Ok(())
    }

    /// Items of the history without a row: ask the server for them.
    #[must_use]
    pub fn missing_rows(&self) -> Vec<ItemId> {
        let missing: BTreeSet<&ItemId> =
            self.visitor.history().iter().filter(|item| self.rows.is_missing(item)).collect();
        missing.into_iter().cloned().collect()
    }
}
