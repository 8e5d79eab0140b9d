//! What several servers have in common in Redis (`--redis`): rates of clients, and candidate lists.
//!
//! Redis is never needed. It holds nothing that is stored elsewhere or that must not be lost, and
//! while it does not answer, each server counts and makes lists by itself.

mod counters;
mod failure;
mod link;
mod lists;
mod names;
mod rates;
mod url;

use std::io;

use prometheus_client::registry::Registry;

pub use failure::RedisFailure;
pub(crate) use link::{Unavailable, try_redis};
pub use lists::ListSharing;
pub(crate) use lists::{ListMaker, ListUse, SharableList, SharedList};
pub(crate) use rates::Quota;
pub use url::{RedisUrl, RedisUrlError};

use self::{counters::Counters, link::Link, names::Names};

/// What this server shares with others.
#[derive(Debug)]
pub(crate) struct Shared {
    link: Link,
    names: Names,
    counters: Counters,
    lists: Option<ListSharing>,
}

impl Shared {
    /// Connects to Redis in the background. Lists are shared only with `lists`.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(url: &RedisUrl, lists: Option<ListSharing>) -> io::Result<Self> {
        let counters = Counters::default();
        let link = Link::start(url, counters.clone())?;
        Ok(Self { link, names: Names::new(url), counters, lists })
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        self.counters.register(registry);
    }

    /// Whether lists may be those of other requests, so that their time tells something of these.
    pub(crate) fn has_lists(&self) -> bool {
        self.lists.is_some()
    }
}
