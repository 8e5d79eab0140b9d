//! What happened in the last hour, for the admin page: numbers by minute, and the last errors. Bounded,
//! in memory, and without anything of a visitor.

mod durations;
mod errors;
mod minutes;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tandem_protocol::{EngineKind, ErrorCode, Ranking};

pub(crate) use errors::RecentError;
pub(crate) use minutes::Hour;

use crate::{error::ErrorCause, worker::JobOutput};
use errors::RecentErrors;
use minutes::Minutes;

/// Routes of monitoring and of the admin page itself: they are no work for visitors. Only their
/// errors count.
const OWN: [&str; 7] =
    ["/livez", "/readyz", "/metrics", "/admin", "/v1/admin", "/v1/releases", "/v1/status"];
/// Probes answer with 503 while the server starts and stops, which is no failure.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// The route whose times are shown.
const LISTS: &str = "/v1/candidates";
const MS_PER_MINUTE: u64 = 60_000;

/// Numbers of the last hour and the last errors.
#[derive(Debug)]
pub(crate) struct Recent {
    started: Instant,
    minutes: Mutex<Minutes>,
    errors: Mutex<RecentErrors>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { started: Instant::now(), minutes: Mutex::default(), errors: Mutex::default() }
    }
}

/// A response that is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'r> {
    /// One of a fixed set.
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) elapsed_s: f64,
    /// The code of an error.
    pub(crate) code: Option<ErrorCode>,
    /// The cause, if the code has several.
    pub(crate) cause: Option<ErrorCause>,
    /// The id in the log.
    pub(crate) id: &'r str,
}

impl Recent {
    /// Counts a response that ends at `now` (milliseconds since 1970).
    pub(crate) fn answered(&self, now: u64, answered: Answered<'_>) {
        let Answered { route, status, elapsed_s, code, cause, id } = answered;
        let cause = cause.map(|ErrorCause(cause)| cause);
        if status >= 500 && !PROBES.contains(&route) {
            let (id, code) = (id.to_owned(), code.map(ErrorCode::as_str));
            lock(&self.errors).push(RecentError {
                at: now,
                route,
                status,
                code,
                cause,
                request: id,
            });
        }
        // An upload or an activation that is refused is what an operator looks for.
        let is_error = status >= 400 && !PROBES.contains(&route);
        if OWN.contains(&route) && !is_error {
            return;
        }
        let mut minutes = lock(&self.minutes);
        let minute = minutes.at(now / MS_PER_MINUTE);
        minute.requests += 1;
        match status {
            500.. => minute.failures += 1,
            400.. => minute.refusals += 1,
            _ => {}
        }
        if let Some(code) = code {
            minute.count_refusal(code, cause);
        }
        if route == LISTS && status == 200 {
            minute.durations.record(elapsed_s);
        }
    }

    /// Counts a list.
    pub(crate) fn list(
        &self,
        now: u64,
        model: &str,
        engine: Option<EngineKind>,
        output: &JobOutput,
    ) {
        let mut minutes = lock(&self.minutes);
        let minute = minutes.at(now / MS_PER_MINUTE);
        let generation = &output.generation;
        minute.count_list(model, engine, generation.ranking);
        minute.prompt_tokens += generation.prompt_tokens as u64;
        minute.cached_tokens += generation.cached_tokens as u64;
        minute.queue_ms = minute.queue_ms.max(output.queue_ms);
    }

    /// Counts events that were stored.
    pub(crate) fn events(&self, now: u64, accepted: usize) {
        lock(&self.minutes).at(now / MS_PER_MINUTE).events += accepted as u64;
    }

    /// The last hour up to `now` (milliseconds since 1970).
    pub(crate) fn hour(&self, now: u64) -> Hour {
        lock(&self.minutes).hour(now / MS_PER_MINUTE)
    }

    /// The last errors, the newest first.
    pub(crate) fn errors(&self) -> Vec<RecentError> {
        lock(&self.errors).newest_first()
    }

    pub(crate) fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Name of what a list is ordered by.
pub(crate) fn ranking_name(ranking: Ranking) -> &'static str {
    match ranking {
        Ranking::LanguageModel => "language_model",
        Ranking::Popularity => "popularity",
    }
}

/// Name of an engine; that of a model that is not loaded is not known.
pub(crate) fn engine_name(engine: Option<EngineKind>) -> &'static str {
    match engine {
        Some(EngineKind::Titles) => "titles",
        Some(EngineKind::ItemTokens) => "item_tokens",
        None => "unknown",
    }
}
