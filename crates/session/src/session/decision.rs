use tandem_collaboration::{Decision, ListState, Policy, Situation, UpliftEvidence};

use crate::{Ranked, Session};

/// State of the link to the server, as the caller knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connection {
    /// A request is in flight.
    pub in_flight: bool,
    /// There is no network, or it is not to be used.
    pub offline: bool,
    /// Milliseconds until a server that failed may be tried again.
    pub retry_in_ms: Option<f64>,
}

impl Session {
    /// Whether to keep the list or to request a new one, and why.
    ///
    /// The limit over time is the device's own, whatever the calibration of a language model
    /// says. While there is nothing to show, the limit over interactions does not apply.
    #[must_use]
    pub fn decide(&self, ranked: &Ranked, connection: Connection, now_ms: f64) -> Decision {
        let visitor = &self.visitor;
        let list = self.list.as_ref().map(|list| {
            let since = list.since_request(visitor.counts());
            ListState {
                disagreement: ranked.disagreement,
                uplift: self.uplift_evidence(ranked),
                age_ms: list.age_ms(now_ms),
                clicks_since: since.clicks,
                new_items_since: since.distinct as u64,
                unseen: ranked.items.iter().filter(|item| item.listed).count(),
                personal: list.is_personal(),
                device_search: ranked.searched,
            }
        });
        let nothing_to_show = list.is_none() && ranked.items.is_empty();
        let policy = Policy { bucket: self.settings.policy.bucket, ..*self.policy() };
        policy.decide(&Situation {
            list,
            clicks: visitor.clicks(),
            calls: if nothing_to_show { 0 } else { visitor.calls() },
            in_flight: connection.in_flight,
            offline: connection.offline,
            retry_in_ms: connection.retry_in_ms,
            bucket_wait_ms: self.bucket.map_or(0.0, |bucket| bucket.wait_ms(now_ms)),
        })
    }

    /// The evidence on which [`decide`](Self::decide) expects a gain from a fresh list. `None`
    /// if the policy does not ask, or there is nothing to compare.
    #[must_use]
    pub fn uplift_evidence(&self, ranked: &Ranked) -> Option<UpliftEvidence> {
        let list = self.list.as_ref()?;
        let now = ranked.list_advantage?;
        let clicks_since = list.since_request(self.visitor.counts()).clicks;
        // Dislikes count as clicks and join no history. An older item may then take the place
        // of one; the list, which was made after it, does not hold it either.
        let newest = self.visitor.history().iter().rev().take(clicks_since as usize);
        Some(UpliftEvidence {
            now,
            baseline: list.baseline().advantage().unwrap_or(now),
            disagreement: ranked.disagreement?,
            clicks_since,
            missed: newest.filter(|item| !list.contains(item)).count() as u64,
            state_drift: list.baseline().drift(ranked.user.as_deref()),
            pool: ranked.pool,
        })
    }
}
