//! A session with a network: the methods of the client.

mod missing;

use std::cell::{Cell, RefCell};

use futures_util::lock::Mutex;
use serde::Serialize;
use tandem_model::ModelError;
use tandem_protocol::{CandidatesRequest, ErrorCode, Event, ItemId};
use tandem_session::{Explanation, RequestTicket, Session, SessionError, Similar};

use self::missing::Missing;
use crate::{
    artifacts::Release,
    config::OpenConfig,
    device::ComputeDevice,
    error::{ClientError, Failure},
    history::{HistoryChange, HistoryReport},
    host::{Host, HttpRequest, HttpResponse},
    loader::Loader,
    response,
    server_link::ServerLink,
    update::{Deeper, LearnReport, Stats, Timings, Undone, Update},
};

/// One visitor's session and its link to the server.
///
/// The session is behind an async lock, because results are read from a GPU with `await`.
/// The lock is never held while waiting for the network, and `link` is never borrowed across
/// an `await`.
pub(crate) struct Engine<H: Host> {
    host: H,
    server: String,
    timeout_ms: u32,
    session: Mutex<Session>,
    link: RefCell<ServerLink<H::Abort>>,
    history: RefCell<HistoryReport>,
    missing: Missing<H::Abort>,
    /// Clicks that were skipped because their learning step was not finite.
    not_learnt: Cell<u64>,
}

impl<H: Host> Engine<H> {
    /// Loads the manifest and the files it names. Nothing is parsed before its hash is checked.
    pub(crate) async fn open(
        host: H,
        config: &OpenConfig,
        device: &ComputeDevice,
    ) -> Result<Self, ClientError> {
        let (timeout_ms, budget) = (config.timeout_ms()?, config.budget()?);
        let link = RefCell::new(ServerLink::new());
        let loader = Loader { host: &host, link: &link, server: config.server(), abort: None };
        let manifest = loader.get("/v1/manifest", "manifest of the small model").await?;
        let release = Release::read(&manifest.body, manifest.artifacts.as_deref(), config.search)?;
        let files = loader.files(&release).await?;
        let missing = Missing::new(&release, config.counts());
        let mut session = release.session(files, device, config)?;
        if let Some(budget) = budget {
            session.set_call_budget(budget)?;
        }
        Ok(Self {
            host,
            server: config.server().to_owned(),
            timeout_ms,
            session: Mutex::new(session),
            missing,
            link,
            history: RefCell::default(),
            not_learnt: Cell::new(0),
        })
    }

    /// Takes an event and ranks again. No network.
    ///
    /// # Errors
    /// `unknown_item` if the device holds the whole catalogue and the item is neither in it nor on
    /// the list.
    pub(crate) async fn track(&self, event: &Event) -> Result<Update, ClientError> {
        let empty = event.item.as_str().is_empty();
        if !empty && self.session.lock().await.is_unknown(&event.item) {
            return Err(ClientError::new(
                ErrorCode::UnknownItem,
                format!(
                    "event.item: expected an item of the catalogue, found {:?}: the server's \
                     current release does not have it; new items come with the next release or \
                     through POST /v1/items",
                    event.item.as_str()
                ),
            ));
        }
        self.replay(std::slice::from_ref(event)).await
    }

    /// Takes events one after another and ranks once. No network.
    pub(crate) async fn replay(&self, events: &[Event]) -> Result<Update, ClientError> {
        if events.iter().any(|event| event.item.as_str().is_empty()) {
            return Err(ClientError::new(
                ErrorCode::InvalidArgument,
                "event.item: expected the shop's id of an item, found an empty string",
            ));
        }
        let mut session = self.session.lock().await;
        for event in events {
            session.track(event);
        }
        self.update(&mut session).await
    }

    /// Reverts the newest event and ranks again. No network.
    pub(crate) async fn undo(&self) -> Result<Undone, ClientError> {
        let mut session = self.session.lock().await;
        let event = session.undo();
        Ok(Undone { event, update: self.update(&mut session).await? })
    }

    /// Why an item has its rank; `None` if it is not recommended.
    pub(crate) async fn explain(&self, item: &ItemId) -> Result<Option<Explanation>, ClientError> {
        Ok(self.session.lock().await.explain(item).await?)
    }

    /// The `k` items most similar to one; `None` if its row is not on the device.
    pub(crate) async fn similar(&self, item: &ItemId, k: usize) -> Option<Vec<Similar>> {
        self.session.lock().await.similar(item, k)
    }

    /// Disagreement of the small model with the page's own order of items.
    pub(crate) async fn compare(&self, items: &[ItemId]) -> Result<Option<f32>, ClientError> {
        Ok(self.session.lock().await.compare(items).await?)
    }

    /// Selects the language model for the next lists.
    pub(crate) async fn choose_model(&self, name: Option<String>) {
        self.session.lock().await.choose_language_model(name);
    }

    /// Ranks again without an event. No network.
    pub(crate) async fn recommend(&self) -> Result<Update, ClientError> {
        self.update(&mut *self.session.lock().await).await
    }

    /// Requests a new list and ranks it. Fails only if the device fails: a failure of the
    /// server is reported in the update's `connection`, and the last list stays in use.
    ///
    /// Only ranks while offline or while another request is in flight.
    pub(crate) async fn request_candidates(&self, why: &str) -> Result<Update, ClientError> {
        let Some(Started { request, ticket, number, abort }) = self.start_request().await? else {
            return self.recommend().await;
        };
        let started_ms = self.host.now_ms();
        let received = self.fetch_list(&request, &abort, why).await;

        // In the meantime there may have been clicks, a reset, even another request.
        let mut session = self.session.lock().await;
        let now_ms = self.host.now_ms();
        let took_ms = now_ms - started_ms;
        if !self.link.borrow_mut().end(number) {
            return self.update_after_abort(&mut session).await;
        }
        let outcome = received.and_then(|list| {
            let server_ms = list.timings.total_ms;
            session.accept(ticket, list, now_ms)?;
            Ok(server_ms)
        });
        match outcome {
            Ok(server_ms) => self.link.borrow_mut().succeeded(took_ms, server_ms),
            Err(failure) => {
                let random = self.host.random();
                self.link.borrow_mut().failed(failure, now_ms, took_ms, random);
            }
        }
        self.update(&mut session).await
    }

    /// Makes another request to the server: `POST` with a body, `GET` without. Independent of
    /// the session and of requests for lists, but a failure of the network is one of the connection.
    ///
    /// # Errors
    /// `unreachable` also while offline; else those of `response::expect_ok`.
    pub(crate) async fn request(
        &self,
        path: &str,
        body: Option<String>,
        why: String,
    ) -> Result<String, ClientError> {
        if self.link.borrow().is_offline() {
            let message = format!("{path}: the page has forbidden the network (setOffline)");
            return Err(ClientError::new(ErrorCode::Unreachable, message));
        }
        let method = if body.is_some() { "POST" } else { "GET" };
        let response = self.exchange(path, body, why, &self.host.new_abort()).await;
        let response = self.noted(response)?;
        response::expect_ok(&response, &format!("{method} {path}"))?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// What changed in the history since the last call of this method.
    pub(crate) fn history_change(&self) -> HistoryChange {
        self.history.borrow_mut().take_change()
    }

    /// One learning step for the oldest pending click; `None` if there is none, or if its
    /// step was not finite (counted in `nonFinite`).
    pub(crate) async fn learn(&self) -> Result<Option<LearnReport>, ClientError> {
        let mut session = self.session.lock().await;
        let started_ms = self.host.now_ms();
        let outcome = match session.learn().await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return Ok(None),
            Err(SessionError::Model(ModelError::NotFinite { .. })) => {
                self.not_learnt.set(self.not_learnt.get() + 1);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(LearnReport {
            step: session.delta().steps(),
            loss_before: outcome.loss_before,
            loss_after: outcome.loss_after,
            ms: self.host.now_ms() - started_ms,
        }))
    }

    /// Sets the items that can be recommended, for example those in stock; `None` for all.
    pub(crate) async fn set_available(
        &self,
        items: Option<Vec<ItemId>>,
    ) -> Result<Update, ClientError> {
        let mut session = self.session.lock().await;
        session.set_available(items.map(|items| items.into_iter().collect()));
        self.update(&mut session).await
    }

    /// Sets the items that are never recommended; `send`: also with requests for lists.
    pub(crate) async fn set_excluded(
        &self,
        items: Vec<ItemId>,
        send: bool,
    ) -> Result<Update, ClientError> {
        let mut session = self.session.lock().await;
        session.set_excluded(items.into_iter().collect(), send);
        self.update(&mut session).await
    }

    /// A longer ranking, with the best `k` items of the device's own search. For a page whose
    /// filter leaves too few items; does not count as shown.
    pub(crate) async fn rank_deeper(&self, k: usize) -> Result<Deeper, ClientError> {
        let ranked = self.session.lock().await.rank_deeper(k).await?;
        Ok(Deeper { items: ranked.items, exhausted: ranked.exhausted })
    }

    /// Forbids or allows the network; forbidding aborts requests in flight.
    pub(crate) fn set_offline(&self, offline: bool) {
        if offline {
            self.missing.abort();
        }
        self.link.borrow_mut().set_offline(offline);
    }

    /// Aborts a request in flight.
    pub(crate) fn abort(&self) {
        self.link.borrow_mut().abort();
    }

    /// Deletes session and personal delta, and aborts a request in flight.
    pub(crate) async fn reset(&self) -> Result<Update, ClientError> {
        self.abort();
        let mut session = self.session.lock().await;
        session.reset();
        self.reset_counters();
        self.update(&mut session).await
    }

    /// Session and delta as bytes.
    ///
    /// # Errors
    /// `not_ready` while another call computes on the GPU.
    pub(crate) fn export(&self) -> Result<Vec<u8>, ClientError> {
        let session = self.session.try_lock().ok_or_else(|| {
            ClientError::new(
                ErrorCode::NotReady,
                "the session is in use by another call; export once it has resolved",
            )
        })?;
        Ok(session.export()?)
    }

    /// Replaces this session by an exported one.
    pub(crate) async fn import(&self, bytes: &[u8]) -> Result<Update, ClientError> {
        let mut session = self.session.lock().await;
        session.import(bytes, self.host.now_ms())?;
        self.reset_counters();
        self.update(&mut session).await
    }

    /// Restores a session that this device stored. From a session of another model only
    /// history and dislikes are taken.
    pub(crate) async fn restore(&self, bytes: &[u8]) -> Result<Update, ClientError> {
        let mut session = self.session.lock().await;
        session.restore(bytes, self.host.now_ms())?;
        self.reset_counters();
        self.update(&mut session).await
    }

    fn reset_counters(&self) {
        self.link.borrow_mut().reset_session();
        self.not_learnt.set(0);
    }

    /// Prepares a request and marks it as in flight; `None` if none may start.
    async fn start_request(&self) -> Result<Option<Started<H::Abort>>, ClientError> {
        let mut session = self.session.lock().await;
        if !self.link.borrow().is_free() {
            return Ok(None);
        }
        let abort = self.host.new_abort();
        let (mut request, ticket) = session.begin_request(None, self.host.now_ms());
        // Rows of another release do not belong to the weights. A device with all rows is sent those
        // of items that were added since.
        request.release = Some(self.missing.release.clone());
        let number = self.link.borrow_mut().begin(abort.clone());
        Ok(Some(Started { request, ticket, number, abort }))
    }

    async fn fetch_list(
        &self,
        request: &CandidatesRequest,
        abort: &H::Abort,
        why: &str,
    ) -> Result<tandem_protocol::CandidatesResponse, Failure> {
        response::candidates(&self.post("/v1/candidates", request, why, abort).await?)
    }

    /// Posts a value as JSON; see [`exchange`](Self::exchange).
    async fn post<T: Serialize>(
        &self,
        path: &str,
        value: &T,
        why: &str,
        abort: &H::Abort,
    ) -> Result<HttpResponse, Failure> {
        let body = serde_json::to_string(value)
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        self.exchange(path, Some(body), why.to_owned(), abort).await
    }

    /// Sends a request to the server and reads the whole response, of any status. Counts the
    /// bytes of both.
    async fn exchange(
        &self,
        path: &str,
        body: Option<String>,
        why: String,
        abort: &H::Abort,
    ) -> Result<HttpResponse, Failure> {
        let url = format!("{}{path}", self.server);
        let timeout_ms = self.timeout_ms;
        let request = HttpRequest { url, body, why, timeout_ms, ..HttpRequest::default() };
        let bytes_up = request.body.as_ref().map_or(0, String::len);
        self.link.borrow_mut().bytes_up += bytes_up as u64;
        let response = self.host.send(&request, abort).await?;
        if !response.cached {
            self.link.borrow_mut().bytes_down += response.body.len() as u64;
        }
        Ok(response)
    }

    /// Notes that the server could not be reached, also by a request that is none for a list.
    fn noted<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &answer
            && matches!(failure.error.code, ErrorCode::Unreachable | ErrorCode::Timeout)
        {
            let (now_ms, random) = (self.host.now_ms(), self.host.random());
            self.link.borrow_mut().unreachable(&failure.error, now_ms, random);
        }
        answer
    }

    async fn update(&self, session: &mut Session) -> Result<Update, ClientError> {
        let started_ms = self.host.now_ms();
        let ranked = session.rank().await?;
        session.record_shown(&ranked);
        let now_ms = self.host.now_ms();
        let link = self.link.borrow();
        let decision = session.decide(&ranked, link.status(now_ms), now_ms);
        self.history.borrow_mut().note(session.history());
        let origin = session.list_origin();
        let age = session.list_age(now_ms);
        Ok(Update {
            decision,
            ranking: origin.map(|(ranking, _)| ranking),
            model: origin.map(|(_, model)| model.to_owned()),
            connection: link.report(now_ms),
            stats: Stats {
                clicks: session.clicks(),
                calls: link.calls,
                failed_calls: link.failed_calls,
                bytes_up: link.bytes_up,
                bytes_down: link.bytes_down,
                list_age_ms: age.map(|(age_ms, _)| age_ms),
                clicks_since_list: age.map_or(0, |(_, clicks)| clicks),
                learn_steps: session.delta().steps(),
                non_finite: ranked.non_finite as u64 + self.not_learnt.get(),
            },
            timings: Timings {
                rerank_ms: now_ms - started_ms,
                request_ms: link.request_ms,
                server_ms: link.server_ms,
            },
            searched: ranked.searched,
            exhausted: ranked.exhausted,
            items: ranked.items,
        })
    }

    /// The state after an aborted request, which is no failure of the server and causes no
    /// back-off.
    async fn update_after_abort(&self, session: &mut Session) -> Result<Update, ClientError> {
        let mut update = self.update(session).await?;
        if update.connection.code.is_none() {
            update.connection.code = Some(ErrorCode::Aborted);
            update.connection.message = Some("the request was aborted".to_owned());
        }
        Ok(update)
    }
}

/// A request in flight.
struct Started<A> {
    request: CandidatesRequest,
    ticket: RequestTicket,
    number: u64,
    abort: A,
}

#[cfg(test)]
mod tests;
