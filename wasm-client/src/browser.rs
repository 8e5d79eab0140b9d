//! The browser as a [`Host`]: its clock, its chance, and the worker's network.
//!
//! Requests are made by JavaScript, which keeps the ledger and the cache; here they are a
//! number to abort them by and a promise of the answer.

use std::cell::Cell;

use tandem_protocol::ErrorCode;
use wasm_bindgen::prelude::*;

use crate::{
    error::Failure,
    host::{Abort, Call, Host, Reply},
};

#[wasm_bindgen]
extern "C" {
    /// What sends requests: `Network` in `bindings.d.ts`.
    #[derive(Clone, Debug)]
    #[wasm_bindgen(typescript_type = "Network")]
    pub type Network;

    #[wasm_bindgen(method, catch)]
    async fn send(this: &Network, number: u32, call: &Outgoing) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method)]
    fn abort(this: &Network, number: u32);

    /// A call as an object; made here field by field.
    type Outgoing;
    #[wasm_bindgen(js_namespace = Object, js_name = create)]
    fn outgoing(prototype: JsValue) -> Outgoing;
    #[wasm_bindgen(method, setter)]
    fn set_url(this: &Outgoing, url: &str);
    #[wasm_bindgen(method, setter)]
    fn set_body(this: &Outgoing, body: Option<&str>);
    #[wasm_bindgen(method, setter, js_name = timeoutMs)]
    fn set_timeout_ms(this: &Outgoing, ms: u32);
    #[wasm_bindgen(method, setter)]
    fn set_why(this: &Outgoing, why: &str);
    #[wasm_bindgen(method, setter)]
    fn set_sha256(this: &Outgoing, hash: Option<&str>);
    #[wasm_bindgen(method, setter)]
    fn set_fresh(this: &Outgoing, fresh: bool);

    /// An answer, or a `{ code, message }` that was thrown in its place.
    type Incoming;
    #[wasm_bindgen(method, getter)]
    fn status(this: &Incoming) -> u16;
    #[wasm_bindgen(method, getter, js_name = retryAfter)]
    fn retry_after(this: &Incoming) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn artifacts(this: &Incoming) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Incoming) -> Vec<u8>;
    #[wasm_bindgen(method, getter)]
    fn cached(this: &Incoming) -> bool;
    #[wasm_bindgen(method, getter)]
    fn code(this: &Incoming) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn message(this: &Incoming) -> Option<String>;

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// A window or a worker.
pub(crate) struct Browser {
    network: Network,
    last: Cell<u32>,
    /// State of a seeded generator; `None` draws from the browser's own.
    random: Option<Cell<u64>>,
}

impl Browser {
    /// `seed` makes [`Host::chance`] repeatable.
    pub(crate) fn new(network: Network, seed: Option<f64>) -> Self {
        Self { network, last: Cell::new(0), random: seed.map(|seed| Cell::new(seed.to_bits())) }
    }
}

impl Host for Browser {
    type Abort = Canceller;

    fn now_ms(&self) -> f64 {
        performance_now()
    }

    fn chance(&self) -> f64 {
        let Some(state) = &self.random else { return js_sys::Math::random() };
        // Knuth's linear congruential generator (MMIX); its high bits are good enough to
        // spread retries.
        let next = state
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.set(next);
        (next >> 11) as f64 / (1u64 << 53) as f64
    }

    fn new_abort(&self) -> Canceller {
        self.last.set(self.last.get().wrapping_add(1));
        Canceller { network: self.network.clone(), number: self.last.get() }
    }

    async fn send(&self, call: &Call, abort: &Canceller) -> Result<Reply, Failure> {
        let outgoing = outgoing(JsValue::NULL);
        outgoing.set_url(&call.url);
        outgoing.set_body(call.body.as_deref());
        outgoing.set_timeout_ms(call.timeout_ms);
        outgoing.set_why(&call.why);
        outgoing.set_sha256(call.sha256.as_deref());
        outgoing.set_fresh(call.fresh);
        match self.network.send(abort.number, &outgoing).await {
            Ok(answer) => {
                let answer: Incoming = answer.unchecked_into();
                Ok(Reply {
                    status: answer.status(),
                    retry_after: answer.retry_after(),
                    artifacts: answer.artifacts(),
                    body: answer.body(),
                    cached: answer.cached(),
                })
            }
            Err(thrown) => Err(failure(&thrown.unchecked_into())),
        }
    }
}

/// What a network may throw; anything else is its fault, not the server's.
fn failure(thrown: &Incoming) -> Failure {
    let code = match thrown.code().as_deref() {
        Some("unreachable") => ErrorCode::Unreachable,
        Some("timeout") => ErrorCode::Timeout,
        Some("aborted") => ErrorCode::Aborted,
        _ => ErrorCode::Internal,
    };
    Failure::new(code, thrown.message().unwrap_or_else(|| "the request failed".to_owned()))
}

/// Ends the request of its number.
#[derive(Clone)]
pub(crate) struct Canceller {
    network: Network,
    number: u32,
}

impl Abort for Canceller {
    fn abort(&self) {
        self.network.abort(self.number);
    }
}
