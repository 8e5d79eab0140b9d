use std::num::NonZeroU32;

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
};

use super::Cost;
use crate::{client::Client, error::ApiError};

/// Requests per minute of one client, 0 for no limit. Each rate is also the largest burst.
#[derive(Clone, Debug)]
pub struct Rates {
    /// All requests.
    pub requests: u32,
    /// Requests for candidates.
    pub candidates: u32,
    /// Logged events.
    pub events: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { requests: 1200, candidates: 120, events: 1200 }
    }
}

type Limiter = DefaultKeyedRateLimiter<Client>;

/// The rates of all clients.
#[derive(Debug, Default)]
pub(super) struct ClientRates {
    requests: Option<Limiter>,
    candidates: Option<Limiter>,
    events: Option<Limiter>,
}

impl ClientRates {
    pub(super) fn new(rates: &Rates) -> Self {
        let limiter = |rate: u32| {
            NonZeroU32::new(rate).map(|rate| RateLimiter::keyed(Quota::per_minute(rate)))
        };
        Self {
            requests: limiter(rates.requests),
            candidates: limiter(rates.candidates),
            events: limiter(rates.events),
        }
    }

    pub(super) fn charge(&self, client: Client, cost: Cost) -> Result<(), ApiError> {
        let check = |limiter: &Option<Limiter>| match limiter {
            Some(limiter) => limiter.check_key(&client).map_err(|wait| limited(&wait)),
            None => Ok(()),
        };
        check(&self.requests)?;
        match cost {
            Cost::Request => Ok(()),
            Cost::Candidates => check(&self.candidates),
        }
    }

    pub(super) fn charge_events(&self, client: Client, events: usize) -> Result<(), ApiError> {
        let count = u32::try_from(events).ok().and_then(NonZeroU32::new);
        let (Some(limiter), Some(count)) = (&self.events, count) else { return Ok(()) };
        match limiter.check_key_n(&client, count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(wait)) => Err(limited(&wait)),
            // More events in one request than the rate allows in a minute.
            Err(_) => Err(ApiError::InvalidField {
                field: "events".to_owned(),
                detail: "expected fewer events than this server accepts in a minute; send them in \
                         several requests"
                    .to_owned(),
            }),
        }
    }

    pub(super) fn forget_idle_clients(&self) {
        for limiter in [&self.requests, &self.candidates, &self.events].into_iter().flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// The rate of one key.
pub(super) fn of_key(per_minute: Option<NonZeroU32>) -> Option<DefaultDirectRateLimiter> {
    per_minute.map(|rate| RateLimiter::direct(Quota::per_minute(rate)))
}

pub(super) fn charge_key(limiter: Option<&DefaultDirectRateLimiter>) -> Result<(), ApiError> {
    match limiter {
        Some(limiter) => limiter.check().map_err(|wait| limited(&wait)),
        None => Ok(()),
    }
}

fn limited<P: Reference>(wait: &NotUntil<P>) -> ApiError
where
    DefaultClock: Clock<Instant = P>,
{
    let wait = wait.wait_time_from(DefaultClock::default().now());
    ApiError::RateLimited { retry_after_s: (wait.as_millis() as u64).div_ceil(1000).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::of(std::net::IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn each_client_has_its_own_rates() {
        let rates = ClientRates::new(&Rates { requests: 5, candidates: 2, events: 10 });
        for _ in 0..2 {
            assert_eq!(rates.charge(client(1), Cost::Candidates), Ok(()));
        }
        let refused = rates.charge(client(1), Cost::Candidates);
        assert!(matches!(refused, Err(ApiError::RateLimited { retry_after_s: 1..=60 })));
        // Three requests of five are used.
        assert_eq!(rates.charge(client(1), Cost::Request), Ok(()));
        assert_eq!(rates.charge(client(1), Cost::Request), Ok(()));
        assert!(rates.charge(client(1), Cost::Request).is_err());
        assert_eq!(rates.charge(client(2), Cost::Candidates), Ok(()));

        assert_eq!(rates.charge_events(client(1), 10), Ok(()));
        assert!(matches!(rates.charge_events(client(1), 1), Err(ApiError::RateLimited { .. })));
        assert!(matches!(rates.charge_events(client(2), 11), Err(ApiError::InvalidField { .. })));
        assert_eq!(rates.charge_events(client(2), 0), Ok(()));
        rates.forget_idle_clients();
    }

    #[test]
    fn zero_is_no_limit() {
        let rates = ClientRates::new(&Rates { requests: 0, candidates: 0, events: 0 });
        for _ in 0..10_000 {
            assert_eq!(rates.charge(client(1), Cost::Candidates), Ok(()));
            assert_eq!(rates.charge_events(client(1), 500), Ok(()));
        }
    }
}
