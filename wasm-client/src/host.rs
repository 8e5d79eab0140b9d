//! What the engine needs from its environment: time, randomness and a network.

use serde::Serialize;

use crate::error::Failure;

/// The environment of an engine: the browser, or a scripted one in tests.
pub(crate) trait Host {
    /// Aborts a request.
    type Abort: Abort;

    /// Monotonic time in milliseconds, from any fixed point.
    fn now_ms(&self) -> f64;

    /// A random number in `[0, 1)`.
    fn random(&self) -> f64;

    /// A handle to abort a request that is about to be sent.
    fn new_abort(&self) -> Self::Abort;

    /// Sends a request and reads the whole response, of any status.
    ///
    /// # Errors
    /// `unreachable`, `timeout` or `aborted`.
    async fn send(
        &self,
        request: &HttpRequest,
        abort: &Self::Abort,
    ) -> Result<HttpResponse, Failure>;
}

/// A handle that aborts one request; without effect once the request is over.
pub(crate) trait Abort: Clone {
    fn abort(&self);
}

/// A request, as the worker's network gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRequest {
    pub(crate) url: String,
    /// JSON to post; `null` for a GET.
    pub(crate) body: Option<String>,
    /// The purpose in words, for the visitor's ledger.
    pub(crate) why: String,
    /// SHA-256 of the content, where it is known: the key in the cache.
    pub(crate) sha256: Option<String>,
    /// SHA-256 of the index, for a cell. Its cells stay in the cache as long as the index.
    pub(crate) cell_index: Option<String>,
    /// Bypasses the cache, whose copy was damaged.
    pub(crate) fresh: bool,
    /// How long the response may take, in milliseconds. The engine's timer, not the page's.
    #[serde(skip)]
    pub(crate) timeout_ms: u32,
}

/// A response of any status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// The header `retry-after`.
    pub(crate) retry_after: Option<String>,
    /// The header `x-artifacts`: the hash under which the manifest's files are served.
    pub(crate) artifacts: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Whether it came from this device's cache.
    pub(crate) cached: bool,
}

/// An abort handle for tests.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Flag(pub(crate) std::rc::Rc<std::cell::Cell<bool>>);

#[cfg(test)]
impl Abort for Flag {
    fn abort(&self) {
        self.0.set(true);
    }
}
