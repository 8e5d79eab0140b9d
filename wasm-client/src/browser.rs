//! The browser as a [`Host`]: `performance.now()`, `fetch` with a timeout, `AbortController`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use gloo_net::http::{Request, Response};
use gloo_timers::callback::Timeout;
use js_sys::Reflect;
use tandem_protocol::ErrorCode;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortController, Performance};

use crate::{
    error::{ClientError, Failure},
    host::{Abort, Call, Host, Reply},
};

/// A window or a worker.
pub(crate) struct Browser {
    performance: Performance,
    /// State of a seeded generator; `None` draws from the browser's own.
    random: Option<Cell<u64>>,
}

impl Browser {
    /// `seed` makes [`Host::chance`] repeatable.
    pub(crate) fn new(seed: Option<f64>) -> Result<Self, ClientError> {
        let performance = Reflect::get(&js_sys::global(), &JsValue::from_str("performance"))
            .ok()
            .and_then(|found| found.dyn_into::<Performance>().ok())
            .ok_or_else(|| {
                ClientError::new(
                    ErrorCode::Internal,
                    "performance.now() is missing here; open the client in a page or a worker",
                )
            })?;
        Ok(Self { performance, random: seed.map(|seed| Cell::new(seed.to_bits())) })
    }
}

impl Host for Browser {
    type Abort = Canceller;

    fn now_ms(&self) -> f64 {
        self.performance.now()
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

    fn new_abort(&self) -> Result<Canceller, Failure> {
        let controller = AbortController::new()
            .map_err(|error| Failure::new(ErrorCode::Internal, describe(&error)))?;
        Ok(Canceller { controller, cause: Rc::new(RefCell::new(None)) })
    }

    async fn send(&self, call: &Call, abort: &Canceller) -> Result<Reply, Failure> {
        // Dropping the timer cancels it; it covers the body as well as the head.
        let _timer = Timeout::new(call.timeout_ms, {
            let abort = abort.clone();
            move || abort.end(Cause::Timeout)
        });
        let received = exchange(call, abort).await;
        received.map_err(|error| match (*abort.cause.borrow(), error) {
            (Some(Cause::Caller), _) => aborted(),
            (Some(Cause::Timeout), _) => Failure::new(
                ErrorCode::Timeout,
                format!("{} did not answer within {} ms", call.url, call.timeout_ms),
            ),
            (None, error) => Failure::new(
                ErrorCode::Unreachable,
                format!("{} could not be reached ({error}); is the server running?", call.url),
            ),
        })
    }
}

/// What a request that the caller ended comes to.
pub(crate) fn aborted() -> Failure {
    Failure::new(ErrorCode::Aborted, "the request was aborted")
}

async fn exchange(call: &Call, abort: &Canceller) -> Result<Reply, gloo_net::Error> {
    let signal = abort.controller.signal();
    let request = match &call.body {
        Some(json) => Request::post(&call.url)
            .header("content-type", "application/json")
            .abort_signal(Some(&signal))
            .body(json.as_str())?,
        None => Request::get(&call.url).abort_signal(Some(&signal)).build()?,
    };
    let response: Response = request.send().await?;
    let headers = response.headers();
    Ok(Reply {
        status: response.status(),
        retry_after: headers.get("retry-after"),
        artifacts: headers.get("x-artifacts"),
        body: response.binary().await?,
    })
}

/// An `AbortController` that remembers who used it.
#[derive(Clone)]
pub(crate) struct Canceller {
    controller: AbortController,
    cause: Rc<RefCell<Option<Cause>>>,
}

#[derive(Clone, Copy)]
enum Cause {
    Caller,
    Timeout,
}

impl Canceller {
    fn end(&self, cause: Cause) {
        self.cause.borrow_mut().get_or_insert(cause);
        self.controller.abort();
    }
}

impl Abort for Canceller {
    fn abort(&self) {
        self.end(Cause::Caller);
    }
}

/// A thrown value as text.
fn describe(value: &JsValue) -> String {
    value.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{value:?}"), |e| e.message().into())
}
