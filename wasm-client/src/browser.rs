//! The browser as a [`Host`]: its clock and timers, its random numbers, and the worker's
//! network.
//!
//! JavaScript makes the requests, because it keeps the ledger and the cache and may use a
//! function of the page. Time limits and aborts are kept here.

use std::{cell::Cell, rc::Rc};

use gloo_timers::callback::Timeout;
use js_sys::{Promise, Uint8Array};
use serde::Deserialize;
use tandem_protocol::ErrorCode;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, AbortSignal, Performance};

use crate::{
    error::Failure,
    host::{Abort, Host, HttpRequest, HttpResponse},
    javascript::to_js,
};

#[wasm_bindgen]
extern "C" {
    /// The worker's network; `Network` in TypeScript.
    #[derive(Clone, Debug)]
    #[wasm_bindgen(typescript_type = "Network")]
    pub type Network;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Network, request: JsValue, signal: &AbortSignal) -> Result<Promise, JsValue>;

    /// Of the window or of the worker: `web-sys` has it only as a property of either.
    #[wasm_bindgen(thread_local_v2, js_name = performance)]
    static PERFORMANCE: Performance;
}

/// A response as the network resolves with it; the body is copied out of it once.
#[derive(Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "HttpResponse"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    status: u16,
    /// The header `retry-after`.
    retry_after: Option<String>,
    /// The header `x-artifacts`.
    artifacts: Option<String>,
    #[cfg_attr(feature = "typescript", ts(type = "Uint8Array"))]
    #[serde(with = "serde_wasm_bindgen::preserve")]
    body: Uint8Array,
    /// Whether it came from a cache of this device.
    cached: bool,
}

/// A window or a worker.
pub(crate) struct Browser {
    network: Network,
    /// State of a seeded generator; `None` uses the browser's own.
    seeded: Option<Cell<u64>>,
}

impl Browser {
    /// `seed` makes [`Host::random`] repeatable.
    pub(crate) fn new(network: Network, seed: Option<f64>) -> Self {
        Self { network, seeded: seed.map(|seed| Cell::new(seed.to_bits())) }
    }
}

impl Host for Browser {
    type Abort = Canceller;

    fn now_ms(&self) -> f64 {
        PERFORMANCE.with(Performance::now)
    }

    fn random(&self) -> f64 {
        let Some(state) = &self.seeded else { return js_sys::Math::random() };
        // Knuth's linear congruential generator (MMIX). Its high bits are good enough to
        // spread retries.
        let next = state
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.set(next);
        (next >> 11) as f64 / (1u64 << 53) as f64
    }

    fn new_abort(&self) -> Canceller {
        Canceller(AbortController::new().ok())
    }

    async fn send(
        &self,
        request: &HttpRequest,
        canceller: &Canceller,
    ) -> Result<HttpResponse, Failure> {
        let Some(controller) = &canceller.0 else {
            return Err(Failure::new(ErrorCode::Internal, "this browser has no AbortController"));
        };
        let late = Rc::new(Cell::new(false));
        // Covers the body of the response as well as its head; cancelled when dropped.
        let _timer = Timeout::new(request.timeout_ms, {
            let (late, controller) = (Rc::clone(&late), controller.clone());
            move || {
                late.set(true);
                controller.abort();
            }
        });
        let received = async {
            let promise = self.network.send(to_js(request)?, &controller.signal())?;
            JsFuture::from(promise).await
        };
        match received.await {
            Ok(value) => response(value),
            Err(_) if late.get() => Err(Failure::new(
                ErrorCode::Timeout,
                format!("{} did not answer within {} ms", request.url, request.timeout_ms),
            )),
            Err(_) if controller.signal().aborted() => {
                Err(Failure::new(ErrorCode::Aborted, "the request was aborted"))
            }
            Err(thrown) => Err(failure(thrown)),
        }
    }
}

fn response(value: JsValue) -> Result<HttpResponse, Failure> {
    let Received { status, retry_after, artifacts, body, cached } =
        serde_wasm_bindgen::from_value(value).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("the network's response: {error}"))
        })?;
    Ok(HttpResponse { status, retry_after, artifacts, body: body.to_vec(), cached })
}

/// The network rejects only if the server could not be reached; its message has the cause.
fn failure(thrown: JsValue) -> Failure {
    let message = thrown.unchecked_into::<js_sys::Error>().message();
    Failure::new(ErrorCode::Unreachable, String::from(message))
}

/// Aborts one request.
#[derive(Clone)]
pub(crate) struct Canceller(Option<AbortController>);

impl Abort for Canceller {
    fn abort(&self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}
