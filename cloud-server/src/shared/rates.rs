//! Rates that all servers count together.

use std::{num::NonZeroU32, sync::LazyLock};

use redis::Script;

use super::{Shared, link::Unavailable};

const MINUTE_US: f64 = 60e6;

static CHARGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rates.lua")));

/// A rate and what a request costs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// What is limited. Only its hash gets to Redis.
    pub(crate) name: String,
    /// Units per minute, and in a burst.
    pub(crate) per_minute: NonZeroU32,
    /// Units of this request, at most [`Quota::per_minute`].
    pub(crate) units: NonZeroU32,
}

impl Shared {
    /// Charges a request to rates that all servers count together, one after the other, up to the
    /// first that is exceeded: the seconds to wait for it, `None` if none is.
    ///
    /// # Errors
    /// [`Unavailable`] if Redis does not answer: the caller then counts by itself.
    pub(crate) async fn charge(&self, quotas: &[Quota]) -> Result<Option<u64>, Unavailable> {
        let mut script = CHARGE.prepare_invoke();
        for Quota { name, per_minute, units } in quotas {
            script
                .key(self.names.name("rate", name))
                .arg(MINUTE_US / f64::from(per_minute.get()))
                .arg(per_minute.get())
                .arg(units.get());
        }
        let charged = self.link.run::<u64>(&script).await;
        self.counters.rate_check(charged.is_ok());
        charged.map(|wait_us| (wait_us > 0).then(|| wait_us.div_ceil(1_000_000)))
    }
}
