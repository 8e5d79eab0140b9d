//! What the session lacks: cells near the visitor's state, rows of clicked and of available items,
//! and co-occurrence counts, as a file or near clicked items.

use std::{cell::RefCell, collections::HashSet, sync::Arc};

use futures_util::future::join_all;
use tandem_model::{
    CountRows,
    cells::{CellEntry, CellId},
};
use tandem_protocol::{Artifact, Counts, ErrorCode, ItemId, RowsRequest, RowsResponse};
use tandem_session::{Session, SessionError};

use super::Engine;
use crate::{
    artifacts::Release,
    error::{ClientError, Failure},
    host::{Abort, Host},
    loader::Loader,
    response,
    update::Fetched,
};

/// Items of a request for rows, at most.
const MAX_ROWS: usize = 200;

/// Purpose of a request for rows of available items. The worker of the package compares it.
const WHY_AVAILABLE: &str = "rows of available items";

/// The release of the cells, and the state of their requests.
pub(super) struct Missing<A> {
    /// Folder of the release.
    pub(super) release: String,
    /// SHA-256 of the item table.
    rows_hash: String,
    /// SHA-256 of the cell index.
    index: Option<String>,
    /// Cells that cannot be used. They are not requested again.
    unusable: RefCell<HashSet<CellId>>,
    /// The file of counts, until it is here or turns out to be unusable.
    counts: RefCell<Option<Counts>>,
    /// Aborts the requests in flight; `None` if there are none.
    in_flight: RefCell<Option<A>>,
}

impl<A: Abort> Missing<A> {
    /// `counts`: whether counts take part in the ranking.
    pub(super) fn new(release: &Release, counts: bool) -> Self {
        Self {
            release: release.hash.clone(),
            rows_hash: release.manifest.rows.sha256.clone(),
            index: release.cells().map(|index| index.sha256.clone()),
            unusable: RefCell::default(),
            counts: RefCell::new(release.counts_file().filter(|_| counts).cloned()),
            in_flight: RefCell::new(None),
        }
    }

    /// Aborts the requests in flight. They stay in flight until they have ended.
    pub(super) fn abort(&self) {
        let abort = self.in_flight.borrow().clone();
        if let Some(abort) = abort {
            abort.abort();
        }
    }
}

/// What to fetch.
struct Wanted {
    cells: Vec<(CellId, CellEntry)>,
    /// Whether no cell is here yet.
    first: bool,
    /// Items whose rows are wanted.
    items: Vec<ItemId>,
    /// Whether these are available items, and not clicked ones.
    available: bool,
    /// Items whose neighbours are wanted.
    counted: Vec<ItemId>,
    /// The file of counts.
    counts: Option<Counts>,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        let Self { cells, first: _, items, available: _, counted, counts } = self;
        cells.is_empty() && items.is_empty() && counted.is_empty() && counts.is_none()
    }
}

impl<H: Host> Engine<H> {
    /// Fetches the cells that the search wants next, the rows of clicked items, and the
    /// co-occurrence counts: once, or of clicked items. If nothing else is missing and the ranking
    /// is short, fetches rows of available items. Then ranks again. Only one call at a time
    /// requests something; nothing is requested while offline, and no rows during the back-off of
    /// the server.
    ///
    /// A failure of the network is no error, but of the connection: the next call tries again.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn fetch_missing(&self) -> Result<Fetched, ClientError> {
        let Some((wanted, abort)) = self.start_fetch(Self::wanted).await? else {
            return Ok(Fetched::default());
        };
        let was_failing = self.link.borrow().is_failing();
        let Wanted { cells, first, items, available, counted, counts } = wanted;
        let loader = Loader {
            host: &self.host,
            link: &self.link,
            server: &self.server,
            abort: Some(abort.clone()),
        };
        let files = join_all(cells.iter().map(|(_, entry)| self.fetch_cell(&loader, entry)));
        let (files, rows, count_rows) = futures_util::future::join3(
            files,
            self.fetch_rows(&items, &counted, available, &abort),
            self.fetch_counts(&loader, counts.as_ref()),
        )
        .await;

        let mut session = self.session.lock().await;
        self.missing.in_flight.take();
        let missing = session.missing_rows();
        let (chosen, mut results) = (!cells.is_empty(), Vec::new());
        for ((id, _), file) in cells.into_iter().zip(files) {
            results.push(self.accept_cell(&mut session, id, file));
        }
        let (mut more, mut accepted_rows) = (false, false);
        let asked = !(items.is_empty() && counted.is_empty());
        if asked {
            let accepted = rows.map_err(ClientError::from).and_then(|rows| {
                if available {
                    return Ok(session.accept_available_rows(&items, &rows)?);
                }
                session.accept_counts(&counted, &rows)?;
                Ok(session.accept_rows(&items, &rows)?)
            });
            if accepted.as_ref().is_err_and(is_final) {
                if available {
                    session.give_up_available_rows(&items);
                } else if counted.is_empty() {
                    // Without rows in the answer these items count as unknown.
                    session.accept_rows(&items, &RowsResponse::default())?;
                } else {
                    // The server may have rows alone.
                    session.remove_counts();
                }
            }
            accepted_rows = accepted.is_ok();
            more = accepted_rows && !items.is_empty() && !chosen && !available;
            results.push(accepted);
        }
        if let Some((counts, file)) = counts.zip(count_rows) {
            let accepted = file.map_err(ClientError::from).and_then(|file| {
                let rows = CountRows::from_bytes(file).map_err(SessionError::from)?;
                Ok(session.set_counts(Arc::new(rows), counts.weight)?)
            });
            if accepted.is_ok() || accepted.as_ref().is_err_and(is_final) {
                self.missing.counts.take();
            }
            results.push(accepted);
        }
        let still_missing = session.missing_rows(); // in order
        let has_arrived =
            |item: &ItemId| still_missing.binary_search(item).is_err() && !session.is_unknown(item);
        let rows = missing.iter().any(has_arrived);
        let arrived = results.iter().any(Result::is_ok);
        let errors = results.into_iter().filter_map(Result::err).filter(is_final).collect();
        let update = if arrived { Some(self.update(&mut session).await?) } else { None };
        // Not after a failure, or cells that memory has no room for would be fetched for ever.
        let goes_on = if asked { accepted_rows } else { chosen && first };
        more |= arrived && goes_on && !session.missing_available(1).is_empty();
        let failed = !was_failing && self.link.borrow().is_failing();
        Ok(Fetched { update, rows, errors, more, failed })
    }

    /// Fetches further cells, for a page whose filter leaves too few items. Does not rank;
    /// `more` is set if cells arrived. Requests nothing while offline or beside another call that
    /// fetches.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn fetch_further(&self) -> Result<Fetched, ClientError> {
        let mut fetched = Fetched::default();
        let Some((wanted, abort)) = self.start_fetch(Self::further).await? else {
            return Ok(fetched);
        };
        let loader =
            Loader { host: &self.host, link: &self.link, server: &self.server, abort: Some(abort) };
        let files = join_all(wanted.cells.iter().map(|(_, entry)| self.fetch_cell(&loader, entry)));
        let files = files.await;
        let mut session = self.session.lock().await;
        self.missing.in_flight.take();
        for ((id, _), file) in wanted.cells.into_iter().zip(files) {
            match self.accept_cell(&mut session, id, file) {
                Ok(()) => fetched.more = true,
                Err(error) if is_final(&error) => fetched.errors.push(error),
                Err(_) => {}
            }
        }
        Ok(fetched)
    }

    /// Takes the file of a cell. One that cannot be used is not requested again.
    fn accept_cell(
        &self,
        session: &mut Session,
        id: CellId,
        file: Result<Vec<u8>, Failure>,
    ) -> Result<(), ClientError> {
        let accepted = file
            .map_err(ClientError::from)
            .and_then(|file| session.accept_cell(id, &file).map_err(ClientError::from));
        if accepted.as_ref().is_err_and(is_final) {
            self.missing.unusable.borrow_mut().insert(id);
        }
        accepted
    }

    /// Chooses what to fetch by `choose` and marks it as in flight; `None` if nothing may start
    /// or is missing.
    async fn start_fetch(
        &self,
        choose: impl FnOnce(&Self, &mut Session) -> Result<Wanted, ClientError>,
    ) -> Result<Option<(Wanted, H::Abort)>, ClientError> {
        let mut session = self.session.lock().await;
        // Only now: while the session was in use, another call may have started, or the page may
        // have forbidden the network.
        if self.link.borrow().is_offline() || self.missing.in_flight.borrow().is_some() {
            return Ok(None);
        }
        let wanted = choose(self, &mut session)?;
        if wanted.is_empty() {
            return Ok(None);
        }
        let abort = self.host.new_abort();
        *self.missing.in_flight.borrow_mut() = Some(abort.clone());
        Ok(Some((wanted, abort)))
    }

    fn wanted(&self, session: &mut Session) -> Result<Wanted, ClientError> {
        let wanted = session.next_cells()?;
        let unusable = self.missing.unusable.borrow();
        let usable = wanted.into_iter().filter(|id| !unusable.contains(id));
        let cells: Vec<_> =
            usable.map(|id| Ok((id, session.cell(id)?))).collect::<Result<_, ClientError>>()?;
        let backs_off = self.link.borrow().status(self.host.now_ms()).retry_in_ms.is_some();
        let (mut items, counted) = if backs_off {
            (Vec::new(), Vec::new())
        } else {
            (session.missing_rows(), session.missing_counts())
        };
        items.truncate(MAX_ROWS);
        // The first cells may have enough of the available items.
        let first = session.cell_usage().0 == 0;
        let waits = first && !cells.is_empty();
        let available = !backs_off && !waits && items.is_empty() && counted.is_empty();
        if available {
            items = session.missing_available(MAX_ROWS);
        }
        // The first list does not wait for the counts, which say nothing without a history.
        let has_history = !session.history().is_empty();
        let counts = self.missing.counts.borrow().clone().filter(|_| has_history);
        Ok(Wanted { cells, first, items, available, counted, counts })
    }

    fn further(&self, session: &mut Session) -> Result<Wanted, ClientError> {
        let unusable = self.missing.unusable.borrow();
        let wanted = session.further_cells(|id| !unusable.contains(&id))?;
        let cells = wanted.into_iter().map(|id| Ok((id, session.cell(id)?)));
        Ok(Wanted {
            cells: cells.collect::<Result<_, ClientError>>()?,
            first: false,
            items: Vec::new(),
            available: false,
            counted: Vec::new(),
            counts: None,
        })
    }

    async fn fetch_cell(
        &self,
        loader: &Loader<'_, H>,
        entry: &CellEntry,
    ) -> Result<Vec<u8>, Failure> {
        let artifact =
            Artifact { path: entry.path(), sha256: entry.sha256_hex(), bytes: entry.bytes.into() };
        let index = self.missing.index.as_deref();
        self.noted(loader.file(&self.missing.release, &artifact, index).await)
    }

    /// The content of the file of counts; `None` if none is wanted.
    async fn fetch_counts(
        &self,
        loader: &Loader<'_, H>,
        counts: Option<&Counts>,
    ) -> Option<Result<Vec<u8>, Failure>> {
        Some(self.noted(loader.file(&self.missing.release, &counts?.rows, None).await))
    }

    async fn fetch_rows(
        &self,
        items: &[ItemId],
        counted: &[ItemId],
        available: bool,
        abort: &H::Abort,
    ) -> Result<RowsResponse, Failure> {
        if items.is_empty() && counted.is_empty() {
            return Ok(RowsResponse::default());
        }
        let release = Some(self.missing.release.clone());
        let request = RowsRequest { items: items.to_vec(), counts: counted.to_vec(), release };
        let why = match (available, counted.is_empty()) {
            (true, _) => WHY_AVAILABLE,
            (false, true) => "rows of clicked items",
            (false, false) => "what others chose near clicked items",
        };
        let response = self.noted(self.post("/v1/rows", &request, why, abort).await)?;
        response::expect_ok(&response, "POST /v1/rows")?;
        let rows: RowsResponse = response::json(&response.body, "rows of items")?;
        let expected = &self.missing.rows_hash;
        if rows.rows_hash != *expected {
            return Err(Failure::new(
                ErrorCode::CatalogueChanged,
                format!(
                    "POST /v1/rows: expected rows of the item table {expected}, found rows of {}; \
                     load the current model",
                    rows.rows_hash
                ),
            ));
        }
        Ok(rows)
    }
}

/// Whether a later attempt would have the same result.
fn is_final(error: &ClientError) -> bool {
    !matches!(
        error.code,
        ErrorCode::Unreachable
            | ErrorCode::Timeout
            | ErrorCode::Aborted
            | ErrorCode::Overloaded
            | ErrorCode::RateLimited
            | ErrorCode::NotReady
            | ErrorCode::Internal
            | ErrorCode::Unauthorized
    )
}
