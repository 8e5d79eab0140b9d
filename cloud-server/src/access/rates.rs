use std::num::NonZeroU32;

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
};

use super::Cost;
use crate::{client::Client, error::ApiError, shared::Quota};

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

/// The rates of all clients.
#[derive(Debug, Default)]
pub(super) struct ClientRates {
    requests: Option<ClientRate>,
    candidates: Option<ClientRate>,
    events: Option<ClientRate>,
}

impl ClientRates {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            requests: ClientRate::new("requests", rates.requests),
            candidates: ClientRate::new("candidates", rates.candidates),
            events: ClientRate::new("events", rates.events),
        }
    }

    /// The rates that a request is charged to, in this order.
    fn of(&self, cost: Cost) -> impl Iterator<Item = &ClientRate> {
        let candidates = match cost {
            Cost::Request => None,
            Cost::Candidates => self.candidates.as_ref(),
        };
        self.requests.iter().chain(candidates)
    }

    /// What a request costs, for servers that count together.
    pub(super) fn quotas(&self, client: Client, cost: Cost) -> impl Iterator<Item = Quota> {
        self.of(cost).map(move |rate| rate.quota(client, NonZeroU32::MIN))
    }

    /// Charges a request to the rates of this server alone.
    pub(super) fn charge(&self, client: Client, cost: Cost) -> Result<(), ApiError> {
        self.of(cost).try_for_each(|rate| {
            rate.limiter.check_key(&client).map_err(|wait| refused_until(&wait))
        })
    }

    /// What events cost, for servers that count together; `None` if they cost nothing.
    ///
    /// # Errors
    /// [`ApiError::InvalidField`] for more events in one request than the rate allows in a minute.
    pub(super) fn event_quota(
        &self,
        client: Client,
        events: usize,
    ) -> Result<Option<Quota>, ApiError> {
        let Some(rate) = &self.events else { return Ok(None) };
        let units = u32::try_from(events).unwrap_or(u32::MAX);
        if units > rate.per_minute.get() {
            return Err(ApiError::InvalidField {
                field: "events".to_owned(),
                detail: "expected fewer events than this server accepts in a minute; send them in \
                         several requests"
                    .to_owned(),
            });
        }
        Ok(NonZeroU32::new(units).map(|units| rate.quota(client, units)))
    }

    /// Charges what [`ClientRates::event_quota`] returned to the rate of this server alone.
    pub(super) fn charge_events(&self, client: Client, quota: &Quota) -> Result<(), ApiError> {
        let Some(rate) = &self.events else { return Ok(()) };
        match rate.limiter.check_key_n(&client, quota.units) {
            Ok(Err(wait)) => Err(refused_until(&wait)),
            // It is not beyond a burst.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    pub(super) fn forget_idle_clients(&self) {
        for rate in [&self.requests, &self.candidates, &self.events].into_iter().flatten() {
            rate.limiter.retain_recent();
            rate.limiter.shrink_to_fit();
        }
    }
}

/// One rate of all clients.
#[derive(Debug)]
struct ClientRate {
    name: &'static str,
    per_minute: NonZeroU32,
    /// Counts for this server alone.
    limiter: DefaultKeyedRateLimiter<Client>,
}

impl ClientRate {
    fn new(name: &'static str, per_minute: u32) -> Option<Self> {
        let per_minute = NonZeroU32::new(per_minute)?;
        let limiter = RateLimiter::keyed(governor::Quota::per_minute(per_minute));
        Some(Self { name, per_minute, limiter })
    }

    fn quota(&self, client: Client, units: NonZeroU32) -> Quota {
        Quota { name: format!("{} {client}", self.name), per_minute: self.per_minute, units }
    }
}

/// The rate of one key.
#[derive(Debug)]
pub(super) struct KeyRate {
    per_minute: NonZeroU32,
    /// Counts for this server alone.
    limiter: DefaultDirectRateLimiter,
}

impl KeyRate {
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        let limiter = RateLimiter::direct(governor::Quota::per_minute(per_minute));
        Self { per_minute, limiter }
    }

    pub(super) fn per_minute(&self) -> NonZeroU32 {
        self.per_minute
    }

    /// What a request with the key of this id costs, for servers that count together.
    pub(super) fn quota(&self, id: &str) -> Quota {
        let (per_minute, units) = (self.per_minute, NonZeroU32::MIN);
        Quota { name: format!("key {id}"), per_minute, units }
    }

    /// Charges a request to the rate of this server alone.
    pub(super) fn charge(&self) -> Result<(), ApiError> {
        self.limiter.check().map_err(|wait| refused_until(&wait))
    }
}

fn refused_until<P: Reference>(wait: &NotUntil<P>) -> ApiError
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

        let charge_events = |client, events| match rates.event_quota(client, events)? {
            Some(quota) => rates.charge_events(client, &quota),
            None => Ok(()),
        };
        assert_eq!(charge_events(client(1), 10), Ok(()));
        assert!(matches!(charge_events(client(1), 1), Err(ApiError::RateLimited { .. })));
        assert!(matches!(charge_events(client(2), 11), Err(ApiError::InvalidField { .. })));
        assert_eq!(charge_events(client(2), 0), Ok(()));
        rates.forget_idle_clients();
    }

    #[test]
    fn zero_is_no_limit() {
        let rates = ClientRates::new(&Rates { requests: 0, candidates: 0, events: 0 });
        for _ in 0..10_000 {
            assert_eq!(rates.charge(client(1), Cost::Candidates), Ok(()));
        }
        assert_eq!(rates.quotas(client(1), Cost::Candidates).count(), 0);
        assert_eq!(rates.event_quota(client(1), usize::MAX), Ok(None));
    }
}
