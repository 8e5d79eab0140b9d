//! What the engine needs from around it: time, chance and a network.

use crate::error::Failure;

/// The surroundings of an engine: a browser, or a test's stand-in.
pub(crate) trait Host {
    /// Ends a request.
    type Abort: Abort;

    /// Monotonic time in milliseconds, from any fixed point.
    fn now_ms(&self) -> f64;

    /// A random number in `[0, 1)`.
    fn chance(&self) -> f64;

    /// A way to end a request that is about to be sent.
    fn new_abort(&self) -> Self::Abort;

    /// Sends a request and reads the whole answer, of whatever status.
    ///
    /// # Errors
    /// `unreachable`, `timeout` or `aborted`.
    async fn send(&self, call: &Call, abort: &Self::Abort) -> Result<Reply, Failure>;
}

/// A handle that ends one request; without effect once that is over.
pub(crate) trait Abort: Clone {
    fn abort(&self);
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) url: String,
    /// JSON to post; `None` for a GET.
    pub(crate) body: Option<String>,
    pub(crate) timeout_ms: u32,
    /// Why it is made, in words: for the visitor's ledger.
    pub(crate) why: String,
    /// SHA-256 of the content, where it is known: what it may be cached under.
    pub(crate) sha256: Option<String>,
    /// Past every cache: the copy in it was damaged.
    pub(crate) fresh: bool,
}

/// An answer of any status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The header `retry-after`.
    pub(crate) retry_after: Option<String>,
    /// The header `x-artifacts`: the hash under which the manifest's files lie.
    pub(crate) artifacts: Option<String>,
    pub(crate) body: Vec<u8>,
    /// It came from a cache of this device.
    pub(crate) cached: bool,
}
