use std::{
    sync::Arc,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    http::{StatusCode, header},
    web::Bytes,
};
use tandem_protocol::{CandidatesResponse, HostedModel, Problem};

use super::{
    balance::Load,
    fault::{Facts, GeneratorFault},
    url::GeneratorUrl,
};
use crate::{client::Client, error::ApiError};

/// Time in which a generator says whether it is ready.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum size of a response with 200 candidates.
const MAX_RESPONSE: usize = 1 << 20;
/// Time for which a generator that fails is left out; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Weight of the newest time in the mean of recent times.
const NEWEST: f64 = 0.1;
/// A second generator is asked when a request takes this many times the recent mean.
const PATIENCE: f64 = 4.0;
/// Minimum time before a second generator is asked: every machine is this slow now and then.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);
/// Expected time before the first answer, for the time after which a second one is asked.
const UNKNOWN_MS: f64 = 10.0;
/// Half-life of a measured time in seconds. Without it, a generator that was slow once would not be
/// chosen, and so never be measured, again.
const FORGET_S: f64 = 5.0;
/// Seconds after which a client may retry if a generator names none.
const RETRY_S: u64 = 1;
/// Time between two lines of the log on the rates of a generator.
const BETWEEN_REPEATED: Duration = Duration::from_secs(30);

/// A request to a generator.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) body: Bytes,
    pub(super) client: Client,
    pub(super) deadline: Instant,
}

/// Why a generator made no list.
#[derive(Debug)]
pub(super) enum Failed {
    /// Another one may.
    Elsewhere(ApiError),
    /// Another one may. This one does not work, for this reason.
    Broken(String),
    /// The request is at fault, or its deadline has passed.
    Everywhere(ApiError),
}

/// One generator.
#[derive(Debug)]
pub(super) struct Target {
    url: GeneratorUrl,
    key: Option<String>,
    in_flight: AtomicUsize,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// What it said when it was last looked at, if it can be used.
    facts: Option<Facts>,
    /// Why it could not be used then.
    fault: Option<GeneratorFault>,
    /// When it last refused a request for its rates, as far as the log says it.
    limited: Option<Instant>,
    /// Consecutive failures.
    failures: u32,
    /// It is left out until then.
    out_until: Option<Instant>,
    /// Mean of recent times of a request in milliseconds, and when it was last measured.
    mean_ms: Option<f64>,
    measured: Option<Instant>,
}

impl Health {
    /// Time of a request, by which generators are compared. One that has not been measured counts
    /// as fast, so that it is.
    fn expected_ms(&self, now: Instant) -> f64 {
        let (Some(mean_ms), Some(measured)) = (self.mean_ms, self.measured) else { return 0.0 };
        let age_s = now.saturating_duration_since(measured).as_secs_f64();
        mean_ms * (-age_s / FORGET_S).exp2()
    }

    /// Leaves it out for a while, twice as long each time until it answers.
    fn leave_out(&mut self) {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        self.out_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
    }
}

impl Target {
    /// Another generator was asked later and has answered before. Without an answer nothing else
    /// would tell that it hangs, and each further request would wait for it first.
    pub(super) fn was_slower(&self) {
        self.health().leave_out();
    }

    pub(super) fn new(url: &GeneratorUrl, key: Option<&str>) -> Self {
        Self {
            url: url.clone(),
            key: key.map(str::to_owned),
            in_flight: AtomicUsize::new(0),
            health: Mutex::default(),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn url(&self) -> &GeneratorUrl {
        &self.url
    }

    /// Whether it was ready when it was last looked at, and has this catalogue.
    pub(super) fn is_ready(&self, catalogue_hash: &str) -> bool {
        self.health().facts.as_ref().is_some_and(|facts| facts.has_catalogue(catalogue_hash))
    }

    pub(super) fn models(&self) -> Vec<HostedModel> {
        self.health().facts.as_ref().map(|facts| facts.models.clone()).unwrap_or_default()
    }

    pub(super) fn load(&self, catalogue_hash: &str, now: Instant) -> Load {
        let is_ready = self.is_ready(catalogue_hash);
        let health = self.health();
        let is_out = health.out_until.is_some_and(|until| now < until);
        let waiting = self.in_flight.load(Ordering::Relaxed) + 1;
        Load {
            is_available: is_ready && !is_out,
            expected_ms: waiting as f64 * health.expected_ms(now),
        }
    }

    /// Time after which another generator is asked as well.
    pub(super) fn patience(&self) -> Duration {
        let mean_ms = self.health().mean_ms.unwrap_or(UNKNOWN_MS);
        LEAST_PATIENCE.max(Duration::from_secs_f64(mean_ms * PATIENCE / 1e3))
    }

    /// Asks whether it is ready. A change is in the log.
    pub(super) async fn look(self: Arc<Self>, catalogue_hash: String) {
        let found = self.facts(&catalogue_hash).await;
        let mut health = self.health();
        match found {
            Ok(facts) => {
                if health.facts.is_none() || health.fault.is_some() {
                    tracing::info!(generator = %self.url, "a generator is ready");
                    // It may have been started again.
                    (health.failures, health.out_until) = (0, None);
                }
                (health.facts, health.fault) = (Some(facts), None);
            }
            Err(reason) => {
                if health.fault.as_ref() != Some(&reason) {
                    tracing::warn!(generator = %self.url, %reason, "a generator cannot be used");
                }
                (health.facts, health.fault) = (None, Some(reason));
            }
        }
    }

    /// What it says of itself, if a server of this catalogue can use it.
    pub(super) async fn facts(&self, catalogue_hash: &str) -> Result<Facts, GeneratorFault> {
        let mut request = client().get(format!("{}/readyz", self.url)).timeout(LOOK_TIMEOUT);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let sent = request.send().await;
        let mut response = sent.map_err(|error| GeneratorFault::NoAnswer(error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(GeneratorFault::NotReady(response.status().as_u16()));
        }
        let facts = response.json::<Facts>().limit(MAX_RESPONSE).await;
        let facts = facts.map_err(|error| GeneratorFault::NoAnswer(error.to_string()))?;
        facts.check(catalogue_hash)?;
        Ok(facts)
    }

    /// Requests a list.
    pub(super) async fn ask(
        self: Arc<Self>,
        attempt: Attempt,
    ) -> Result<CandidatesResponse, Failed> {
        let started = Instant::now();
        let _in_flight = InFlight::new(&self.in_flight);
        let result = self.exchange(attempt).await;
        let mut health = self.health();
        match &result {
            Ok(_) => {
                let ms = started.elapsed().as_secs_f64() * 1e3;
                let before = health.mean_ms.unwrap_or(ms);
                health.mean_ms = Some(before + NEWEST * (ms - before));
                health.measured = Some(Instant::now());
                (health.failures, health.out_until) = (0, None);
            }
            // It works but is full, or the request is at fault.
            Err(Failed::Elsewhere(ApiError::Overloaded { .. }) | Failed::Everywhere(_)) => {}
            Err(Failed::Elsewhere(_)) => health.leave_out(),
            Err(Failed::Broken(reason)) => {
                // Those after it, until it answers, say the same.
                if health.failures == 0 {
                    tracing::warn!(generator = %self.url, reason, "a generator did not answer");
                }
                health.leave_out();
            }
        }
        result
    }

    async fn exchange(&self, attempt: Attempt) -> Result<CandidatesResponse, Failed> {
        let Attempt { body, client: visitor, deadline } = attempt;
        let time = deadline.saturating_duration_since(Instant::now());
        let mut request = client()
            .post(format!("{}/v1/candidates", self.url))
            .timeout(time)
            .insert_header((header::CONTENT_TYPE, "application/json"))
            // The generator serves the visitors in turn.
            .insert_header(("x-forwarded-for", visitor.to_string()));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let failed = |reason: &dyn std::fmt::Display| Failed::Broken(reason.to_string());
        let mut response = request.send_body(body).await.map_err(|error| failed(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after_s =
            retry_after.and_then(|it| it.to_str().ok()?.parse().ok()).unwrap_or(RETRY_S);
        let body = response.body().limit(MAX_RESPONSE).await.map_err(|error| failed(&error))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|error| failed(&error)),
            StatusCode::BAD_REQUEST => {
                Err(Failed::Everywhere(ApiError::InvalidRequest { detail: detail(&body) }))
            }
            StatusCode::GATEWAY_TIMEOUT => {
                Err(Failed::Elsewhere(ApiError::Timeout { seconds: time.as_secs() }))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                self.tell_limited();
                Err(Failed::Elsewhere(ApiError::Overloaded { retry_after_s }))
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                Err(Failed::Elsewhere(ApiError::Overloaded { retry_after_s }))
            }
            // For example a key that it does not accept.
            _ => Err(failed(&format_args!("status {status}: {}", detail(&body)))),
        }
    }
}

impl Target {
    /// Says in the log that its rates refuse visitors whom this server has admitted.
    fn tell_limited(&self) {
        let mut health = self.health();
        if health.limited.is_none_or(|before| before.elapsed() >= BETWEEN_REPEATED) {
            health.limited = Some(Instant::now());
            tracing::warn!(
                generator = %self.url,
                "a generator limits the rate of visitors (status 429); start it with \
                 --rate-candidates 0 --rate-requests 0, or give an admin key of it with --generator-key"
            );
        }
    }
}

/// What an error response says.
fn detail(body: &[u8]) -> String {
    serde_json::from_slice::<Problem>(body)
        .map_or_else(|_| "no description".to_owned(), |problem| problem.detail)
}

/// The HTTP client of this thread, which keeps connections open.
fn client() -> awc::Client {
    thread_local! {
        static CLIENT: awc::Client = awc::Client::builder().disable_redirects().finish();
    }
    CLIENT.with(Clone::clone)
}

/// Counts a request while it is under way.
struct InFlight<'t>(&'t AtomicUsize);

impl<'t> InFlight<'t> {
    fn new(count: &'t AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_time_is_forgotten_and_an_unknown_one_counts_as_short() {
        let now = Instant::now();
        let health = Health { mean_ms: Some(8.0), measured: Some(now), ..Health::default() };
        assert!((health.expected_ms(now) - 8.0).abs() < 1e-9);
        let later = now + Duration::from_secs(10);
        assert!((health.expected_ms(later) - 2.0).abs() < 1e-9);
        assert!(Health::default().expected_ms(now).abs() < 1e-9);
    }
}
