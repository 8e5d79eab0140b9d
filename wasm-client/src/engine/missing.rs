//! Rows that the session lacks: cells near the visitor's state, and rows of clicked items.

use std::{cell::RefCell, collections::HashSet};

use futures_util::future::join_all;
use tandem_model::cells::{CellEntry, CellId};
use tandem_protocol::{Artifact, ErrorCode, ItemId, RowsRequest, RowsResponse};
use tandem_session::Session;

use super::Engine;
use crate::{
    artifacts::{self, Release},
    error::{ClientError, Failure},
    host::{Abort, Host, HttpRequest},
    loader::Loader,
    response,
    update::Fetched,
};

/// Items of a request for rows, at most.
const MAX_ROWS: usize = 200;

/// The release of the cells, and the state of their requests.
pub(super) struct Missing<A> {
    /// Folder of the release.
    release: String,
    /// SHA-256 of the cell index.
    index: Option<String>,
    /// Cells that cannot be used. They are not requested again.
    unusable: RefCell<HashSet<CellId>>,
    /// Aborts the requests in flight.
    in_flight: RefCell<Option<A>>,
}

impl<A: Abort> Missing<A> {
    pub(super) fn new(release: &Release) -> Self {
        Self {
            release: release.hash.clone(),
            index: release.cells().map(|index| index.sha256.clone()),
            unusable: RefCell::default(),
            in_flight: RefCell::new(None),
        }
    }

    pub(super) fn abort(&self) {
        if let Some(abort) = self.in_flight.take() {
            abort.abort();
        }
    }
}

/// What to fetch.
struct Wanted {
    cells: Vec<(CellId, CellEntry)>,
    items: Vec<ItemId>,
}

impl<H: Host> Engine<H> {
    /// Fetches the cells that the search wants next and the rows of clicked items, and ranks
    /// again. Only one call at a time requests something; nothing is requested while offline.
    ///
    /// A failure of the network is not reported: the next call tries again.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn fetch_missing(&self) -> Result<Fetched, ClientError> {
        let nothing = Fetched { update: None, errors: Vec::new(), more: false };
        if self.link.borrow().is_offline() || self.missing.in_flight.borrow().is_some() {
            return Ok(nothing);
        }
        let Wanted { cells, items } = self.wanted(&mut *self.session.lock().await)?;
        if cells.is_empty() && items.is_empty() {
            return Ok(nothing);
        }
        let abort = self.host.new_abort();
        *self.missing.in_flight.borrow_mut() = Some(abort.clone());
        let loader = Loader {
            host: &self.host,
            link: &self.link,
            server: &self.server,
            abort: Some(abort.clone()),
        };
        let files = join_all(cells.iter().map(|(_, entry)| self.fetch_cell(&loader, entry)));
        let (files, rows) =
            futures_util::future::join(files, self.fetch_rows(&items, &abort)).await;
        self.missing.in_flight.take();

        let mut session = self.session.lock().await;
        let (chosen, mut results) = (!cells.is_empty(), Vec::new());
        for ((id, _), file) in cells.into_iter().zip(files) {
            let accepted = file
                .map_err(ClientError::from)
                .and_then(|file| session.accept_cell(id, &file).map_err(ClientError::from));
            if accepted.as_ref().is_err_and(is_final) {
                self.missing.unusable.borrow_mut().insert(id);
            }
            results.push(accepted);
        }
        let mut more = false;
        if !items.is_empty() {
            let accepted = rows
                .map_err(ClientError::from)
                .and_then(|rows| session.accept_rows(&items, &rows).map_err(ClientError::from));
            if accepted.as_ref().is_err_and(is_final) {
                // Without rows in the answer these items count as unknown.
                session.accept_rows(&items, &RowsResponse::default())?;
            }
            more = accepted.is_ok() && !chosen;
            results.push(accepted);
        }
        let arrived = results.iter().any(Result::is_ok);
        let errors = results.into_iter().filter_map(Result::err).filter(is_final).collect();
        let update = if arrived { Some(self.update(&mut session).await?) } else { None };
        Ok(Fetched { update, errors, more })
    }

    fn wanted(&self, session: &mut Session) -> Result<Wanted, ClientError> {
        let wanted = session.next_cells()?;
        let unusable = self.missing.unusable.borrow();
        let usable = wanted.into_iter().filter(|id| !unusable.contains(id));
        let cells =
            usable.map(|id| Ok((id, session.cell(id)?))).collect::<Result<_, ClientError>>()?;
        let mut items = session.missing_rows();
        items.truncate(MAX_ROWS);
        Ok(Wanted { cells, items })
    }

    async fn fetch_cell(
        &self,
        loader: &Loader<'_, H>,
        entry: &CellEntry,
    ) -> Result<Vec<u8>, Failure> {
        let artifact = Artifact {
            path: entry.path(),
            sha256: artifacts::hex(&entry.sha256),
            bytes: entry.bytes.into(),
        };
        loader.file(&self.missing.release, &artifact, self.missing.index.as_deref()).await
    }

    async fn fetch_rows(
        &self,
        items: &[ItemId],
        abort: &H::Abort,
    ) -> Result<RowsResponse, Failure> {
        if items.is_empty() {
            return Ok(RowsResponse::default());
        }
        let body = serde_json::to_string(&RowsRequest { items: items.to_vec() })
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        self.link.borrow_mut().bytes_up += body.len() as u64;
        let request = HttpRequest {
            url: format!("{}/v1/rows", self.server),
            body: Some(body),
            timeout_ms: self.timeout_ms,
            why: "rows of clicked items".to_owned(),
            ..HttpRequest::default()
        };
        let response = self.host.send(&request, abort).await?;
        self.link.borrow_mut().bytes_down += response.body.len() as u64;
        response::expect_ok(&response, "POST /v1/rows")?;
        response::json(&response.body, "rows of items")
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
            | ErrorCode::NotReady
            | ErrorCode::Internal
            | ErrorCode::Unauthorized
    )
}
