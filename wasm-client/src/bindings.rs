//! What JavaScript sees: the class `Client`, and [`parity`] for tests.
//!
//! Values cross as plain objects in camelCase, errors are thrown as `{ code, message }`
//! with the codes of `tandem_protocol::ErrorCode`. Methods return promises made here rather
//! than being `async`: each holds the engine itself, so that `free()` is allowed while one
//! is pending.

use std::{fmt, future::Future, rc::Rc};

use js_sys::Promise;
use serde::{Serialize, de::DeserializeOwned};
use serde_wasm_bindgen::Serializer;
use tandem_protocol::{ErrorCode, Event, ItemId};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::{
    browser::{Browser, Network},
    config::OpenConfig,
    device,
    engine::Engine,
    error::ClientError,
    parity as comparison,
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("bindings.d.ts");

/// Panics are faults of this program: they go to the console with their place.
#[wasm_bindgen(start)]
pub fn start() {
    #[cfg(target_family = "wasm")]
    run_constructors();
    console_error_panic_hook::set_once();
}

/// Runs the static constructors that crates bring (CubeCL registers its types in them).
///
/// Unless a module calls them itself, the linker holds it for a command that is run once and
/// calls them at the beginning of *every* export: each call from JavaScript, each allocation
/// for one and each resolved promise registers thousands of types again.
#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the linker makes this function, and there is no other way to it")]
fn run_constructors() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: a function without parameters that every module has; this is its only call.
    unsafe { __wasm_call_ctors() }
}

/// A visitor's session on this device.
#[wasm_bindgen]
pub struct Client {
    engine: Rc<Engine<Browser>>,
}

/// A freed client asks for nothing more: what is pending settles without the network.
impl Drop for Client {
    fn drop(&mut self) {
        self.engine.set_offline(true);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[wasm_bindgen]
impl Client {
    /// Loads and verifies the model's files; weights are resident once it resolves.
    ///
    /// # Errors
    /// `no_adapter`, `unreachable`, `timeout`, `not_found`, `bad_response`, `integrity`,
    /// `unsupported_version`, `invalid_artifact`, `invalid_argument`.
    pub async fn open(
        #[wasm_bindgen(unchecked_param_type = "OpenConfig")] config: JsValue,
        network: Network,
    ) -> Result<Client, JsValue> {
        open(config, network).await.map_err(|error| thrown(&error))
    }

    /// Takes an event and ranks again. No network.
    #[wasm_bindgen(unchecked_return_type = "Promise<Update>")]
    pub fn track(
        &self,
        #[wasm_bindgen(unchecked_param_type = "TrackedEvent")] event: JsValue,
    ) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move {
            let event: Event = read(event, "event")?;
            engine.track(&event).await
        })
    }

    /// Takes events that happened before, one after another, and ranks once.
    #[wasm_bindgen(unchecked_return_type = "Promise<Update>")]
    pub fn replay(
        &self,
        #[wasm_bindgen(unchecked_param_type = "TrackedEvent[]")] events: JsValue,
    ) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move {
            let events: Vec<Event> = read(events, "events")?;
            engine.replay(&events).await
        })
    }

    /// Ranks again without an event. No network.
    #[wasm_bindgen(unchecked_return_type = "Promise<Update>")]
    pub fn recommend(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.recommend().await })
    }

    /// Asks the server for a new list and ranks it. Resolves also when the server fails:
    /// `connection` then says what is wrong, and the last list stays in use. May be pending
    /// while other calls run.
    #[wasm_bindgen(js_name = requestCandidates, unchecked_return_type = "Promise<Update>")]
    pub fn request_candidates(&self, why: String) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.request_candidates(&why).await })
    }

    /// Takes back the newest event, with what was learnt from it, and ranks again.
    #[wasm_bindgen(unchecked_return_type = "Promise<Undone>")]
    pub fn undo(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.undo().await })
    }

    /// Why an item stands where it does; `null` if it is not in the list.
    #[wasm_bindgen(unchecked_return_type = "Promise<Explanation | null>")]
    pub fn explain(&self, item: String) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.explain(&ItemId::new(item)).await })
    }

    /// The `k` items most like one, among those whose rows are here; `null` if its own is not.
    #[wasm_bindgen(unchecked_return_type = "Promise<SimilarItem[] | null>")]
    pub fn similar(&self, item: String, k: usize) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { Ok(engine.similar(&ItemId::new(item), k).await) })
    }

    /// How far the small model's order of `items` is from the order given, 0 to 1; `null`
    /// where there is nothing to compare.
    #[wasm_bindgen(unchecked_return_type = "Promise<number | null>")]
    pub fn compare(&self, items: Vec<String>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move {
            let items: Vec<ItemId> = items.iter().map(ItemId::new).collect();
            engine.compare(&items).await
        })
    }

    /// Which of the server's language models makes the next lists; absent: its first.
    #[wasm_bindgen(js_name = chooseModel, unchecked_return_type = "Promise<null>")]
    pub fn choose_model(&self, name: Option<String>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move {
            engine.choose_model(name).await;
            Ok(())
        })
    }

    /// One learning step for the oldest click that waits; `null` if there is nothing to
    /// learn from.
    #[wasm_bindgen(unchecked_return_type = "Promise<LearnReport | null>")]
    pub fn learn(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.learn().await })
    }

    /// Forbids or allows the network; forbidding ends a request in flight.
    #[wasm_bindgen(js_name = setOffline)]
    pub fn set_offline(&self, offline: bool) {
        self.engine.set_offline(offline);
    }

    /// Forgets session and personal delta.
    #[wasm_bindgen(unchecked_return_type = "Promise<Update>")]
    pub fn reset(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.reset().await })
    }

    /// Session and personal delta as bytes; a copy.
    ///
    /// # Errors
    /// `not_ready` while another call computes on the GPU.
    #[wasm_bindgen(js_name = exportPersonal)]
    pub fn export_personal(&self) -> Result<Vec<u8>, JsValue> {
        self.engine.export().map_err(|error| thrown(&error))
    }

    /// Takes exported bytes in place of this session; refused, and nothing changed, if they
    /// are damaged or of another model.
    #[wasm_bindgen(js_name = importPersonal, unchecked_return_type = "Promise<Update>")]
    pub fn import_personal(&self, bytes: Vec<u8>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.import(&bytes).await })
    }

    /// Takes up a session that this device stored; of another model's, history and dislikes.
    #[wasm_bindgen(js_name = restorePersonal, unchecked_return_type = "Promise<Update>")]
    pub fn restore_personal(&self, bytes: Vec<u8>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.restore(&bytes).await })
    }

    /// Ends a request in flight, if there is one.
    pub fn abort(&self) {
        self.engine.abort();
    }
}

async fn open(config: JsValue, network: Network) -> Result<Client, ClientError> {
    let config: OpenConfig = read(config, "the configuration")?;
    config.check_device(device::NAME)?;
    let timeout_ms = config.timeout_ms()?;
    let budget = config.budget()?;
    let browser = Browser::new(network, config.seed);
    // First, because without an adapter nothing needs to be downloaded.
    let device = device::open().await?;
    let engine = Engine::open(browser, config.server(), timeout_ms, &device, budget).await?;
    Ok(Client { engine: Rc::new(engine) })
}

/// Runs one fixed computation, for comparing backends: see `src/parity.rs`.
///
/// # Errors
/// `invalid_argument`, `invalid_artifact`, `no_adapter`.
#[wasm_bindgen(unchecked_return_type = "Promise<ParityOutcome>")]
pub fn parity(
    body: Vec<u8>,
    rows: Vec<u8>,
    config_json: String,
    history: Vec<u32>,
    candidates: Vec<u32>,
) -> Promise {
    promise(async move {
        let setup: comparison::Setup =
            serde_json::from_str(&config_json).map_err(|error| invalid("configJson", &error))?;
        let device = device::open().await?;
        let outcome = comparison::run(&setup, &body, rows, &history, &candidates, &device).await?;
        Ok::<_, ClientError>(outcome)
    })
}

fn promise<T: Serialize + 'static>(
    result: impl Future<Output = Result<T, ClientError>> + 'static,
) -> Promise {
    future_to_promise(async move {
        let value = result.await.map_err(|error| thrown(&error))?;
        written(&value)
    })
}

fn read<T: DeserializeOwned>(value: JsValue, what: &str) -> Result<T, ClientError> {
    serde_wasm_bindgen::from_value(value).map_err(|error| invalid(what, &error))
}

fn invalid(what: &str, error: &dyn fmt::Display) -> ClientError {
    ClientError::new(ErrorCode::InvalidArgument, format!("{what} is not as documented: {error}"))
}

/// A value as a plain object; what is absent is `null`.
fn written<T: Serialize>(value: &T) -> Result<JsValue, JsValue> {
    let serializer =
        Serializer::new().serialize_missing_as_null(true).serialize_maps_as_objects(true);
    value
        .serialize(&serializer)
        .map_err(|error| thrown(&ClientError::new(ErrorCode::Internal, error.to_string())))
}

fn thrown(error: &ClientError) -> JsValue {
    // Two strings: this cannot fail.
    serde_wasm_bindgen::to_value(error).unwrap_or(JsValue::NULL)
}
