//! A session with a network: what each call of the client does.

use std::cell::RefCell;

use futures_util::{future::try_join, lock::Mutex};
use tandem_collaboration::BucketLimits;
use tandem_model::{Device, ModelError};
use tandem_protocol::{Artifact, CandidatesRequest, ErrorCode, Event, ItemId};
use tandem_session::{RequestTicket, Session, SessionError};

use crate::{
    artifacts::{self, Files, Release},
    connection::Line,
    error::{ClientError, Failure},
    host::{Call, Host, Reply},
    reply,
    update::{Explained, LearnReport, SimilarItem, Stats, Timings, Undone, Update},
};

/// Weights may take longer than lists, for they are larger and fetched once.
const LOAD_TIMEOUT_MS: u32 = 60_000;

/// One visitor's session and its line to the server.
///
/// The session is behind an async lock, for a GPU is read with `await`. The lock is never
/// held while waiting for the network, and `line` never borrowed across an `await`.
pub(crate) struct Engine<H: Host> {
    host: H,
    server: String,
    timeout_ms: u32,
    session: Mutex<Session>,
    line: RefCell<Line<H::Abort>>,
    /// Clicks that were given up because a learning step left the finite numbers.
    not_learnt: std::cell::Cell<u64>,
}

impl<H: Host> Engine<H> {
    /// Loads and checks the manifest and the files it names; nothing unverified is read.
    pub(crate) async fn open(
        host: H,
        server: &str,
        timeout_ms: u32,
        device: &Device,
        budget: Option<BucketLimits>,
    ) -> Result<Self, ClientError> {
        let line = RefCell::new(Line::new());
        let loader = Loader { host: &host, line: &line, server };
        let manifest = loader.get("/v1/manifest", "what to load").await?;
        let mut release = Release::read(&manifest.body, manifest.artifacts.as_deref())?;
        if budget.is_some() {
            release.manifest.policy.bucket = budget;
        }
        let files = loader.files(&release).await?;
        let session = release.session(files, device)?;
        Ok(Self {
            host,
            server: server.to_owned(),
            timeout_ms,
            session: Mutex::new(session),
            line,
            not_learnt: std::cell::Cell::new(0),
        })
    }

    /// Takes an event and ranks again. No network.
    pub(crate) async fn track(&self, event: &Event) -> Result<Update, ClientError> {
        self.replay(std::slice::from_ref(event)).await
    }

    /// Takes events one after another and ranks once. No network.
    pub(crate) async fn replay(&self, events: &[Event]) -> Result<Update, ClientError> {
        if events.iter().any(|event| event.item.as_str().is_empty()) {
            return Err(ClientError::new(
                ErrorCode::InvalidArgument,
                "event.item is empty; expected the shop's name of an item",
            ));
        }
        let mut session = self.session.lock().await;
        for event in events {
            session.track(event);
        }
        self.update(&mut session).await
    }

    /// Takes back the newest event and ranks again. No network.
    pub(crate) async fn undo(&self) -> Result<Undone, ClientError> {
        let mut session = self.session.lock().await;
        let event = session.undo();
        Ok(Undone { event, update: self.update(&mut session).await? })
    }

    /// Why an item stands where it does; `None` if it is not in the list.
    pub(crate) async fn explain(&self, item: &ItemId) -> Result<Option<Explained>, ClientError> {
        let explanation = self.session.lock().await.explain(item).await?;
        Ok(explanation.map(Into::into))
    }

    /// The `k` items most like one; `None` if its row is not here.
    pub(crate) async fn similar(&self, item: &ItemId, k: usize) -> Option<Vec<SimilarItem>> {
        let found = self.session.lock().await.similar(item, k)?;
        Some(found.into_iter().map(Into::into).collect())
    }

    /// How far the small model's order of a list of the page's own is from its order.
    pub(crate) async fn compare(&self, items: &[ItemId]) -> Result<Option<f32>, ClientError> {
        Ok(self.session.lock().await.compare(items).await?)
    }

    /// Which of the server's language models makes the next lists.
    pub(crate) async fn choose_model(&self, name: Option<String>) {
        self.session.lock().await.choose_language_model(name);
    }

    /// Ranks again without an event. No network.
    pub(crate) async fn recommend(&self) -> Result<Update, ClientError> {
        self.update(&mut *self.session.lock().await).await
    }

    /// Asks the server for a new list and ranks it. Fails only if the device does: what is
    /// wrong with the server stands in the update's `connection`, and the last list stays.
    ///
    /// Does nothing but rank while offline or while another request is under way.
    pub(crate) async fn request_candidates(&self, why: &str) -> Result<Update, ClientError> {
        let Some(Started { request, ticket, number, abort }) = self.start_request().await? else {
            return self.recommend().await;
        };
        let started_ms = self.host.now_ms();
        let received = self.fetch_list(&request, &abort, why).await;

        // The session may have gone on: clicks, a reset, even another request.
        let mut session = self.session.lock().await;
        let now_ms = self.host.now_ms();
        let took_ms = now_ms - started_ms;
        if !self.line.borrow_mut().end(number) {
            return self.update_after_abort(&mut session).await;
        }
        let outcome = received.and_then(|list| {
            let server_ms = list.timings.total_ms;
            session.accept(ticket, list, now_ms).map_err(|error| Failure::from_session(&error))?;
            Ok(server_ms)
        });
        match outcome {
            Ok(server_ms) => self.line.borrow_mut().succeeded(took_ms, server_ms),
            Err(failure) => {
                let chance = self.host.chance();
                self.line.borrow_mut().failed(failure, now_ms, took_ms, chance);
            }
        }
        self.update(&mut session).await
    }

    /// One learning step for the oldest click that waits; `None` if none does, or if its
    /// step would have left the finite numbers (counted in `nonFinite`).
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

    /// Forbids or allows the network; forbidding ends a request in flight.
    pub(crate) fn set_offline(&self, offline: bool) {
        self.line.borrow_mut().set_offline(offline);
    }

    /// Ends a request in flight.
    pub(crate) fn abort(&self) {
        self.line.borrow_mut().abort();
    }

    /// Forgets session and personal delta; a list that is still under way is given up.
    pub(crate) async fn reset(&self) -> Result<Update, ClientError> {
        self.abort();
        let mut session = self.session.lock().await;
        session.reset();
        self.forget_counters();
        self.update(&mut session).await
    }

    /// Session and delta as bytes.
    ///
    /// # Errors
    /// `not_ready` while a GPU computes for another call.
    pub(crate) fn export(&self) -> Result<Vec<u8>, ClientError> {
        let session = self.session.try_lock().ok_or_else(|| {
            ClientError::new(
                ErrorCode::NotReady,
                "another call is computing; export once it has resolved",
            )
        })?;
        Ok(session.export()?)
    }

    /// Takes an exported session in place of this one.
    pub(crate) async fn import(&self, bytes: &[u8]) -> Result<Update, ClientError> {
        let mut session = self.session.lock().await;
        session.import(bytes, self.host.now_ms())?;
        self.forget_counters();
        self.update(&mut session).await
    }

    /// Takes up a session of this device; of another model's, history and dislikes.
    pub(crate) async fn restore(&self, bytes: &[u8]) -> Result<Update, ClientError> {
        let mut session = self.session.lock().await;
        session.restore(bytes, self.host.now_ms())?;
        self.forget_counters();
        self.update(&mut session).await
    }

    fn forget_counters(&self) {
        self.line.borrow_mut().forget_session();
        self.not_learnt.set(0);
    }

    /// Makes the request and notes that it is under way; `None` if none may start.
    async fn start_request(&self) -> Result<Option<Started<H::Abort>>, ClientError> {
        let mut session = self.session.lock().await;
        if !self.line.borrow().is_free() {
            return Ok(None);
        }
        let abort = self.host.new_abort();
        let (request, ticket) = session.begin_request(None, self.host.now_ms());
        let number = self.line.borrow_mut().begin(abort.clone());
        Ok(Some(Started { request, ticket, number, abort }))
    }

    async fn fetch_list(
        &self,
        request: &CandidatesRequest,
        abort: &H::Abort,
        why: &str,
    ) -> Result<tandem_protocol::CandidatesResponse, Failure> {
        let body = serde_json::to_string(request)
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        self.line.borrow_mut().bytes_up += body.len() as u64;
        let url = format!("{}/v1/candidates", self.server);
        let call = Call {
            url,
            body: Some(body),
            timeout_ms: self.timeout_ms,
            why: why.to_owned(),
            ..Call::default()
        };
        let reply = self.host.send(&call, abort).await?;
        self.line.borrow_mut().bytes_down += reply.body.len() as u64;
        reply::candidates(&reply)
    }

    async fn update(&self, session: &mut Session) -> Result<Update, ClientError> {
        let started_ms = self.host.now_ms();
        let ranked = session.rank().await?;
        session.record_shown(&ranked);
        let now_ms = self.host.now_ms();
        let line = self.line.borrow();
        let decision = session.decide(&ranked, line.situation(now_ms), now_ms);
        let origin = session.list_origin();
        let age = session.list_age(now_ms);
        Ok(Update {
            decision: decision.into(),
            ranking: origin.map(|(ranking, _)| ranking),
            model: origin.map(|(_, model)| model.to_owned()),
            connection: line.report(now_ms),
            stats: Stats {
                clicks: session.clicks(),
                calls: line.calls,
                failed_calls: line.failed_calls,
                bytes_up: line.bytes_up,
                bytes_down: line.bytes_down,
                list_age_ms: age.map(|(age_ms, _)| age_ms),
                clicks_since_list: age.map_or(0, |(_, clicks)| clicks),
                learn_steps: session.delta().steps(),
                non_finite: ranked.non_finite as u64 + self.not_learnt.get(),
            },
            timings: Timings {
                rerank_ms: now_ms - started_ms,
                request_ms: line.request_ms,
                server_ms: line.server_ms,
            },
            history: session.history().to_vec(),
            items: ranked.items.into_iter().map(Into::into).collect(),
        })
    }

    /// The state as it is, with a word on the request that was ended: no failure of the
    /// server, hence no back-off.
    async fn update_after_abort(&self, session: &mut Session) -> Result<Update, ClientError> {
        let mut update = self.update(session).await?;
        if update.connection.code.is_none() {
            update.connection.code = Some(ErrorCode::Aborted);
            update.connection.message = Some("the request was aborted".to_owned());
        }
        Ok(update)
    }
}

/// A request that is under way.
struct Started<A> {
    request: CandidatesRequest,
    ticket: RequestTicket,
    number: u64,
    abort: A,
}

impl Failure {
    fn from_session(error: &SessionError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Fetches files before there is a session.
struct Loader<'a, H: Host> {
    host: &'a H,
    line: &'a RefCell<Line<H::Abort>>,
    server: &'a str,
}

impl<H: Host> Loader<'_, H> {
    async fn get(&self, path: &str, why: &str) -> Result<Reply, Failure> {
        let url = format!("{}{path}", self.server);
        let call =
            Call { url, timeout_ms: LOAD_TIMEOUT_MS, why: why.to_owned(), ..Call::default() };
        self.send(&call, path).await
    }

    async fn send(&self, call: &Call, path: &str) -> Result<Reply, Failure> {
        let reply = self.host.send(call, &self.host.new_abort()).await?;
        if !reply.cached {
            self.line.borrow_mut().bytes_down += reply.body.len() as u64;
        }
        reply::expect_ok(&reply, &format!("GET {path}"))?;
        Ok(reply)
    }

    /// A file of the release, checked. A copy in the cache that is damaged is fetched anew.
    async fn file(&self, release: &Release, artifact: &Artifact) -> Result<Vec<u8>, Failure> {
        let path = format!("/artifacts/{}/{}", release.hash, artifact.path);
        let mut call = Call {
            url: format!("{}{path}", self.server),
            timeout_ms: LOAD_TIMEOUT_MS,
            why: "the small model".to_owned(),
            sha256: Some(artifact.sha256.clone()),
            ..Call::default()
        };
        let mut reply = self.send(&call, &path).await?;
        if reply.cached && artifacts::verify(&reply.body, artifact).is_err() {
            call.fresh = true;
            reply = self.send(&call, &path).await?;
        }
        artifacts::verify(&reply.body, artifact)?;
        Ok(reply.body)
    }

    async fn files(&self, release: &Release) -> Result<Files, Failure> {
        let manifest = &release.manifest;
        let body = self.file(release, &manifest.body);
        if !release.takes_whole_table() {
            return Ok(Files { body: body.await?, table: None });
        }
        let rows = self.file(release, &manifest.rows);
        let items = self.file(release, &manifest.items);
        let (body, table) = try_join(body, try_join(rows, items)).await?;
        Ok(Files { body, table: Some(table) })
    }
}

#[cfg(test)]
mod tests;
