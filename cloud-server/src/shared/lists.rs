//! Candidate lists that all servers make once for equal requests.
//!
//! A list is stored under a hash of all that it depends on, except what changes by itself: events
//! and items. It may be as old as [`ListSharing::lifetime`] then. Whoever reads it checks that each
//! of its items may be recommended now, and makes a new one otherwise.
//!
//! One request makes a list while equal ones wait for it, on all servers together. It has the task
//! for a limited time only, so a server that is killed delays the others for that time.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use redis::{Script, ScriptInvocation, Value};
use serde::{Deserialize, Serialize};
use tandem_dataset::files::sha256_hex;
use tandem_protocol::{CandidatesRequest, HostedModel, Ignored, ItemId, Ranking};
use tokio::time::sleep;

use super::{
    Shared,
    counters::ListSource,
    link::{Link, Unavailable},
};
use crate::error::ApiError;

/// Form of the keys and of what is stored. Servers of another form have lists of their own.
const FORM: u32 = 1;
/// Hexadecimal digits of the hash before a stored list.
const HASH: usize = 32;
/// Maximum time after which another request may make a list. Title models take seconds.
const MAX_TASK: Duration = Duration::from_secs(5);
/// The same as a part of the time of a request: who takes the task over has time to make the list.
const TASK_PART: u32 = 4;
/// Time between two looks for a list that is being made: a quarter of the time so far, from these.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("look.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("finish.lua")));

/// Which lists are shared, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListSharing {
    /// Time for which a list is stored.
    pub lifetime: Duration,
    /// Maximum number of items in history and exclusions of a request. Longer ones say more about
    /// a visitor, and are rarely equal.
    pub items: usize,
}

/// What a list depends on beside its request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListMaker<'r> {
    /// Whether the server asks generators. While it waits for one, that one must not wait for the
    /// same task.
    pub(crate) is_remote: bool,
    pub(crate) model: HostedModel,
    /// Hash of the catalogue.
    pub(crate) catalogue: &'r str,
    /// The release of artefacts: the ranking signals may change with it.
    pub(crate) artifacts: &'r str,
}

/// A list as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedList {
    pub(crate) model: String,
    pub(crate) ranking: Ranking,
    /// Items and their log-probabilities, best first.
    pub(crate) candidates: Vec<(ItemId, f32)>,
    /// Items of the request that were not used.
    pub(crate) ignored: Ignored,
}

impl SharedList {
    /// Its hash and JSON; `None` if it cannot be stored.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_string(self).ok()?;
        Some((sha256_hex(&json)[..HASH].to_owned() + &json).into_bytes())
    }

    /// `None` for bytes that [`SharedList::to_bytes`] has not made.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hash, json) = bytes.split_at_checked(HASH)?;
        if &sha256_hex(json).as_bytes()[..HASH] != hash {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}

/// How a server gets a list of its own form from a stored one, and how it makes one.
pub(crate) struct ListUse<R, M, W> {
    /// Reads a stored list; `None` if it must not be used now.
    pub(crate) read: R,
    /// Makes the list.
    pub(crate) make: M,
    /// What is stored of a list that was made.
    pub(crate) write: W,
}

/// What Redis has of a list.
enum Look {
    Found(Vec<u8>),
    /// This request is to make it.
    Task,
    /// Another request makes it.
    Waiting,
}

/// The task to make a list. Dropped without a list, it is free for others.
struct Task<'s> {
    link: &'s Link,
    /// Ends it; `None` when it has ended.
    finish: Option<ScriptInvocation<'static>>,
}

impl<'s> Task<'s> {
    fn new(link: &'s Link, names: &[String; 2], taker: &str) -> Self {
        let mut finish = FINISH.prepare_invoke();
        finish.key(names).arg(taker);
        Self { link, finish: Some(finish) }
    }

    /// Stores the list for others. The response does not wait for that.
    fn store(mut self, list: &SharedList, lifetime: Duration) {
        if let (Some(bytes), Some(mut finish)) = (list.to_bytes(), self.finish.take()) {
            finish.arg(bytes).arg(milliseconds(lifetime));
            self.link.run_later(finish);
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.take() {
            self.link.run_later(finish);
        }
    }
}

/// A list that equal requests share.
pub(crate) struct SharableList<'s> {
    shared: &'s Shared,
    lifetime: Duration,
    /// Those of the list and of the task to make it.
    names: [String; 2],
}

impl Shared {
    /// The list of a request; `None` if it is not shared. Explanations are rare and meant for people.
    /// A list with a filter could have items that do not meet it any more.
    pub(crate) fn sharable(
        &self,
        request: &CandidatesRequest,
        maker: &ListMaker<'_>,
    ) -> Option<SharableList<'_>> {
        let ListSharing { lifetime, items } = self.lists?;
        let CandidatesRequest { history, exclude, k, .. } = request;
        let is_too_personal = history.len() + exclude.len() > items;
        if is_too_personal || request.explain || request.filter.is_some() {
            return None;
        }
        let key = (FORM, env!("CARGO_PKG_VERSION"), maker, history, exclude, k);
        let key = serde_json::to_string(&key).ok()?;
        let names = ["list", "task"].map(|kind| self.names.name(kind, &key));
        Some(SharableList { shared: self, lifetime, names })
    }
}

impl SharableList<'_> {
    /// The list: a stored one, or one that is made now and stored, once for all servers. Waits until
    /// the deadline of the request, which may take `time`, or until `is_stopping`.
    ///
    /// # Errors
    /// Those of making it, [`ApiError::Timeout`], and [`ApiError::ShuttingDown`].
    pub(crate) async fn get<T>(
        &self,
        (deadline, time): (Instant, Duration),
        is_stopping: impl Fn() -> bool,
        list: ListUse<
            impl Fn(SharedList) -> Option<T>,
            impl Future<Output = Result<T, ApiError>>,
            impl Fn(&T) -> SharedList,
        >,
    ) -> Result<T, ApiError> {
        let ListUse { read, make, write } = list;
        let Shared { link, counters, .. } = self.shared;
        let taker = format!("{:016x}", rand::random::<u64>());
        let term = MAX_TASK.min(time / TASK_PART);
        let (began, mut has_waited, mut unusable) = (Instant::now(), false, Vec::new());
        loop {
            match self.look(&taker, term, &unusable).await {
                Err(Unavailable) => {
                    counters.list(ListSource::Alone);
                    return make.await;
                }
                Ok(Look::Found(bytes)) => {
                    if let Some(list) = SharedList::from_bytes(&bytes).and_then(&read) {
                        let source = if has_waited { ListSource::Waited } else { ListSource::Hit };
                        counters.list(source);
                        return Ok(list);
                    }
                    unusable = bytes;
                    unusable.truncate(HASH);
                }
                Ok(Look::Task) => break,
                Ok(Look::Waiting) => {
                    has_waited = true;
                    let pause = (began.elapsed() / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                    let left = deadline.saturating_duration_since(Instant::now());
                    sleep(pause.min(left)).await;
                }
            }
            if is_stopping() {
                return Err(ApiError::ShuttingDown);
            }
            if Instant::now() >= deadline {
                return Err(ApiError::Timeout { seconds: time.as_secs() });
            }
        }
        let task = Task::new(link, &self.names, &taker);
        let made = make.await?;
        counters.list(ListSource::Made);
        task.store(&write(&made), self.lifetime);
        Ok(made)
    }

    async fn look(
        &self,
        taker: &str,
        term: Duration,
        unusable: &[u8],
    ) -> Result<Look, Unavailable> {
        let mut script = LOOK.prepare_invoke();
        script.key(&self.names).arg(taker).arg(milliseconds(term)).arg(unusable);
        Ok(match self.shared.link.run(&script).await? {
            Value::BulkString(bytes) => Look::Found(bytes),
            Value::Int(1) => Look::Task,
            _ => Look::Waiting,
        })
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bytes_are_no_list() {
        let list = SharedList {
            model: "m".to_owned(),
            ranking: Ranking::LanguageModel,
            candidates: vec![("a".into(), -0.1), ("ä".into(), -3.402_823_5e38)],
            ignored: Ignored { truncated: 2, ..Ignored::default() },
        };
        let bytes = list.to_bytes().unwrap();
        assert_eq!(SharedList::from_bytes(&bytes), Some(list));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SharedList::from_bytes(&damaged), None, "byte {at}");
            assert_eq!(SharedList::from_bytes(&bytes[..at]), None, "{at} bytes");
        }
    }
}
