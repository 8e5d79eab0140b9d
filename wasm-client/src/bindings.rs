//! The API for JavaScript: the class `Client`.
//!
//! Values cross as plain objects in camelCase, and errors are thrown as `{ code, message }`
//! with the codes of `tandem_protocol::ErrorCode`. Their TypeScript types are generated
//! (`src/typescript.rs`). Methods return promises instead of being `async`: each promise
//! holds the engine itself, so that `free()` is allowed while one is pending.

use std::{fmt, future::Future, pin::Pin, rc::Rc};

use js_sys::Promise;
use serde::{Serialize, de::DeserializeOwned};
use tandem_protocol::{ErrorCode, Event, ItemId};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::{
    browser::{Browser, Network},
    config::OpenConfig,
    device::{self, ComputeDevice},
    engine::Engine,
    error::ClientError,
    javascript::{thrown, to_js},
};

/// Types are those of the package; only the network is described here.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r"
import type {
  ClientUpdate, Deeper, Explanation, Fetched, HistoryChange, HttpRequest, HttpResponse, LearnReport, OpenConfig,
  SimilarItem, TrackedEvent, Undone,
} from '../../src/shared/generated.js';
/** Sends requests. Rejects if the server cannot be reached; `message` has the cause. */
export interface Network {
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>;
}
";

/// Panics are bugs: they are printed to the console with their location.
#[wasm_bindgen(start)]
pub fn start() {
    #[cfg(target_family = "wasm")]
    run_constructors();
    console_error_panic_hook::set_once();
}

/// Runs the static constructors of the linked crates (CubeCL registers its types in them).
///
/// Unless a module calls its constructors itself, wasm-ld treats it as a command and prepends
/// them to every export: each call from JavaScript, each allocation and each resolved promise
/// would register thousands of types again.
#[cfg(target_family = "wasm")]
#[expect(
    unsafe_code,
    reason = "the linker provides this function; there is no safe way to call it"
)]
fn run_constructors() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: a function without parameters that the linker puts into every module; it is
    // called only here.
    unsafe { __wasm_call_ctors() }
}

/// A visitor's session on this device.
#[wasm_bindgen]
pub struct Client {
    engine: Rc<Engine<Browser>>,
}

/// A freed client makes no more requests: pending promises settle without the network.
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
    /// Loads and verifies the model's files. Once it resolves, the weights are on the device.
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
    #[wasm_bindgen(unchecked_return_type = "Promise<ClientUpdate>")]
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
    #[wasm_bindgen(unchecked_return_type = "Promise<ClientUpdate>")]
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
    #[wasm_bindgen(unchecked_return_type = "Promise<ClientUpdate>")]
    pub fn recommend(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.recommend().await })
    }

    /// Requests a new list from the server and ranks it. Also resolves if the server fails:
    /// `connection` then has the cause, and the last list stays in use. May be pending
    /// while other calls run.
    #[wasm_bindgen(js_name = requestCandidates, unchecked_return_type = "Promise<ClientUpdate>")]
    pub fn request_candidates(&self, why: String) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.request_candidates(&why).await })
    }

    /// Makes another request to the server (`GET` without a body) and resolves with the text
    /// of the response. May be pending while other calls run.
    #[wasm_bindgen(unchecked_return_type = "Promise<string>")]
    pub fn request(&self, path: String, body: Option<String>, why: String) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.request(&path, body, why).await })
    }

    /// Fetches the cells that the search wants next, and the rows of clicked and available items.
    /// May be pending while other calls run.
    #[wasm_bindgen(js_name = fetchMissing, unchecked_return_type = "Promise<Fetched>")]
    pub fn fetch_missing(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.fetch_missing().await })
    }

    /// Fetches further cells for longer rankings. May be pending while other calls run.
    #[wasm_bindgen(js_name = fetchFurther, unchecked_return_type = "Promise<Fetched>")]
    pub fn fetch_further(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.fetch_further().await })
    }

    /// A longer ranking, with the best `k` items of the device's own search.
    #[wasm_bindgen(js_name = rankDeeper, unchecked_return_type = "Promise<Deeper>")]
    pub fn rank_deeper(&self, k: usize) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.rank_deeper(k).await })
    }

    /// Sets the items that can be recommended; absent: all.
    #[wasm_bindgen(js_name = setAvailable, unchecked_return_type = "Promise<ClientUpdate>")]
    pub fn set_available(&self, items: Option<Vec<String>>) -> Promise {
        let engine = Rc::clone(&self.engine);
        let items = items.map(|items| items.iter().map(ItemId::new).collect());
        promise(async move { engine.set_available(items).await })
    }

    /// Sets the items that are never recommended; `send`: also with requests for lists.
    #[wasm_bindgen(js_name = setExcluded, unchecked_return_type = "Promise<ClientUpdate>")]
    pub fn set_excluded(&self, items: Vec<String>, send: bool) -> Promise {
        let engine = Rc::clone(&self.engine);
        let items = items.into_iter().map(ItemId::new).collect();
        promise(async move { engine.set_excluded(items, send).await })
    }

    /// What changed in the history since the last call of this method.
    ///
    /// # Errors
    /// `internal` if the change cannot be converted.
    #[wasm_bindgen(js_name = historyChange, unchecked_return_type = "HistoryChange")]
    pub fn history_change(&self) -> Result<JsValue, JsValue> {
        to_js(&self.engine.history_change())
    }

    /// Reverts the newest event and its learning step, and ranks again.
    #[wasm_bindgen(unchecked_return_type = "Promise<Undone>")]
    pub fn undo(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.undo().await })
    }

    /// Why an item has its rank; `null` if it is not recommended.
    #[wasm_bindgen(unchecked_return_type = "Promise<Explanation | null>")]
    pub fn explain(&self, item: String) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.explain(&ItemId::new(item)).await })
    }

    /// The `k` items most similar to one, among those whose rows are on the device; `null` if
    /// its own row is not.
    #[wasm_bindgen(unchecked_return_type = "Promise<SimilarItem[] | null>")]
    pub fn similar(&self, item: String, k: usize) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { Ok(engine.similar(&ItemId::new(item), k).await) })
    }

    /// Disagreement of the small model's order of `items` with the given order, 0 to 1; `null`
    /// without a history or with fewer than two known items.
    #[wasm_bindgen(unchecked_return_type = "Promise<number | null>")]
    pub fn compare(&self, items: Vec<String>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move {
            let items: Vec<ItemId> = items.iter().map(ItemId::new).collect();
            engine.compare(&items).await
        })
    }

    /// Selects the language model for the next lists; absent: the server's default.
    #[wasm_bindgen(js_name = chooseModel, unchecked_return_type = "Promise<null>")]
    pub fn choose_model(&self, name: Option<String>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move {
            engine.choose_model(name).await;
            Ok(())
        })
    }

    /// One learning step for the oldest pending click; `null` if there is none.
    #[wasm_bindgen(unchecked_return_type = "Promise<LearnReport | null>")]
    pub fn learn(&self) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.learn().await })
    }

    /// Forbids or allows the network; forbidding aborts a request in flight.
    #[wasm_bindgen(js_name = setOffline)]
    pub fn set_offline(&self, offline: bool) {
        self.engine.set_offline(offline);
    }

    /// Deletes session and personal delta.
    #[wasm_bindgen(unchecked_return_type = "Promise<ClientUpdate>")]
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

    /// Replaces the session by exported bytes. Rejects, and changes nothing, if they are
    /// damaged or of another model.
    #[wasm_bindgen(js_name = importPersonal, unchecked_return_type = "Promise<ClientUpdate>")]
    pub fn import_personal(&self, bytes: Vec<u8>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.import(&bytes).await })
    }

    /// Restores a session that this device stored. From a session of another model only
    /// history and dislikes are taken.
    #[wasm_bindgen(js_name = restorePersonal, unchecked_return_type = "Promise<ClientUpdate>")]
    pub fn restore_personal(&self, bytes: Vec<u8>) -> Promise {
        let engine = Rc::clone(&self.engine);
        promise(async move { engine.restore(&bytes).await })
    }

    /// Aborts a request for a list that is in flight, if there is one.
    pub fn abort(&self) {
        self.engine.abort();
    }
}

async fn open(config: JsValue, network: Network) -> Result<Client, ClientError> {
    let config: OpenConfig = read(config, "the configuration")?;
    config.check_device(device::NAME)?;
    let browser = Browser::new(network, config.seed);
    // First, because without an adapter nothing needs to be downloaded.
    let device = ComputeDevice::open().await?;
    let engine = Engine::open(browser, &config, &device).await?;
    Ok(Client { engine: Rc::new(engine) })
}

/// A promise of the result, or of its error as `{ code, message }`.
pub(crate) fn promise<T: Serialize + 'static>(
    result: impl Future<Output = Result<T, ClientError>> + 'static,
) -> Promise {
    // Boxed, so that the code around a future is compiled once and not for each method.
    let boxed: Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>> = Box::pin(async move {
        let value = result.await.map_err(|error| thrown(&error))?;
        to_js(&value)
    });
    future_to_promise(boxed)
}

fn read<T: DeserializeOwned>(value: JsValue, what: &str) -> Result<T, ClientError> {
    serde_wasm_bindgen::from_value(value).map_err(|error| invalid(what, &error))
}

pub(crate) fn invalid(what: &str, error: &dyn fmt::Display) -> ClientError {
    ClientError::new(
        ErrorCode::InvalidArgument,
        format!("{what}: {error}; see the types of the package"),
    )
}
