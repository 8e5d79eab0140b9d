use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::client::Client;

/// Counts open connections, in total and by client address. All HTTP threads share it.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    counts: Arc<Mutex<Counts>>,
    total: usize,
    per_address: usize,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<Client, usize>,
}

/// The place of a connection. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Mutex<Counts>>,
    address: Client,
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
    pub(crate) fn admit(&self, address: Client, is_proxy: bool) -> Result<Place, Refused> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.total {
            return Err(Refused::Total);
        }
        let open = counts.by_address.entry(address).or_default();
        if *open >= self.per_address && !is_proxy {
            return Err(Refused::Address);
        }
        *open += 1;
        counts.total += 1;
        Ok(Place { counts: Arc::clone(&self.counts), address })
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(open) = counts.by_address.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::of(std::net::IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn places_are_limited_in_total_and_by_address_and_are_free_again() {
        let admission = Admission::new(3, 2);
        let first = admission.admit(client(1), false).unwrap();
        let _second = admission.admit(client(1), false).unwrap();
        assert_eq!(admission.admit(client(1), false).unwrap_err(), Refused::Address);
        let _third = admission.admit(client(2), false).unwrap();
        assert_eq!(admission.admit(client(3), false).unwrap_err(), Refused::Total);
        drop(first);
        assert_eq!(admission.open(), 2);
        let _again = admission.admit(client(1), false).unwrap();
    }

    #[test]
    fn a_trusted_proxy_has_no_limit_of_its_own() {
        let admission = Admission::new(3, 1);
        let _places: Vec<_> = (0..3).map(|_| admission.admit(client(1), true).unwrap()).collect();
        assert_eq!(admission.admit(client(1), true).unwrap_err(), Refused::Total);
    }
}
