//! Other servers that make the candidate lists of this one (`--generator`).
//!
//! A server with generators loads no language model. It checks a request, sends it to one of its
//! generators, and attaches its own rows. Everything else (artefacts, rows, events, items) it answers
//! itself. A generator is an ordinary `cloud-server` with the same release inside the network of the
//! operator, so one machine with language models can serve many that face the public.
//!
//! [`Generators::list`] balances by load, retries elsewhere what a generator could not answer, and
//! asks a second one when the first takes unusually long.

mod balance;
mod fault;
mod hedges;
mod target;
mod url;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use actix_web::{rt::time::sleep_until, web::Bytes};
use rand::{SeedableRng, rngs::StdRng};
use tandem_protocol::{CandidatesRequest, CandidatesResponse, HostedModel};
use tokio::task::JoinSet;

use self::{
    balance::choose,
    hedges::Hedges,
    target::{Attempt, Failed, Target},
};
pub use self::{
    fault::GeneratorFault,
    url::{GeneratorUrl, GeneratorUrlError},
};
use crate::{client::Client, error::ApiError};

/// The generators of a server.
#[derive(Debug)]
pub struct Generators {
    targets: Vec<Arc<Target>>,
    hedges: Hedges,
    random: Mutex<StdRng>,
}

impl Generators {
    /// Generators at these addresses, which are asked with an admin `key` of theirs.
    #[must_use]
    pub fn new(urls: &[GeneratorUrl], key: Option<&str>) -> Self {
        let target = |url: &GeneratorUrl| Arc::new(Target::new(url, key));
        Self {
            targets: urls.iter().map(target).collect(),
            hedges: Hedges::default(),
            random: Mutex::new(StdRng::seed_from_u64(rand::random())),
        }
    }

    /// Asks all generators which models they have and whether this server can use them. Is called
    /// again and again.
    pub(crate) async fn look(&self, catalogue_hash: &str) {
        let mut looks = JoinSet::new();
        for target in &self.targets {
            looks.spawn_local(Arc::clone(target).look(catalogue_hash.to_owned()));
        }
        while looks.join_next().await.is_some() {}
    }

    /// Asks each generator once, and returns what is wrong with those that cannot be used.
    pub(crate) async fn faults(&self, catalogue_hash: &str) -> Vec<(GeneratorUrl, GeneratorFault)> {
        let mut faults = Vec::new();
        for target in &self.targets {
            if let Err(reason) = target.facts(catalogue_hash).await {
                faults.push((target.url().clone(), reason));
            }
        }
        faults
    }

    /// Whether a generator is ready that has this catalogue.
    #[must_use]
    pub fn are_ready(&self, catalogue_hash: &str) -> bool {
        self.targets.iter().any(|target| target.is_ready(catalogue_hash))
    }

    /// The models of a generator that is ready and has this catalogue, the default first; none if
    /// there is none.
    #[must_use]
    pub fn models(&self, catalogue_hash: &str) -> Vec<HostedModel> {
        let ready = self.targets.iter().find(|target| target.is_ready(catalogue_hash));
        ready.map(|target| target.models()).unwrap_or_default()
    }

    /// The list of a generator for a request of `client`. It is of the catalogue with this hash.
    /// Dropping the future ends all requests to generators.
    ///
    /// # Errors
    /// The refusal of the last generator that was asked, [`ApiError::NoGenerator`] if none
    /// answered, or [`ApiError::Timeout`] after the deadline.
    pub(crate) async fn list(
        &self,
        request: &CandidatesRequest,
        client: Client,
        catalogue_hash: &str,
        deadline: Instant,
    ) -> Result<CandidatesResponse, ApiError> {
        let arrived = Instant::now();
        let body = serde_json::to_vec(request).map(Bytes::from).map_err(|_| ApiError::Internal)?;
        let mut running = JoinSet::new();
        let (mut tried, mut waiting) = (Vec::new(), Vec::new());
        let mut refusal = ApiError::NoGenerator;
        let mut hedge_at = None;
        self.hedges.request();
        loop {
            if running.is_empty() {
                let Some(at) = self.choose(catalogue_hash, &tried) else { return Err(refusal) };
                tried.push(at);
                waiting.push(at);
                hedge_at = Some(Instant::now() + self.targets[at].patience());
                let attempt = Attempt { body: body.clone(), client, deadline };
                running.spawn_local(self.ask(at, attempt));
            }
            let wake = hedge_at.map_or(deadline, |at: Instant| at.min(deadline));
            tokio::select! {
                Some(done) = running.join_next() => {
                    let Ok((at, answer)) = done else { continue };
                    waiting.retain(|other| *other != at);
                    match answer {
                        Ok(list) if list.catalogue_hash == catalogue_hash => {
                            for slower in waiting {
                                self.targets[slower].was_slower();
                            }
                            return Ok(list);
                        }
                        // It has another release (one of the two is about to switch) or does
                        // not work: what another one says tells the visitor more.
                        Ok(_) | Err(Failed::Broken(_)) => {}
                        Err(Failed::Elsewhere(error)) => refusal = error,
                        Err(Failed::Everywhere(error)) => return Err(error),
                    }
                }
                () = sleep_until(wake.into()) => {
                    if Instant::now() >= deadline {
                        let seconds = deadline.saturating_duration_since(arrived).as_secs();
                        return Err(ApiError::Timeout { seconds });
                    }
                    hedge_at = None;
                    let another = self.choose(catalogue_hash, &tried);
                    if let Some(at) = another.filter(|_| self.hedges.take()) {
                        tried.push(at);
                        waiting.push(at);
                        let attempt = Attempt { body: body.clone(), client, deadline };
                        running.spawn_local(self.ask(at, attempt));
                    }
                }
            }
        }
    }

    /// The answer of a generator, with its number.
    fn ask(
        &self,
        at: usize,
        attempt: Attempt,
    ) -> impl Future<Output = (usize, Result<CandidatesResponse, Failed>)> + use<> {
        let target = Arc::clone(&self.targets[at]);
        async move { (at, target.ask(attempt).await) }
    }

    /// A generator that was not tried yet.
    fn choose(&self, catalogue_hash: &str, tried: &[usize]) -> Option<usize> {
        let now = Instant::now();
        let load = |target: &Arc<Target>| target.load(catalogue_hash, now);
        let loads: Vec<_> = self.targets.iter().map(load).collect();
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        choose(&loads, tried, &mut *random)
    }
}
