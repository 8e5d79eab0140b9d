//! The memory of request bodies that are arriving.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::client::Client;

/// Bytes of each body that are not counted: ordinary requests are never refused. Their number is
/// limited by that of the connections.
const FREE: usize = 16 << 10;
/// One client may use this share of the budget.
const SHARE: usize = 4;

/// Limits the memory of all bodies that are arriving, in total and for one client.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget {
    used: Arc<Mutex<Used>>,
    total: usize,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    by_client: HashMap<Client, usize>,
}

/// What one body uses of the budget. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct BodyCharge {
    budget: BodyBudget,
    client: Client,
    charged: usize,
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BudgetExceeded;

impl BodyBudget {
    /// A budget of `total` bytes.
    #[must_use]
    pub(crate) fn new(total: usize) -> Self {
        Self { used: Arc::default(), total }
    }

    pub(crate) fn charge(&self, client: Client) -> BodyCharge {
        BodyCharge { budget: self.clone(), client, charged: 0 }
    }
}

impl BodyCharge {
    /// Charges a body that has `received` bytes so far.
    pub(crate) fn grow_to(&mut self, received: usize) -> Result<(), BudgetExceeded> {
        let more = received.saturating_sub(FREE).saturating_sub(self.charged);
        if more == 0 {
            return Ok(());
        }
        let total = self.budget.total;
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        let own = used.by_client.get(&self.client).copied().unwrap_or(0);
        if used.bytes + more > total || own + more > total / SHARE {
            return Err(BudgetExceeded);
        }
        used.bytes += more;
        *used.by_client.entry(self.client).or_default() += more;
        self.charged += more;
        Ok(())
    }
}

impl Drop for BodyCharge {
    fn drop(&mut self) {
        if self.charged == 0 {
            return;
        }
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.bytes -= self.charged;
        if let Some(own) = used.by_client.get_mut(&self.client) {
            *own -= self.charged;
            if *own == 0 {
                used.by_client.remove(&self.client);
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
    fn large_bodies_are_limited_in_total_and_by_client() {
        let budget = BodyBudget::new(4 * FREE);
        let mut first = budget.charge(client(1));
        assert_eq!(first.grow_to(2 * FREE), Ok(()));
        let mut second = budget.charge(client(1));
        assert_eq!(second.grow_to(FREE), Ok(()), "small bodies are free");
        assert_eq!(second.grow_to(FREE + 1), Err(BudgetExceeded), "a quarter for one client");
        let mut others: Vec<_> = (2..5).map(|number| budget.charge(client(number))).collect();
        for other in &mut others {
            assert_eq!(other.grow_to(2 * FREE), Ok(()));
        }
        let mut late = budget.charge(client(9));
        assert_eq!(late.grow_to(FREE + 1), Err(BudgetExceeded), "everything is used");
        drop(first);
        assert_eq!(late.grow_to(2 * FREE), Ok(()));
        drop((late, others));
        assert_eq!(budget.used.lock().unwrap().bytes, 0);
        assert!(budget.used.lock().unwrap().by_client.is_empty());
    }
}
