use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::slot::{Phase, Slot};
use crate::client::Client;

/// Maximum number of connections that have been given up and are not closed yet. They need files
/// beyond the limit of connections.
const MAX_LEAVING: usize = 128;
/// Maximum number of connections that are looked at to find one to give up.
const MAX_LOOKS: usize = 4_096;
/// Refused connections of one address, and of all, that get an answer in each [`WINDOW`]. Further
/// ones are reset, which costs the server a tenth.
const ANSWERS_OF_ADDRESS: u32 = 16;
const ANSWERS: u32 = 256;
const WINDOW: Duration = Duration::from_secs(1);

/// Counts open connections, in total and by client address. All threads share it.
///
/// When all places are taken, a connection that waits for its client makes room for a new one: see
/// [`Slot::expendable`].
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    counts: Arc<Mutex<Counts>>,
    total: usize,
    per_address: usize,
}

#[derive(Debug, Default)]
struct Counts {
    /// Open connections by order of arrival, without those that have been given up.
    open: BTreeMap<u64, Arc<Slot>>,
    arrived: u64,
    /// Connections that have been given up and are not closed yet.
    leaving: usize,
    by_address: HashMap<Client, OfAddress>,
    answers: Answers,
}

#[derive(Debug, Default)]
struct OfAddress {
    open: usize,
    answers: Answers,
}

/// The place of a connection. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Mutex<Counts>>,
    number: u64,
    address: Client,
    pub(super) slot: Arc<Slot>,
}

/// A connection that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Refused,
    /// Whether the client is told why. Otherwise its connection is reset.
    pub(crate) is_answered: bool,
}

/// Why a connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are too many connections.
    Total,
    /// This client address has too many connections.
    Address,
}

impl Admission {
    pub(crate) fn new(total: usize, per_address: usize) -> Self {
        Self { counts: Arc::default(), total, per_address }
    }

    /// Takes a place for a connection of `address`. Only the total limits a trusted proxy.
    pub(crate) fn admit(
        &self,
        address: Client,
        is_proxy: bool,
        now: Instant,
    ) -> Result<Place, Refusal> {
        let mut counts = lock(&self.counts);
        if !is_proxy
            && let Some(held) = counts.by_address.get_mut(&address)
            && held.open >= self.per_address
        {
            let is_answered = held.answers.take(ANSWERS_OF_ADDRESS, now);
            return Err(Refusal { reason: Refused::Address, is_answered });
        }
        if counts.open.len() >= self.total && !counts.give_one_up(now) {
            let is_answered = counts.answers.take(ANSWERS, now);
            return Err(Refusal { reason: Refused::Total, is_answered });
        }
        let slot = Arc::new(Slot::new(now, is_proxy));
        counts.by_address.entry(address).or_default().open += 1;
        counts.arrived += 1;
        let number = counts.arrived;
        counts.open.insert(number, Arc::clone(&slot));
        Ok(Place { counts: Arc::clone(&self.counts), number, address, slot })
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> usize {
        let counts = lock(&self.counts);
        counts.open.len() + counts.leaving
    }
}

impl Counts {
    /// Gives up the oldest connection of the earliest [`Phase`], if there is one to give up.
    fn give_one_up(&mut self, now: Instant) -> bool {
        if self.leaving >= MAX_LEAVING {
            return false;
        }
        let mut found: Option<(Phase, u64)> = None;
        for (&number, slot) in self.open.iter().take(MAX_LOOKS) {
            let Some(phase) = slot.expendable(now) else { continue };
            if found.is_none_or(|(best, _)| phase < best) {
                found = Some((phase, number));
            }
            if phase == Phase::FirstHead {
                break;
            }
        }
        let Some(slot) = found.and_then(|(_, number)| self.open.remove(&number)) else {
            return false;
        };
        self.leaving += 1;
        slot.give_up();
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if counts.open.remove(&self.number).is_none() {
            counts.leaving -= 1;
        }
        if let Some(held) = counts.by_address.get_mut(&self.address) {
            held.open -= 1;
            if held.open == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers to refused connections since the start of a [`WINDOW`].
#[derive(Debug, Default)]
struct Answers {
    since: Option<Instant>,
    given: u32,
}

impl Answers {
    /// Whether another answer may be given at `now`.
    fn take(&mut self, limit: u32, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), given: 0 };
        }
        self.given += 1;
        self.given <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::of(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn reason(result: Result<Place, Refusal>) -> Refused {
        result.unwrap_err().reason
    }

    #[test]
    fn places_are_limited_in_total_and_by_address_and_are_free_again() {
        let (admission, now) = (Admission::new(3, 2), Instant::now());
        let admit = |last| {
            let place = admission.admit(client(last), false, now);
            place.inspect(|place| place.slot.set(Phase::Server))
        };
        let first = admit(1).unwrap();
        let _second = admit(1).unwrap();
        assert_eq!(reason(admit(1)), Refused::Address);
        let _third = admit(2).unwrap();
        assert_eq!(reason(admit(3)), Refused::Total);
        drop(first);
        assert_eq!(admission.open(), 2);
        let _again = admit(1).unwrap();
    }

    #[test]
    fn a_trusted_proxy_has_no_limit_of_its_own_and_its_connections_are_not_given_up() {
        let (admission, now) = (Admission::new(3, 1), Instant::now());
        let admit = || admission.admit(client(1), true, now);
        let _places: Vec<_> = (0..3).map(|_| admit().unwrap()).collect();
        assert_eq!(reason(admit()), Refused::Total);
    }

    #[test]
    fn a_connection_that_waits_for_its_client_makes_room() {
        let (admission, start) = (Admission::new(4, 4), Instant::now());
        let admit = |last, phase, now| {
            let place = admission.admit(client(last), false, now).unwrap();
            place.slot.set(phase);
            place
        };
        let slow = admit(1, Phase::Client, start);
        let idle = admit(2, Phase::Idle, start);
        let (heads, new) = (admit(3, Phase::FirstHead, start), admit(4, Phase::FirstHead, start));
        let given_up = || [&slow, &idle, &heads, &new].map(|place| place.slot.is_given_up());

        let busy = Phase::Server;
        let _first = admit(5, busy, start);
        assert_eq!(given_up(), [false, false, true, false]);
        let _second = admit(6, busy, start);
        assert_eq!(given_up(), [false, false, true, true]);
        let _third = admit(7, busy, start);
        assert_eq!(given_up(), [false, true, true, true]);
        // A body or a response gets some time.
        assert_eq!(reason(admission.admit(client(8), false, start)), Refused::Total);
        let _fourth = admit(8, busy, start + Duration::from_secs(2));
        assert_eq!(given_up(), [true; 4]);
        // Those for which the server works stay.
        let later = start + Duration::from_mins(1);
        assert_eq!(reason(admission.admit(client(9), false, later)), Refused::Total);

        assert_eq!(admission.open(), 8);
        drop([slow, idle, heads, new]);
        assert_eq!(admission.open(), 4);
    }

    #[test]
    fn few_connections_are_being_given_up_at_a_time() {
        let (admission, now) = (Admission::new(1, 1_000), Instant::now());
        let admit = || admission.admit(client(1), false, now);
        let mut places: Vec<_> = (0..=MAX_LEAVING).map(|_| admit().unwrap()).collect();
        assert_eq!(reason(admit()), Refused::Total);
        places.remove(0);
        assert!(admit().is_ok());
    }

    #[test]
    fn only_some_refusals_are_answered() {
        let (admission, start) = (Admission::new(9, 1), Instant::now());
        let _place = admission.admit(client(1), false, start).unwrap();
        let answered = |now| {
            let refused = (0..100).map(|_| admission.admit(client(1), false, now).unwrap_err());
            refused.filter(|refusal| refusal.is_answered).count()
        };
        assert_eq!(answered(start), ANSWERS_OF_ADDRESS as usize);
        assert_eq!(answered(start), 0);
        assert_eq!(answered(start + WINDOW), ANSWERS_OF_ADDRESS as usize);
    }
}
